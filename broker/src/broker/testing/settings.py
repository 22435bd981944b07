"""The settings of a broker in a test: any free port on the loopback, its own directory, no waiting for group members."""

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
