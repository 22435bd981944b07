"""The settings of a broker in a test: any free port on the loopback, its own directory, no waiting for group members."""

import socket
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"


def test_settings(directory: Path, port: int, overrides: Mapping[str, str] | None) -> dict[str, str]:
    """`port` 0 is any free one. `overrides` win."""
    return {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:0",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(directory),
        "group.initial.rebalance.delay.ms": "0",
    } | dict(overrides or {})


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
