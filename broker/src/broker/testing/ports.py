"""Ports for servers that are told beforehand where to listen, and that listen there again after they were killed.

They lie below the range from which the kernel serves outgoing connections: from there, a port that was free a moment ago may be
the near end of somebody's connection by the time a server wants it.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

from broker.testing.settings import HOST

FIRST_PORT = 15_000
# Linux says where its own range begins; IANA's dynamic ports are the guess elsewhere.
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
OUTGOING_BY_DEFAULT = 49_152
# So many are tried; where there are fewer below the kernel's range, the kernel chooses.
TRIED = 300


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on. OSError when there are not so many."""
    with ExitStack() as held:
        found: list[int] = []
        for port in _candidates():
            probe = held.enter_context(socket.socket())
            # As a server binds: what is left of the last connections of one that was killed is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                probe.listen()
            except OSError:
                continue
            found.append(int(probe.getsockname()[1]))
            if len(found) == count:
                return found
    raise OSError(f"found no {count} free ports on {HOST} among {TRIED} at {FIRST_PORT} and above")


def _candidates() -> Iterator[int]:
    try:
        end = int(OUTGOING.read_text().split()[0])
    except (OSError, ValueError):
        end = OUTGOING_BY_DEFAULT
    below = range(FIRST_PORT, end)
    # Not the seeded generator: two test sessions with one seed would try the same ports at the same time.
    yield from SystemRandom().sample(below, TRIED) if len(below) >= TRIED else [0] * TRIED
