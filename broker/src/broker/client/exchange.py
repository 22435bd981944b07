"""One connection to a broker without its socket: requests out, bytes in, answers to callbacks.

The first request is ApiVersions; what is asked meanwhile waits. Each request goes out in the newest version that both
sides know. Answers come in the order of the requests; any other correlation id ends the connection. Invariants: every
request gets exactly one outcome, an answer or a `RequestFailed`; at most `in_flight_max` are on the wire and
`WAITING_MAX` behind them; each has a deadline.

Not done: TLS and SASL.
"""

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from broker.client.frames import BadFrame, FrameReader
from broker.protocol import codec
from broker.protocol.api_keys import ApiKey
from broker.protocol.codec import MalformedMessage, UnsupportedField
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import RequestHeader, encode_request_header, response_header_size
from broker.protocol.message import Request, Response
from broker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.protocol.types import Buffer

IN_FLIGHT_MAX = 5
WAITING_MAX = 1000
# How long a broker has to tell its versions.
HANDSHAKE_MS = 10_000
CORRELATION_ID_MAX = 2**31 - 1
SOFTWARE_NAME = "board-broker"
SOFTWARE_VERSION = "0.1.0"


class RequestFailed(Exception):
    """A request that got no answer, and why."""


class ConnectionFailed(RequestFailed):
    """The connection is gone, or the answer did not come in time; another connection may do."""


class RequestUnsupported(RequestFailed):
    """The broker does not know this API, or no version of it that can say what is asked."""


Outcome = Response | RequestFailed
OnDone = Callable[[Outcome], None]


@dataclass(slots=True)
class _Asked:
    """A request that waits, or is on the wire."""

    request: Request
    on_done: OnDone
    deadline_ms: int
    version_max: int
    answered: bool
    version: int = 0
    correlation_id: int = 0


def response_class(request: type[Request]) -> type[Response]:
    """The answer's class, which stands beside the request's."""
    found: type[Response] = getattr(sys.modules[request.__module__], request.__name__.replace("Request", "Response"))
    return found


