"""What the command line takes, and what it refuses in which words."""

from pathlib import Path

import pytest
from demo.__main__ import build_parser, main
from demo.layout import PORT_BASE, ROOT, DemoError


def test_defaults() -> None:
    up = build_parser().parse_args(["up"])
    assert (up.detach, up.port_base, up.data.name, up.brokers) == (False, PORT_BASE, "data", 3)
    assert build_parser().parse_args(["up", "--brokers", "1"]).brokers == 1
    load = build_parser().parse_args(["load", "--seconds", "2.5", "--rate", "9"])
    assert (load.seconds, load.rate) == (2.5, 9.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--port-base", "80"], "argument --port-base: '80' is not allowed; a whole number from 1024 to "),
        (["up", "--port-base", "eighty"], "'eighty' is not allowed"),
        (["up", "--port-base", "65535"], "'65535' is not allowed"),
        (["load", "--rate", "0"], "argument --rate: '0' is not allowed; a number above 0 is"),
        (["load", "--seconds", "-1"], "argument --seconds: '-1' is not allowed"),
        (["load", "--seconds", "inf"], "'inf' is not allowed"),
        (["verify", "--timeout", "nan"], "'nan' is not allowed"),
        (["up", "--brokers", "2"], "argument --brokers: invalid choice: 2"),
        (["drill"], "required: NAME"),
        (["drill", "earthquake"], "argument NAME: invalid choice: 'earthquake'"),
        (["drill", "leader-dies", "--language", "fr"], "argument --language: invalid choice: 'fr'"),
        (["up", "--fast"], "unrecognized arguments: --fast"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "groups", "seed", "load", "verify", "drill leader-dies"])
def test_a_command_that_needs_a_board_says_so(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"board: no board is running on {tmp_path}; start it with ./board up\n"


def test_down_without_a_board_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no board is running on {tmp_path}\n"


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["test", "demo", "-k", "lock", "-x"], "tests/run.py"),
        (["simulate", "--kind", "process", "--seed", "7"], "tests/simulate.py"),
        (["bench", "--brokers", "3"], "bench/run.py"),
        (["check"], "tests/check.py"),
    ],
)
def test_the_arguments_of_the_scripts_are_handed_on(words: list[str], script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def execv(program: str, arguments: list[str]) -> None:
        called.append(arguments)
        raise SystemExit(0)

    monkeypatch.setattr("os.execv", execv)
    with pytest.raises(SystemExit):
        main(words)
    assert called[0][1] == str(ROOT / script)
    assert Path(called[0][1]).is_file()
    assert called[0][2:] == words[1:]


def test_what_one_can_mend_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arguments: object) -> int:
        raise DemoError("the cable is out")

    monkeypatch.setattr("demo.commands.status.run", fail)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "board: the cable is out\n"
