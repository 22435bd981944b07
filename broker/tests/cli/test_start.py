"""`broker start`: where its settings come from, and how it refuses to start."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from broker.cli.start import load_config, main
from broker.config import ConfigError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment the tests run in."""
    for name in ("KAFKA_NODE_ID", "KAFKA_LOG_DIRS", "CLUSTER_ID"):
        monkeypatch.delenv(name, raising=False)


def test_overrides_win_over_variables_and_these_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.properties"
    file.write_text(
        "node.id=3\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n"
        "listeners=PLAINTEXT://:0,CONTROLLER://:0\ncontroller.quorum.voters=3@localhost:9093\n"
        "log.retention.ms=1\nlog.segment.bytes=1048576\nnum.partitions=2\n"
    )
    monkeypatch.setenv("KAFKA_LOG_RETENTION_MS", "2")
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "3")
    config = load_config(str(file), ["num.partitions=4"])
    assert config.node_id == 3
    assert (config.value("log.segment.bytes"), config.value("log.retention.ms"), config.value("num.partitions")) == (
        1048576,
        2,
        4,
    )


def test_without_a_file_kafkas_shipped_values_hold() -> None:
    config = load_config(None, [])
    assert config.node_id == 1
    assert config.value("offsets.topic.replication.factor") == 1


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none: No such file"):
        load_config(str(tmp_path / "none"), [])
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read .*binary"):
        load_config(str(tmp_path / "binary"), [])


@pytest.mark.parametrize("override", ["node.id=x", "no.such.key=1", "nonsense"])
def test_bad_settings_are_one_line(override: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--override", override]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("broker start: ")
    assert override.partition("=")[0] in captured.err


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(start_command(tmp_path, address), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert address in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_without_effect_are_named(tmp_path: Path) -> None:
    command = [*start_command(tmp_path, "127.0.0.1:0"), "--override", "num.io.threads=16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready ")
        process.terminate()
        assert b"num.io.threads=16 has no effect: one event loop does the work" in process.communicate(timeout=60)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_by_signal(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(start_command(tmp_path, "127.0.0.1:0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().decode().split()
        assert (ready[0], ready[2:4]) == ("ready", ["node", "1"])
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == b""
        assert process.returncode == 0


def start_command(directory: Path, address: str) -> list[str]:
    listeners = f"listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:0"
    overrides = [listeners, f"advertised.listeners=PLAINTEXT://{address}", f"log.dirs={directory / 'data'}"]
    return [sys.executable, "-m", "broker.cli.main", "start", *(part for one in overrides for part in ("--override", one))]