class Exchange:
    """See the module. The owner writes what `take_output` gives and hands in what it reads."""

    def __init__(self, client_id: str, *, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self._client_id = client_id
        self._in_flight_max = in_flight_max
        self._frames = FrameReader()
        self._output: list[Buffer] = []
        self._waiting: deque[_Asked] = deque()
        self._in_flight: deque[_Asked] = deque()
        self._correlation_id = 0
        self._versions: dict[int, tuple[int, int]] | None = None
        self.failure: ConnectionFailed | None = None

    # Asking.

    def start(self, now_ms: int) -> None:
        """The connection is there: ask for the broker's versions."""
        self._handshake(ApiVersionsRequest.VERSIONS[1], now_ms + HANDSHAKE_MS)

    def submit(
        self, request: Request, deadline_ms: int, on_done: OnDone, *, version_max: int | None = None, answered: bool = True
    ) -> None:
        """Ask. `version_max` for requests that say something newer versions cannot; `answered` is False for acks=0."""
        newest = type(request).VERSIONS[1]
        asked = _Asked(request, on_done, deadline_ms, newest if version_max is None else version_max, answered)
        if self.failure is not None:
            on_done(self.failure)
        elif len(self._waiting) >= WAITING_MAX:
            on_done(RequestFailed(f"{WAITING_MAX} requests wait for this broker already"))
        else:
            self._waiting.append(asked)
            self._send_waiting()

    def supports(self, request: type[Request], version: int = 0) -> bool:
        """Whether the broker speaks an API in `version` or above; False before it told."""
        return self._versions is not None and self._versions.get(request.API_KEY, (0, -1))[1] >= version

    @property
    def ready(self) -> bool:
        return self._versions is not None

    def take_output(self) -> list[Buffer]:
        """The bytes to write now, in order."""
        output, self._output = self._output, []
        return output

    # Time and endings.

    def next_deadline(self) -> int | None:
        """When `on_deadline` is due."""
        return min((asked.deadline_ms for queue in (self._in_flight, self._waiting) for asked in queue), default=None)

    def on_deadline(self, now_ms: int) -> None:
        """Answers come in order: one that is overdue holds up all others, and the connection is given up."""
        if any(asked.deadline_ms <= now_ms for asked in self._in_flight):
            self.fail("no answer in time")
            return
        overdue = [asked for asked in self._waiting if asked.deadline_ms <= now_ms]
        self._waiting = deque(asked for asked in self._waiting if asked.deadline_ms > now_ms)
        for asked in overdue:
            asked.on_done(ConnectionFailed("no answer in time"))

    def fail(self, reason: str) -> None:
        """The connection is gone: every request gets its outcome."""
        if self.failure is not None:
            return
        self.failure = ConnectionFailed(reason)
        left = [*self._in_flight, *self._waiting]
        self._in_flight.clear()
        self._waiting.clear()
        self._output = []
        for asked in left:
            asked.on_done(self.failure)

    # Answers.

    def receive(self, data: Buffer) -> None:
        """What the broker sent. Bytes that are no answer fail the exchange."""
        frames = self._frames.feed(data)
        while self.failure is None:
            try:
                frame = next(frames, None)
                if frame is None:
                    return
                asked, response = self._answer(frame)
            except (BadFrame, MalformedMessage) as error:
                self.fail(f"what answers does not speak Kafka's protocol as we know it: {error}")
                return
            self._send_waiting()
            # Last, since it may ask again.
            asked.on_done(response)

    def _answer(self, frame: memoryview) -> tuple[_Asked, Response]:
        """The answer, and what it answers. MalformedMessage."""
        correlation_id = int.from_bytes(frame[:4], "big", signed=True)
        if not self._in_flight or self._in_flight[0].correlation_id != correlation_id:
            raise MalformedMessage(f"correlation id {correlation_id} was not expected")
        asked = self._in_flight[0]
        cls = type(asked.request)
        if isinstance(asked.request, ApiVersionsRequest) and self._versions is None:
            return asked, self._take_versions(asked, frame)
        start = response_header_size(cls.API_KEY, flexible=cls.is_flexible(asked.version))
        response = codec.decode(response_class(cls), asked.version, frame, start)
        self._in_flight.popleft()
        return asked, response

    # The handshake.

    def _handshake(self, version: int, deadline_ms: int) -> None:
        request = ApiVersionsRequest(client_software_name=SOFTWARE_NAME, client_software_version=SOFTWARE_VERSION)
        self._send(_Asked(request, lambda outcome: None, deadline_ms, version, True), version)

    def _take_versions(self, asked: _Asked, frame: memoryview) -> Response:
        # A broker that does not know the version answers in version 0, whose first field is the error.
        code = int.from_bytes(frame[4:6], "big", signed=True)
        version = 0 if code == ErrorCode.UNSUPPORTED_VERSION else asked.version
        response = codec.decode_prefix(
            ApiVersionsResponse, version, frame, response_header_size(ApiKey.API_VERSIONS, flexible=True)
        )[0]
        self._in_flight.popleft()
        if code == ErrorCode.UNSUPPORTED_VERSION and asked.version > 0:
            known = {api.api_key: api.max_version for api in response.api_keys}
            self._handshake(min(known.get(ApiKey.API_VERSIONS, 0), asked.version - 1), asked.deadline_ms)
            return response
        if code != ErrorCode.NONE:
            raise MalformedMessage(f"ApiVersions was answered with error {code}")
        self._versions = {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}
        return response

    # Sending.

    def _send_waiting(self) -> None:
        while self._versions is not None and self._waiting and len(self._in_flight) < self._in_flight_max:
            asked = self._waiting.popleft()
            try:
                self._send(asked, self._agreed_version(asked))
            except RequestUnsupported as error:
                asked.on_done(error)
                continue
            if not asked.answered:
                asked.on_done(response_class(type(asked.request))())

    def _agreed_version(self, asked: _Asked) -> int:
        assert self._versions is not None
        cls = type(asked.request)
        first, last = self._versions.get(cls.API_KEY, (0, -1))
        name = cls.__name__.removesuffix("Request")
        if last < 0:
            raise RequestUnsupported(f"the broker does not support {name}")
        version = min(last, asked.version_max)
        if version < max(first, cls.VERSIONS[0]):
            ours = f"{cls.VERSIONS[0]} to {asked.version_max}"
            raise RequestUnsupported(f"the broker supports {name} from version {first} to {last}, this client from {ours}")
        return version

    def _send(self, asked: _Asked, version: int) -> None:
        cls = type(asked.request)
        try:
            body = codec.encode(asked.request, version)
        except UnsupportedField as error:
            raise RequestUnsupported(str(error)) from error
        self._correlation_id = 0 if self._correlation_id == CORRELATION_ID_MAX else self._correlation_id + 1
        asked.version, asked.correlation_id = version, self._correlation_id
        header = encode_request_header(
            RequestHeader(cls.API_KEY, version, self._correlation_id, self._client_id), flexible=cls.is_flexible(version)
        )
        size = len(header) + codec.encoded_size(body)
        self._output += [size.to_bytes(4, "big") + bytes(header), *body]
        if asked.answered:
            self._in_flight.append(asked)
