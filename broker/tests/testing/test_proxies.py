"""Proxies between brokers: what is sent passes, is held back while the way is cut, and passes again."""

import socket
from collections.abc import Iterator

import pytest
from broker.testing.proxies import Proxies
from broker.testing.settings import HOST

TIMEOUT_S = 10.0
# How long nothing has to come for a way to count as cut.
SILENCE_S = 0.2


class World:
    """A server that a test plays, and a way to it from 1 to 2; another from 2 to 1 leads nowhere."""

    def __init__(self) -> None:
        self.server = socket.create_server((HOST, 0))
        self.server.settimeout(TIMEOUT_S)
        self.proxies = Proxies()
        port = int(self.server.getsockname()[1])
        self.there = self.proxies.add(1, 2, port)
        with socket.create_server((HOST, 0)) as nobody:
            self.nowhere = self.proxies.add(2, 1, int(nobody.getsockname()[1]))
        self.proxies.start()
        self.open: list[socket.socket] = [self.server]

    def connect(self, port: int | None = None) -> socket.socket:
        made = socket.create_connection((HOST, port or self.there), TIMEOUT_S)
        self.open.append(made)
        return made

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection over the proxy."""
        near = self.connect()
        far, _ = self.server.accept()
        far.settimeout(TIMEOUT_S)
        self.open.append(far)
        return near, far

    def close(self) -> None:
        for one in self.open:
            one.close()
        self.proxies.stop()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def silent(end: socket.socket) -> bool:
    end.settimeout(SILENCE_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(TIMEOUT_S)
    return False


def test_bytes_pass_both_ways(world: World) -> None:
    near, far = world.pair()
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"


@pytest.mark.parametrize("ends", ["near", "far"])
def test_the_end_of_a_connection_passes(world: World, ends: str) -> None:
    near, far = world.pair()
    ending, other = (near, far) if ends == "near" else (far, near)
    ending.close()
    assert other.recv(1) == b""


def test_a_cut_way_holds_everything_back(world: World) -> None:
    near, far = world.pair()
    world.proxies.cut(1, 2)
    near.sendall(b"late")
    far.sendall(b"too")
    assert silent(far)
    assert silent(near)
    world.proxies.heal()
    assert far.recv(100) == b"late"
    assert near.recv(100) == b"too"


def test_over_a_cut_way_nobody_is_reached(world: World) -> None:
    world.proxies.cut(1, 2)
    near = world.connect()
    near.sendall(b"hello")
    world.server.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        world.server.accept()
    world.server.settimeout(TIMEOUT_S)
    world.proxies.heal()
    far, _ = world.server.accept()
    world.open.append(far)
    assert far.recv(100) == b"hello"


def test_other_ways_are_not_cut(world: World) -> None:
    near, far = world.pair()
    world.proxies.cut(2, 1)
    near.sendall(b"question")
    assert far.recv(100) == b"question"


def test_a_target_that_is_not_there(world: World) -> None:
    """Whoever connects is told at once, as by the target's own machine."""
    assert world.connect(world.nowhere).recv(1) == b""
