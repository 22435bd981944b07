"""`./board simulate`: what it counts and keeps, what it says of a failure, and that one can end it at any time."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import simulate
from broker.node.offsets_log import NodeOffsetsLog
from simulation import workers
from simulation.ledger import InvariantBroken
from simulation.scenario import KINDS, Outcome
from simulation.sums import Sums, Version, this_version
from waiting import wait_until

from demo import lock

ROOT = Path(__file__).resolve().parents[2]
SEEDS_MAX = 12
FAILED = r"^FAILED  process, seed (\d+): (group .* stands at .*)\n +replay it: (.*)\n +what happened: (.*)$"


def kept(data: Path) -> Sums:
    return Sums.load(data / "simulation" / "sums.json", this_version())


def start(data: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "simulate", *arguments],
        env=os.environ | {"BOARD_DATA": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that take no time; the seed 3 of the kind disk fails, and every seed from 100 on."""

    def planted(seed: int, kind: str, prepare: object) -> Outcome:
        if (kind, seed) == ("disk", 3) or seed >= 100:
            raise InvariantBroken(f"disk {seed} is bad")
        beyond = kind == "machine"
        return Outcome("abc", acknowledged=7, struck={"kill": 2}, occurrences={"election": 1}, beyond_budget=beyond)

    monkeypatch.setattr(workers, "run", planted)
    monkeypatch.setattr(simulate, "load_everything", lambda: None)


def test_a_planted_bug_gives_seed_command_and_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(NodeOffsetsLog, "read_all", lambda self, partition: iter(()))  # a broker that forgets what groups committed
        assert simulate.main(["--kind", "process", "--runs", str(SEEDS_MAX), *data]) == 1
        out = capsys.readouterr().out
        failed = re.search(
            r"^FAILED  process, seed (\d+): (group .* stands at .*)\n +replay it: (.*)\n +what happened: (.*)$", out, re.M
        )
        assert failed is not None, out
        seed, what, command, trace = failed.groups()
        assert Path(trace).read_text().splitlines()[-1] == what
        assert int(seed) in {failure.seed for failure in kept(tmp_path).version.failures}
        # The command shows the same, with every line.
        words = shlex.split(command)
        assert words[:2] == ["./board", "simulate"]
        assert simulate.main([*words[2:], *data]) == 1
        again = capsys.readouterr().out
        assert f"FAILED  process, seed {seed}: {what}\n" in again
        assert "    0.000 broker-1: starts, life 1\n" in again
        assert re.search(r"faults: .* at broker-1\n", again)
    assert simulate.main([*words[2:], *data]) == 0
    assert "no violation; digest " in capsys.readouterr().out


