"""One client connection: bytes in, frames, requests run, responses out in the order of the requests.

Produces run as they arrive, even while earlier ones still wait for replicas; any other request waits until everything
before it is answered. Small frames are parsed straight from a scratch buffer that all connections share; a frame that does
not fit gets a buffer of its own, which counts against a node-wide budget. Whatever is not well-formed closes the
connection with a logged reason. Bounds: `queued.max.requests` per connection, the budget, `WRITE_STALL_MS`, `FRAME_MS`,
`connections.max.idle.ms`.
"""

import asyncio
import logging
import struct
from collections import deque
from typing import TYPE_CHECKING

from broker.protocol import codec
from broker.protocol.api_keys import ApiKey
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import KafkaError
from broker.protocol.headers import decode_request_header, encode_response_header, peek_api
from broker.protocol.message import Response
from broker.protocol.types import Buffer
from broker.server.api_table import BY_KEY
from broker.server.services import DEFERRED, NO_RESPONSE, CloseConnection, RequestContext

if TYPE_CHECKING:
    from broker.server.acceptor import Acceptor

log = logging.getLogger("broker.connection")
LENGTH = struct.Struct(">i")
LENGTH_BYTES = 4
# A frame has at least an API key, a version and a correlation id.
FRAME_BYTES_MIN = 8
# A client that takes no answer for so long is cut off, and so is one that does not finish its frame.
WRITE_STALL_MS = 60_000
FRAME_MS = 60_000
# A frame is given no more room than this before so much of it has come, then twice as much, and so on: a length is easily
# claimed. It holds what the scratch buffer may bring of it.
FRAME_ROOM_BYTES = 1024 * 1024
# Frames of this size need no room in the budget, so that whoever uses it up leaves others the small ones.
SMALL_FRAME_BYTES = 64 * 1024
# Requests other than Produce are objects many times their size; none needs more than this.
OTHER_REQUEST_BYTES_MAX = 8 * 1024 * 1024


class Slot:
    """The place of one request in the order of answers."""

    __slots__ = ("api_key", "context", "parts")

    def __init__(self, api_key: int) -> None:
        self.api_key = api_key
        # None until it is answered; empty when nothing is to be sent.
        self.parts: list[Buffer] | None = None
        # While it waits for its answer; not longer, so that nothing is left for the garbage collector.
        self.context: RequestContext | None = None


