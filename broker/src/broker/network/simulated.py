"""The simulated twin of the network port: bytes move between objects, late and in pieces, on the virtual clock.

`Wires` is what all nodes share: addresses, delays, sizes of pieces, faults. `SimulatedNetwork` is what one node sees of it.
A connection has two `SimulatedTransport`s. What is written goes into the sender's socket buffer, or waits in the transport
while that is full; pieces of seeded sizes reach the other side after seeded delays, in order, while that side reads and has
room. A socket's bytes still arrive when its process has died, a transport's do not.

Faults: `crash` (the process dies and its connections end; or the machine, and the others hear nothing until it is back),
`cut_connections` (resets, bytes on the way are lost), `part`, `mend` and `heal` (nothing passes from one node to another),
`pause` and `resume` (a node does nothing; its sockets take what comes, and its listeners connections).
Everything follows from the random source and the clock. Not done: loss of packets, which TCP hides but for the delay.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import Any, Protocol

from broker.network.port import ProtocolFactory

FIRST_FREE_PORT = 32768
DELAY_MS_MAX = 3
# What two sockets hold between them, as a rule less than a large frame.
SOCKET_BYTES = 64 * 1024
INBOX_BYTES = 64 * 1024
HIGH_WATER_BYTES = 64 * 1024
# How often a sender tries again while its node is parted from the other.
RETRANSMIT_MS = 200
CONNECT_TIMEOUT_MS = 30_000
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})
BACKLOG = 1024


class Clock(Protocol):
    """What the wires need of the clock (`broker.clock` is a sibling, so its port is not imported)."""

    def monotonic_ms(self) -> int: ...

    def call_at(self, deadline_ms: int, callback: Callable[[], None], /) -> object: ...


class RandomSource(Protocol):
    """What the wires need of `random.Random`."""

    def randint(self, a: int, b: int, /) -> int: ...

    def randrange(self, stop: int, /) -> int: ...


Address = tuple[str, int]
Watch = Callable[[str], None]


class Wires:
    """What the nodes of one simulation share. `watch` is told of every event, a line each."""

    def __init__(
        self, clock: Clock, rng: RandomSource, *, delay_ms_max: int = DELAY_MS_MAX, watch: Watch = lambda line: None
    ) -> None:
        self._clock = clock
        self.rng = rng
        self.delay_ms_max = delay_ms_max
        self.watch = watch
        self.listeners: dict[Address, SimulatedListener] = {}
        # By the addresses of their ends, in the order of their making.
        self.transports: dict[tuple[Address, Address], SimulatedTransport] = {}
        self._parted: set[tuple[str, str]] = set()
        # By node that is paused: what its protocols are to be told when it goes on.
        self._held: dict[str, list[Callable[[], None]]] = {}

    def later(self, callback: Callable[[], None], delay_ms: int | None = None) -> None:
        """Call after a delay, a seeded one by default."""
        delay = self.rng.randint(0, self.delay_ms_max) if delay_ms is None else delay_ms
        self._clock.call_at(self._clock.monotonic_ms() + delay, callback)

    def part(self, source: str, target: str) -> None:
        """From now on nothing passes from one node to another (the other direction is another matter)."""
        self._parted.add((source, target))

    def mend(self, source: str, target: str) -> None:
        """It passes again from one node to another."""
        self._parted.discard((source, target))

    def heal(self) -> None:
        """Everything passes again."""
        self._parted.clear()

    def pause(self, host: str) -> None:
        """Nothing of this node is called until `resume`."""
        self._held.setdefault(host, [])

    def resume(self, host: str) -> None:
        for callback in self._held.pop(host, []):
            self.later(callback, 0)

    def holds(self, host: str, callback: Callable[[], None]) -> bool:
        """Whether a node is paused; the callback is called when it goes on."""
        held = self._held.get(host)
        if held is None:
            return False
        held.append(callback)
        return True

    def passes(self, source: str, target: str) -> bool:
        return (source, target) not in self._parted

    def cut_connections(self, one: str, other: str) -> int:
        """Reset all connections between two nodes; how many."""
        found = [t for t in self.transports.values() if (t.local[0], t.remote[0]) == (one, other)]
        for transport in found:
            transport.cut()
        return len(found)

    def is_up(self, host: str) -> bool:
        """Whether a node with listeners runs there."""
        return any(address[0] == host for address in self.listeners)

    def piece(self, available: int) -> int:
        """How many of the bytes that are there come at once: mostly all, sometimes a few."""
        return available if self.rng.randrange(3) else self.rng.randint(1, available)


class SimulatedListener:
    """A bound address; connections wait until `accept`."""

    def __init__(self, wires: Wires, host: str, port: int, protocol_factory: ProtocolFactory) -> None:
        self.host = host
        self.port = port
        self._wires = wires
        self._factory = protocol_factory
        self._accepting = False
        self._backlog: list[SimulatedTransport] = []

    def accept(self) -> None:
        self._accepting = True
        for transport in self._backlog:
            self._wires.later(lambda transport=transport: self._hand_over(transport), 0)  # type: ignore[misc]
        self._backlog.clear()

    def arrived(self, near: "SimulatedTransport") -> bool:
        """A client connects with this end; False when there is no room for it."""
        if self._accepting:
            far = near.accepted()
            self._wires.later(lambda: self._hand_over(far), 0)
        elif len(self._backlog) < BACKLOG:
            self._backlog.append(near.accepted())
        else:
            return False
        return True

    def _hand_over(self, transport: "SimulatedTransport") -> None:
        if self._wires.holds(self.host, lambda: self._hand_over(transport)):
            return
        if not transport.is_closing():
            transport.start(self._factory())

    def close(self) -> None:
        self._wires.listeners.pop((self.host, self.port), None)
        for transport in self._backlog:
            transport.cut()
        self._backlog.clear()


class SimulatedNetwork:
    """The endpoints of one node. It outlives the node: crash it, then start a new node on it."""

    def __init__(self, wires: Wires, host: str) -> None:
        self._wires = wires
        self.host = host
        self._next_port = FIRST_FREE_PORT

    def listen(self, host: str, port: int, protocol_factory: ProtocolFactory) -> SimulatedListener:
        if host not in EVERY_ADDRESS and host != self.host:
            raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {host}:{port}: Cannot assign requested address")
        address = (self.host, port or self._free_port())
        if address in self._wires.listeners:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {host or '*'}:{port}: Address already in use")
        listener = self._wires.listeners[address] = SimulatedListener(self._wires, *address, protocol_factory)
        return listener

    def _free_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        wires, remote = self._wires, (host, port)
        near = SimulatedTransport(wires, (self.host, self._free_port()), remote)

        def fail(error: OSError) -> None:
            if wires.holds(self.host, lambda: fail(error)):
                return
            if near.forget():
                wires.watch(f"{near.name}: {error.strerror}")
                on_failure(error)

        near.on_failure = on_failure

        def made() -> None:
            if not wires.holds(self.host, made) and not near.is_closing():
                near.start(protocol_factory())

        def arrive() -> None:
            if not (wires.passes(self.host, host) and wires.passes(host, self.host)):
                timed_out = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
                wires.later(lambda: fail(timed_out), CONNECT_TIMEOUT_MS)
                return
            listener = wires.listeners.get(remote)
            if listener is None or near.is_closing() or not listener.arrived(near):
                wires.later(lambda: fail(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")))
                return
            wires.later(made)

        wires.later(arrive)

    def pause(self) -> None:
        """The node does nothing until `resume`: it is told of nothing, while its sockets take what comes."""
        self._wires.pause(self.host)

    def resume(self) -> None:
        self._wires.resume(self.host)

    def crash(self, *, silently: bool = False) -> None:
        """The node dies: nothing of it is called any more. The others find out, unless the machine died (`silently`)."""
        self._wires.resume(self.host)
        for address in [address for address in self._wires.listeners if address[0] == self.host]:
            self._wires.listeners.pop(address).close()
        for transport in list(self._wires.transports.values()):
            if transport.local[0] == self.host:
                transport.die(silently=silently)


class SimulatedTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, wires: Wires, local: Address, remote: Address) -> None:
        super().__init__({"sockname": local, "peername": remote})
        self._wires = wires
        self.local = local
        self.remote = remote
        self.peer: SimulatedTransport | None = None
        # Who is told when there will be no connection; until there is one.
        self.on_failure: Callable[[OSError], None] | None = None
        self._protocol: asyncio.BufferedProtocol | None = None
        # Written, and not yet taken by the socket; taken by the socket; arrived here and not yet read.
        self._buffer = bytearray()
        self._socket = bytearray()
        self._inbox = bytearray()
        self._high, self._low = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self._write_paused = False
        self._moving = False
        self._reading = True
        self._read_due = False
        # This end sends no more behind what it has; the other end has said so.
        self._ending = False
        self._end_seen = False
        # The protocol (or the death of its process) has ended the connection; the protocol has been told.
        self._closing = False
        self._left = False
        self._silent = False
        wires.transports[local, remote] = self

    @property
    def name(self) -> str:
        return f"{self.local[0]}:{self.local[1]} to {self.remote[0]}:{self.remote[1]}"

    def accepted(self) -> "SimulatedTransport":
        """The other end, at the listener."""
        far = self.peer = SimulatedTransport(self._wires, self.remote, self.local)
        far.peer = self
        return far

    def start(self, protocol: asyncio.BufferedProtocol) -> None:
        """The connection is made."""
        self._protocol, self.on_failure = protocol, None
        self._wires.watch(f"{self.name}: connected")
        protocol.connection_made(self)
        self._read_soon()

    def forget(self) -> bool:
        """There will be no connection; False when it is over already."""
        return self._wires.transports.pop((self.local, self.remote), None) is not None and not self._closing

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([data])

    def writelines(self, list_of_data: Any) -> None:
        if self._closing or self._ending:
            return
        for data in list_of_data:
            self._buffer += data
        self._fill_socket()
        if len(self._buffer) > self._high and not self._write_paused and self._protocol is not None:
            self._write_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        self._ending = True
        self._move_soon()

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        high = HIGH_WATER_BYTES if high is None else high
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def _fill_socket(self) -> None:
        room = SOCKET_BYTES - len(self._socket)
        if room > 0 and self._buffer:
            self._socket += self._buffer[:room]
            del self._buffer[:room]
        self._move_soon()

    def _move_soon(self, delay_ms: int | None = None) -> None:
        if not self._moving and (self._socket or self._ending):
            self._moving = True
            self._wires.later(self._move, delay_ms)

    def _move(self) -> None:
        """A piece of what the socket holds reaches the other side, or the news that there is no more."""
        self._moving = False
        peer = self.peer
        if peer is None:
            return
        if peer._silent or not self._wires.passes(self.local[0], self.remote[0]):
            if peer._silent and self._wires.is_up(self.remote[0]):
                self.reset()  # The machine is back, and knows of no such connection.
            elif not self._left:
                self._move_soon(RETRANSMIT_MS)
            return
        if peer._closing:
            if self._socket:
                self.reset()
            return
        room = INBOX_BYTES - len(peer._inbox)
        if self._socket and room > 0:
            count = self._wires.piece(min(len(self._socket), room))
            peer._inbox += self._socket[:count]
            del self._socket[:count]
            self._wires.watch(f"{self.name}: {count} bytes")
            self._fill_socket()
            peer._read_soon()
            self._drained()
        elif not self._socket and self._ending and not peer._end_seen:
            peer._end_seen = True
            self._wires.watch(f"{self.name}: the end")
            peer._read_soon()

    def _drained(self) -> None:
        """The socket has taken more of what was written."""
        if self._closing and not self._buffer:
            self._leave(None)
        elif self._write_paused and len(self._buffer) <= self._low and self._protocol is not None:
            self._write_paused = False
            self._protocol.resume_writing()

    # Reading.

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._read_soon()

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def _read_soon(self) -> None:
        if self._protocol is not None and not self._read_due and self.is_reading() and (self._inbox or self._end_seen):
            self._read_due = True
            self._wires.later(self._read, 0)

    def _read(self) -> None:
        """Hand one bufferful to the protocol, or the news that there is no more."""
        if self._wires.holds(self.local[0], self._read):
            return
        self._read_due = False
        protocol = self._protocol
        if protocol is None or not self.is_reading():
            return
        if self._inbox:
            target = memoryview(protocol.get_buffer(-1))
            assert target, "get_buffer returned an empty buffer"
            count = min(len(target), len(self._inbox))
            target[:count] = self._inbox[:count]
            del self._inbox[:count]
            if self.peer is not None:
                self.peer._move_soon()
            self._read_soon()
            protocol.buffer_updated(count)
        elif self._end_seen:
            self._reading = False
            if not protocol.eof_received():
                self.close()

    # Endings.

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Send what was written, then end."""
        if self._closing:
            return
        self._closing = self._ending = True
        if self._buffer:
            self._move_soon()
        else:
            self._leave(None)

    def abort(self) -> None:
        """End at once. What the socket has still arrives, what it has not taken is lost."""
        self._closing = self._ending = True
        self._buffer.clear()
        self._leave(None)

    def reset(self) -> None:
        """The other side says that the connection is no more."""
        self._buffer.clear()
        self._socket.clear()
        self._inbox.clear()
        if not self._left:
            self._wires.watch(f"{self.name}: reset")
            self._closing = self._ending = True
            self._leave(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def cut(self) -> None:
        """Both sides are told so; what was under way is lost."""
        for end in (self, self.peer):
            if end is not None:
                end.reset()

    def die(self, *, silently: bool) -> None:
        """The process of this end is gone."""
        self._protocol = self.on_failure = None
        if silently:
            self._silent = self._closing = self._left = True
            self._socket.clear()
            self._wires.transports.pop((self.local, self.remote), None)
        else:
            self.abort()

    def _leave(self, error: OSError | None) -> None:
        """Close the socket and tell the protocol. Bytes that nobody read turn the end into a reset for the other side."""
        if self._left:
            return
        self._left = True
        if self._inbox and self.peer is not None:
            self._socket.clear()
            self._ending = False
            self._wires.later(self.peer.reset)
        self._move_soon()
        self._wires.later(lambda: self._lost(error), 0)

    def _lost(self, error: OSError | None) -> None:
        if self._wires.holds(self.local[0], lambda: self._lost(error)):
            return
        self._wires.transports.pop((self.local, self.remote), None)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(error)
        elif self.on_failure is not None and error is not None:
            self.on_failure(error)