@pytest.mark.usefixtures("brief")
def test_sums_are_kept_and_seeds_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--kind", "process", "machine", "--data", str(tmp_path)]
    assert simulate.main(["--runs", "4", *arguments]) == 0
    assert simulate.main(["--runs", "5", *arguments]) == 0
    sums = kept(tmp_path)
    assert {kind: one.runs for kind, one in sums.version.kinds.items()} == {"process": 5, "machine": 4}
    assert {kind: seeds.next for kind, seeds in sums.seeds.items()} == {"process": 5, "machine": 4}
    total = sums.version.total
    assert (total.acknowledged, total.beyond_budget, total.faults, total.occurrences) == (63, 4, {"kill": 18}, {"election": 9})
    capsys.readouterr()
    assert simulate.main(["--sums", *arguments]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^process +5 +0 +0 +0.00 +35 +10 *$", out, re.M)
    assert re.search(r"^machine +4 +0 +4 +0.00 +28 +8 *$", out, re.M)
    assert "faults: kill 18\noccurred: election 9\n" in out
    assert simulate.main(["--fresh", "--runs", "1", *arguments]) == 0
    assert kept(tmp_path).version.total.runs == 1


@pytest.mark.usefixtures("brief")
def test_other_versions_are_counted_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--runs", "3", "--kind", "process", "--data", str(tmp_path)]
    for digest in ("old", "older", "new"):
        monkeypatch.setattr(simulate, "this_version", lambda digest=digest: Version(digest, "1a2b3c4"))
        assert simulate.main(arguments) == 0
    out = capsys.readouterr().out
    assert "  code new (commit 1a2b3c4): 3 runs, " in out
    assert "  2 other versions of the code: 6 runs, " in out
    assert "  all: 9 runs, " in out
    assert kept(tmp_path).seeds["process"].next == 9


@pytest.mark.usefixtures("brief")
def test_one_failure_does_not_end_it_and_many_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--kind", "disk", "--runs", "8", "--data", str(tmp_path)]) == 1
    assert kept(tmp_path).version.total.runs == 8
    assert capsys.readouterr().out.count("replay it: ./board simulate --kind disk --seed 3\n") == 2, "at once, and at the end"
    assert simulate.main(["--kind", "disk", "--seed", "100", "--minutes", "5", "--data", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert simulate.FAILURES_MAX <= out.count("FAILED") / 2 <= simulate.FAILURES_MAX + workers.cores()
    assert kept(tmp_path).version.total.runs == 8, "a seed that was asked for is not kept"


@pytest.mark.usefixtures("brief")
def test_without_a_kind_it_is_all_of_them(tmp_path: Path) -> None:
    assert simulate.main(["--runs", str(len(KINDS) * 2), "--data", str(tmp_path)]) == 0
    assert {kind: one.runs for kind, one in kept(tmp_path).version.kinds.items()} == dict.fromkeys(KINDS, 2)


@pytest.mark.usefixtures("brief")
def test_it_tells_on_a_terminal_and_now_and_then_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulate, "PLAIN_LINE_SECONDS", 0.0)
    arguments = ["--kind", "process", "--runs", "6", "--data", str(tmp_path)]
    simulate.main(arguments)
    lines = re.findall(r"^\d+ s: (\d) runs, .*, 0 failures$", capsys.readouterr().out, re.M)
    assert lines[-1] == "6"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    simulate.main(arguments)
    out = capsys.readouterr().out
    assert "6 runs, " in out and "faults: kill 12" in out and "occurred: election 6" in out
    assert "\x1b[" in out, "lines are renewed in place"


def test_two_at_once_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = lock.take(tmp_path / "simulation" / "lock")
    try:
        assert simulate.main(["--runs", "1", "--data", str(tmp_path)]) == 1
    finally:
        held.release()
    assert capsys.readouterr().err == f"board: another ./board simulate (process {os.getpid()}) runs on {tmp_path}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runs", "0"], "argument --runs: '0' is not allowed; a whole number above 0 is"),
        (["--seed", "-1"], "argument --seed: '-1' is not allowed; a whole number from 0 is"),
        (["--minutes", "nan"], "argument --minutes: 'nan' is not allowed; a number above 0 is"),
        (["--processes", "x"], "argument --processes: 'x' is not allowed"),
        (["--kind", "earthquake"], "argument --kind: invalid choice: 'earthquake'"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        simulate.main(arguments)
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert simulate.main(["--runs", "1", "--data", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == (
        f"board: {tmp_path / 'file'} cannot be used: Not a directory; choose another with --data DIR\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_when_asked_and_goes_on_where_it_was(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--minutes", "10", "--kind", "process", "everything")
    wait_until(lambda: process.poll() is not None or kept(tmp_path).version.total.runs >= 2, "two runs")
    asked = time.monotonic()
    os.killpg(process.pid, number)  # as Ctrl-C does: all of its processes
    out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert time.monotonic() - asked < 30
    before = kept(tmp_path).version.total.runs
    assert re.search(rf"^all +{before} +0 ", out, re.M)
    assert f": {before} runs, " in out.splitlines()[-1]
    done = start(tmp_path, "--runs", "3", "--kind", "process", "everything")
    out, error = done.communicate(timeout=100)
    assert (done.returncode, error) == (0, "")
    sums = kept(tmp_path)
    assert f": {before + 3} runs, " in out.splitlines()[-1]
    left = sum(len(seeds.again) for seeds in sums.seeds.values())
    assert sum(seeds.next for seeds in sums.seeds.values()) == sums.version.total.runs + left, "each seed once"
