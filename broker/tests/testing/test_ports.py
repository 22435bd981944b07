"""Ports that a server can have, and have again."""

import socket
from pathlib import Path

import pytest
from broker.testing import ports
from broker.testing.ports import FIRST_PORT, TRIED, free_ports
from broker.testing.settings import HOST


@pytest.fixture
def outgoing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(ports, "OUTGOING", file)
    return file


def test_they_are_different_and_below_those_of_outgoing_connections(outgoing: Path) -> None:
    outgoing.write_text("32768\t60999\n")
    found = free_ports(50)
    assert len(set(found)) == 50
    assert all(FIRST_PORT <= port < 32768 for port in found)


def test_one_that_is_taken_is_passed_over(outgoing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    with socket.create_server((HOST, taken)):
        monkeypatch.setattr(ports, "_candidates", lambda: iter([taken, free]))
        assert free_ports(1) == [free]


def test_where_all_are_for_outgoing_connections_the_kernel_chooses(outgoing: Path) -> None:
    outgoing.write_text("1024\t65535\n")
    assert len(set(free_ports(5))) == 5


def test_a_system_that_does_not_say_its_range_is_taken_to_have_the_usual_one(outgoing: Path) -> None:
    assert all(FIRST_PORT <= port < ports.OUTGOING_BY_DEFAULT for port in free_ports(20))


def test_too_many_are_an_error(outgoing: Path) -> None:
    outgoing.write_text("32768\t60999\n")
    with pytest.raises(OSError, match=f"found no {TRIED + 1} free ports on {HOST}"):
        free_ports(TRIED + 1)
