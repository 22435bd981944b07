"""An `exchange` on a blocking socket: how the command line asks one broker. Every wait has a bound.

Requests can be begun on several connections and waited for afterwards. Which broker to ask is `cluster`'s business.
"""

import socket
import time
from typing import TypeVar

from broker.cli.failures import Unavailable
from broker.client.exchange import Exchange, Outcome, RequestFailed, RequestUnsupported
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request, Response

CONNECT_TIMEOUT_S = 5.0
# As request.timeout.ms of Kafka's clients.
REQUEST_TIMEOUT_S = 30.0
RECEIVE_BYTES = 256 << 10
R = TypeVar("R", bound=Response)


class Pending:
    """A request on its way."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    def take(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Connection:
    """One broker. Unavailable when it cannot be reached."""

    def __init__(self, host: str, port: int, client_id: str, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._request_timeout_s = request_timeout_s
        self._exchange = Exchange(client_id)
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        try:
            self._socket = socket.create_connection((host, port), min(CONNECT_TIMEOUT_S, request_timeout_s))
        except OSError as error:
            raise Unavailable(f"no broker answers at {self.address} ({error.strerror or error})") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._exchange.start(_now_ms())
        self._write()

    @property
    def usable(self) -> bool:
        return self._exchange.failure is None

    def begin(
        self, request: Request, *, timeout_s: float | None = None, version_max: int | None = None, answered: bool = True
    ) -> Pending:
        """Send a request; `wait` for it. `timeout_s` is how long its answer may take."""
        pending = Pending()
        timeout_ms = int((self._request_timeout_s if timeout_s is None else timeout_s) * 1000)
        self._exchange.submit(request, _now_ms() + timeout_ms, pending.take, version_max=version_max, answered=answered)
        self._write()
        return pending

    def wait(self, pending: Pending, response: type[R]) -> R:
        """The answer. Unavailable when it does not come; KafkaError when the broker cannot answer such a request."""
        while pending.outcome is None:
            self._read()
        outcome = pending.outcome
        if isinstance(outcome, RequestUnsupported):
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"{self.address}: {outcome}") from outcome
        if isinstance(outcome, RequestFailed):
            raise Unavailable(f"the broker at {self.address} does not answer: {outcome}") from outcome
        assert isinstance(outcome, response)
        return outcome

    def ask(self, request: Request, response: type[R], *, timeout_s: float | None = None, version_max: int | None = None) -> R:
        """One request and its answer, as `begin` and `wait`."""
        return self.wait(self.begin(request, timeout_s=timeout_s, version_max=version_max), response)

    def close(self) -> None:
        self._exchange.fail("this side closed the connection")
        self._socket.close()

    def _write(self) -> None:
        """Send what is due."""
        output = self._exchange.take_output()
        if not output:
            return
        try:
            self._socket.settimeout(self._request_timeout_s)
            self._socket.sendall(b"".join(output))
        except OSError as error:
            self._exchange.fail(str(error.strerror or error))

    def _read(self) -> None:
        """Take in what comes before the next deadline."""
        deadline_ms = self._exchange.next_deadline()
        assert deadline_ms is not None, "somebody waits for an answer that nobody asked for"
        try:
            self._socket.settimeout(max(0.001, (deadline_ms - _now_ms()) / 1000))
            count = self._socket.recv_into(self._buffer)
        except TimeoutError:
            self._exchange.on_deadline(_now_ms())
            if not self._exchange.ready:
                # Not even its versions came: nothing else will.
                self._exchange.fail("no answer in time")
            return
        except OSError as error:
            self._exchange.fail(str(error.strerror or error))
            return
        if count:
            self._exchange.receive(self._buffer[:count])
            self._write()
        else:
            self._exchange.fail("it closed the connection")


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
