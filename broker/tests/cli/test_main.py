"""The commands by name."""

import importlib
import os
import subprocess
import sys

import pytest
from broker.cli.main import COMMANDS, main

import broker


def test_every_command_has_a_module() -> None:
    for name in COMMANDS:
        assert callable(importlib.import_module(f"broker.cli.{name.replace('-', '_')}").main)


def test_usage_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert main([]) == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{broker.__version__}\n"


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topic"]) == 1
    assert "there is no command topic" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "random-uuid"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"broker {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("topics", "--help"), ("random-uuid",)])
def test_a_reader_that_has_gone_away_ends_it_without_a_word(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "broker.cli.main", *arguments]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writing)
    assert done.stderr == ""