class Connection(asyncio.BufferedProtocol):
    """See the module."""

    def __init__(self, acceptor: "Acceptor", listener_name: str, listener_kind: str) -> None:
        self._acceptor = acceptor
        self._listener_name = listener_name
        self._listener_kind = listener_kind
        self._transport: asyncio.Transport | None = None
        self._client_host = "?"
        # The start of a frame whose length is not known yet.
        self._head = b""
        # A frame that needs a buffer of its own, and how much of it has come.
        self._frame: memoryview | None = None
        self._frame_bytes = 0
        self._filled = 0
        self._budgeted = 0
        self._slots: deque[Slot] = deque()
        # Whole frames that wait for those before them, with what each takes of the budget.
        self._waiting: deque[tuple[Buffer, int]] = deque()
        self._write_paused = False
        self._running = False
        # The node of the cluster at the other end, when it is one.
        self._peer_id: int | None = None
        self.last_active_ms = acceptor.clock.monotonic_ms()
        self.frame_since_ms: int | None = None
        self.stalled_since_ms: int | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "writelines")
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._client_host = str(peer[0]) if peer else "?"
        self._acceptor.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._release()
        slots, self._slots = self._slots, deque()
        for slot in slots:
            context, slot.context = slot.context, None
            if context is not None and context.abandon is not None:
                context.abandon()
        self._acceptor.closed(self)
        if self._peer_id is not None:
            self._acceptor.services.on_peer_lost(self._peer_id)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._frame is not None:
            return self._frame[self._filled :]
        return self._acceptor.scratch

    def buffer_updated(self, nbytes: int) -> None:
        self.last_active_ms = self._acceptor.clock.monotonic_ms()
        try:
            if self._frame is None:
                self._take(self._acceptor.scratch[:nbytes])
                return
            self._filled += nbytes
            if self._filled == self._frame_bytes:
                frame, budgeted = self._frame, self._budgeted
                self._frame, self.frame_since_ms, self._budgeted = None, None, 0
                self._arrived(frame, budgeted)
            elif self._filled == len(self._frame):
                self._give_room(min(self._frame_bytes, 2 * self._filled))
        except (MalformedMessage, CloseConnection) as error:
            self.abort(str(error))

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._write_paused = True
        self.stalled_since_ms = self._acceptor.clock.monotonic_ms()
        self._throttle()

    def resume_writing(self) -> None:
        self._write_paused = False
        self.stalled_since_ms = None
        self._advance()

    # Frames.

    def _take(self, data: memoryview) -> None:
        """Cut what came into frames; the rest begins the next one."""
        if self._head:
            data = memoryview(self._head + bytes(data))
            self._head = b""
        position = 0
        while len(data) - position >= LENGTH_BYTES:
            length = self._checked_length(data, position)
            start = position + LENGTH_BYTES
            if len(data) - start < length:
                self._begin_frame(data[start:], length)
                return
            self._arrived(data[start : start + length], 0)
            if self._transport is None:
                return
            position = start + length
        self._head = bytes(data[position:])

    def _checked_length(self, data: memoryview, position: int) -> int:
        (length,) = LENGTH.unpack_from(data, position)
        largest = self._acceptor.config.socket_request_max_bytes
        if not FRAME_BYTES_MIN <= length <= largest:
            raise MalformedMessage(
                f"a frame claims {length} bytes; socket.request.max.bytes allows {FRAME_BYTES_MIN} to {largest}"
            )
        return int(length)

    def _begin_frame(self, part: memoryview, length: int) -> None:
        """A frame that is not here whole: give it a buffer. Until more has come, only so much of its length is believed."""
        self._frame_bytes, self._filled = length, 0
        self._give_room(min(length, FRAME_ROOM_BYTES))
        assert self._frame is not None
        self._frame[: len(part)] = part
        self._filled = len(part)
        self.frame_since_ms = self._acceptor.clock.monotonic_ms()

    def _give_room(self, room: int) -> None:
        """Make the frame's buffer so large, when the budget has room; small frames are not asked for any."""
        if self._frame_bytes > SMALL_FRAME_BYTES:
            if not self._acceptor.budget.take(room - self._budgeted, held=self._budgeted):
                raise CloseConnection(
                    f"requests in memory have reached queued.max.request.bytes; a frame of {self._frame_bytes} bytes is refused"
                )
            self._budgeted = room
        buffer = memoryview(bytearray(room))
        if self._frame is not None:
            buffer[: self._filled] = self._frame
        self._frame = buffer

    def _release(self) -> None:
        """Let go of everything that has come and was not run."""
        self._acceptor.budget.give_back(self._budgeted + sum(budgeted for _, budgeted in self._waiting))
        self._budgeted = 0
        self._frame = None
        self._waiting.clear()

    # Requests.

    def _arrived(self, frame: memoryview, budgeted: int) -> None:
        """A whole frame: run it now, or keep it until those before it are answered. `budgeted`: 0 in the scratch buffer."""
        if self._waiting or not self._may_run(frame):
            self._waiting.append((frame if budgeted else bytes(frame), budgeted))
            self._throttle()
            return
        self._run_budgeted(frame, budgeted)

    def _may_run(self, frame: Buffer) -> bool:
        if self._transport is None or self._write_paused or len(self._slots) >= self._acceptor.config.queued_max_requests:
            return False
        if not self._slots:
            return True
        key, _, _ = peek_api(frame)
        # What is not a Produce runs alone, so the last one speaks for all.
        return key == ApiKey.PRODUCE and self._slots[-1].api_key == ApiKey.PRODUCE

    def _run_budgeted(self, frame: Buffer, budgeted: int) -> None:
        try:
            self._run(frame)
        finally:
            self._acceptor.budget.give_back(budgeted)

    def _run(self, frame: Buffer) -> None:
        key, version, correlation_id = peek_api(frame)
        api = BY_KEY.get(key)
        if api is None or self._listener_kind not in api.listeners:
            raise MalformedMessage(f"API key {key} is not served on listener {self._listener_name}")
        if key != ApiKey.PRODUCE and len(frame) > OTHER_REQUEST_BYTES_MAX:
            raise MalformedMessage(f"a request of API key {key} has {len(frame)} bytes, {OTHER_REQUEST_BYTES_MAX} are allowed")
        supported = api.first <= version <= api.last
        if not supported and key != ApiKey.API_VERSIONS:
            raise MalformedMessage(f"version {version} of {api.key.name} is not supported, {api.first} to {api.last} are")
        header, position = decode_request_header(frame, api.flexible_from if supported else None)
        slot = Slot(key)
        answered_as = version if supported else 0
        flexible = api.flexible_from is not None and answered_as >= api.flexible_from
        head = encode_response_header(correlation_id, key, flexible=flexible)

        def respond(response: Response) -> None:
            if self._transport is None:
                return
            try:
                parts = codec.encode(response, answered_as)
            except codec.UnsupportedField as error:
                # A defect of ours; an answer that never comes would hold up the whole connection.
                log.exception("%s could not be written", type(response).__name__)
                self.abort(f"an internal error while answering: {error}")
                return
            self._answer(slot, head, parts)

        context = RequestContext(
            version, header.client_id, self._client_host, self._listener_name, respond, is_peer=self._is_peer
        )
        # Bytes after the message are passed over, as in Kafka: librdkafka leaves some behind a Metadata for all topics.
        request = codec.decode_prefix(api.request, version, frame, position)[0] if supported else api.request()
        self._slots.append(slot)
        self._handle(api.handler, request, context, slot)

    def _is_peer(self, node_id: int) -> None:
        self._peer_id = node_id

    def _handle(self, handler: object, request: object, context: RequestContext, slot: Slot) -> None:
        try:
            reply = handler(request, context, self._acceptor.services)  # type: ignore[operator]
        except (CloseConnection, MalformedMessage):
            raise
        except KafkaError as error:
            raise CloseConnection(f"{type(request).__name__} ended in {error.code.name}: {error}") from error
        except Exception as error:
            # A defect of ours must not take the node with it: this client is cut off, and the log has the trace.
            log.exception("%s from %s failed", type(request).__name__, self._client_host)
            raise CloseConnection(f"an internal error while handling {type(request).__name__}") from error
        if reply is NO_RESPONSE:
            slot.parts = []
            self._flush()
        elif reply is not DEFERRED:
            context.respond(reply)
        elif slot.parts is None:
            slot.context = context

    # Answers.

    def _answer(self, slot: Slot, head: bytes, parts: list[Buffer]) -> None:
        slot.context = None
        size = len(head) + codec.encoded_size(parts)
        slot.parts = [LENGTH.pack(size) + head + parts[0], *parts[1:]]
        self._flush()

    def _flush(self) -> None:
        """Send the answers at the head of the line."""
        if self._transport is None:
            return
        ready: list[Buffer] = []
        while self._slots and self._slots[0].parts is not None:
            ready += self._slots.popleft().parts or []
        if ready:
            self._transport.writelines(ready)
        self._advance()

    def _advance(self) -> None:
        """Run what waited and may run now."""
        if self._running or self._transport is None:
            return
        self._running = True
        try:
            while self._waiting and self._may_run(self._waiting[0][0]):
                self._run_budgeted(*self._waiting.popleft())
        except (MalformedMessage, CloseConnection) as error:
            self.abort(str(error))
        finally:
            self._running = False
        self._throttle()

    def _throttle(self) -> None:
        """Stop reading while requests wait; go on when none does."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.is_held:
            transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()
            if self.frame_since_ms is not None:
                # While nothing was read, the client could not go on.
                self.frame_since_ms = self._acceptor.clock.monotonic_ms()

    # Endings.

    @property
    def is_held(self) -> bool:
        """Whether nothing is read at the moment."""
        return bool(self._waiting) or self._write_paused

    @property
    def awaits_answer(self) -> bool:
        return bool(self._slots)

    def abort(self, reason: str) -> None:
        """Cut the connection off and say why."""
        self._acceptor.log_closing(self._client_host, self._listener_name, reason)
        self._release()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def close(self) -> None:
        """Send what is buffered, then close (the node stops)."""
        if self._transport is not None:
            self._transport.close()
