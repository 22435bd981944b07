"""`broker format`: the identity of a log directory."""

from pathlib import Path

import pytest
from broker.cli.format import main

CLUSTER = "AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A server.properties whose log directory does not exist yet."""
    properties = tmp_path / "server.properties"
    properties.write_text(
        "node.id=7\nprocess.roles=broker,controller\nlisteners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n"
        "controller.listener.names=CONTROLLER\ncontroller.quorum.voters=7@127.0.0.1:9093\n"
        f"log.dirs={tmp_path / 'data'}\n"
    )
    return str(properties)


def test_an_empty_directory_is_formatted(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", CLUSTER, "-c", file]) == 0
    assert capsys.readouterr().out == f"Formatting {tmp_path / 'data'} with cluster id {CLUSTER}.\n"
    meta = (tmp_path / "data" / "meta.properties").read_text()
    assert "version=1" in meta
    assert f"cluster.id={CLUSTER}" in meta
    assert "node.id=7" in meta


def test_a_formatted_directory_is_left_alone(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-t", CLUSTER, "-c", file])
    before = (tmp_path / "data" / "meta.properties").read_text()
    assert main(["-t", "BBBBBBBBBBBBBBBBBBBBBB", "-c", file]) == 1
    assert str(tmp_path / "data") in capsys.readouterr().err
    assert main(["-t", "BBBBBBBBBBBBBBBBBBBBBB", "-c", file, "--ignore-formatted"]) == 0
    assert f"is already formatted for cluster {CLUSTER}" in capsys.readouterr().out
    assert (tmp_path / "data" / "meta.properties").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-c", "/nowhere/server.properties"), "cannot read /nowhere/server.properties: No such file"),
        (("--override", "log.dirs"), "--override log.dirs is not of the form key=value"),
        (("--override", "no.such.key=1"), "no.such.key"),
    ],
)
def test_what_is_wrong_is_told(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", CLUSTER, *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("broker format: ")
    assert words in captured.err


def test_the_cluster_id_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--cluster-id" in capsys.readouterr().err
