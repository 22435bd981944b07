"""The launcher `./board`, over a Python that makes no real environment and installs nothing."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("broker", "libs/events", "libs/servicekit", "services/article", "services/comment", "services/popular", "demo")
# Stands in for Python and for the environment's Python: notes what it is asked for.
FAKE_PYTHON = f"""#!/bin/sh
case "$1 ${{2:-}}" in
    "-m venv")
        printf 'venv %s\\n' "$*" >>"$CALLS"
        for directory; do :; done
        case "$*" in *--clear*) rm -rf "$directory"; mkdir -p "$directory" ;; esac
        mkdir -p "$directory/bin"
        : >"$directory/pyvenv.cfg"
        cp "$0" "$directory/bin/python" ;;
    "-m pip")
        printf 'pip %s\\n' "$*" >>"$CALLS"
        echo "Collecting one"
        [ -z "${{PIP_WAITS:-}}" ] || while [ ! -e "$PIP_WAITS" ]; do sleep 0.1; done
        [ -z "${{PIP_FAILS:-}}" ] || {{ echo "ERROR: no such version"; exit 1; }}
        echo "Installing collected packages: one" ;;
    "-m demo") printf 'demo %s data %s\\n' "$*" "$BOARD_DATA" ;;
    *) [ -n "${{FAKE_ALL:-}}" ] || exec '{sys.executable}' "$@" ;;
esac
"""


class Checkout:
    """A copy of what the launcher looks at, in a directory whose name has a space."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "check out"
        self.calls_path = directory / "calls"
        for member in (*MEMBERS, "services/read-view"):
            (self.root / member).mkdir(parents=True)
            (self.root / member / "pyproject.toml").write_text(f"# {member}")
        (self.root / "tests").mkdir()
        (self.root / "tests" / "requirements.txt").write_text("pytest")
        (self.root / "constraints.txt").write_text("pytest==1")
        shutil.copy(ROOT / "board", self.root / "board")
        self.python = directory / "fake python"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        self.venv = self.root / ".venv"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOARD_")}
        return {**kept, "PYTHON": str(self.python), "CALLS": str(self.calls_path), **more}

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self.root / "board"), *arguments],
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.start(*arguments, **more)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def calls(self) -> list[str]:
        """`venv` and `pip`, in their order, since the last look."""
        lines = self.calls_path.read_text().splitlines() if self.calls_path.exists() else []
        self.calls_path.unlink(missing_ok=True)
        return [" ".join(line.split()[:1] + [word for word in line.split() if word == "--clear"]) for line in lines]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_use_installs_and_the_next_does_not(checkout: Checkout) -> None:
    code, out, error = checkout.run("status", "--data", "x y")
    assert (code, out) == (0, f"demo -m demo status --data x y data {checkout.root}/data\n")
    assert "making" in error
    assert "Collecting one" in error
    assert error.endswith("board: installed\n")
    assert checkout.calls() == ["venv", "pip", "pip"]
    assert checkout.run("status") == (0, f"demo -m demo status data {checkout.root}/data\n", "")
    assert checkout.calls() == []


def test_everything_comes_from_the_constraints_and_needs_no_build_environment(checkout: Checkout) -> None:
    checkout.run("status")
    first, second = [line for line in checkout.calls_path.read_text().splitlines() if line.startswith("pip ")]
    constraint = f"-c {checkout.root}/constraints.txt"
    assert first.endswith(f"{constraint} setuptools")
    assert "--no-build-isolation" in second
    assert constraint in second
    assert second.count(" -e ") == 8
    assert "requirements" not in second


@pytest.mark.parametrize("changed", ["constraints.txt", "demo/pyproject.toml", "services/read-view/pyproject.toml"])
def test_a_change_of_what_is_needed_installs_again(checkout: Checkout, changed: str) -> None:
    checkout.run("status")
    checkout.calls()
    (checkout.root / changed).write_text("# other")
    assert checkout.run("status")[0] == 0
    assert checkout.calls() == ["pip", "pip"]


def test_tests_need_more_and_their_list_counts(checkout: Checkout) -> None:
    checkout.run("status")
    checkout.calls()
    assert checkout.run("test", "-k", "x")[1] == f"demo -m demo test -k x data {checkout.root}/data\n"
    assert checkout.run("check")[0] == 0
    assert checkout.calls() == ["pip", "pip"]
    (checkout.root / "tests" / "requirements.txt").write_text("pytest\nhypothesis")
    checkout.run("status")
    assert checkout.calls() == []
    checkout.run("test")
    assert checkout.calls() == ["pip", "pip"]


def test_a_failed_installation_is_told_and_tried_again(checkout: Checkout) -> None:
    code, out, error = checkout.run("status", PIP_FAILS="1")
    assert (code, out) == (1, "")
    assert "ERROR: no such version" in error
    assert "the installation failed" in error
    checkout.calls()
    code, out, _ = checkout.run("status")
    assert (code, out[:4]) == (0, "demo")


def test_an_installation_that_was_killed_is_begun_anew(checkout: Checkout, tmp_path: Path) -> None:
    process = checkout.start("status", PIP_WAITS=str(tmp_path / "never"))
    wait_until(lambda: (checkout.venv / ".board-installing").exists() and "pip" in checkout.calls(), "pip at work")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, out, error = checkout.run("status")
    assert (code, out[:4]) == (0, "demo")
    assert "making" in error
    assert checkout.calls() == ["venv --clear", "pip", "pip"]
    assert not (checkout.venv / ".board-installing").exists()


def test_of_two_at_once_one_installs_and_one_waits(checkout: Checkout, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    first = checkout.start("status", PIP_WAITS=str(go_on))
    wait_until((checkout.venv / ".board-installing").exists, "the first at work")
    second = checkout.start("status")
    assert second.stderr is not None
    assert second.stderr.readline() == "board: waiting for another ./board that is installing\n"
    go_on.touch()
    for process in (first, second):
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out[:4]) == (0, "demo")
    assert checkout.calls() == ["venv", "pip", "pip"]


def test_what_the_killed_one_left_running_is_waited_for(checkout: Checkout, tmp_path: Path) -> None:
    """Only the shell is killed; its pip still writes into the environment."""
    go_on = tmp_path / "go on"
    first = checkout.start("status", PIP_WAITS=str(go_on))
    wait_until(lambda: "pip" in checkout.calls(), "pip at work")
    first.kill()
    first.wait()
    second = checkout.start("status")
    assert second.stderr is not None
    assert second.stderr.readline() == "board: waiting for another ./board that is installing\n"
    go_on.touch()
    out, _ = second.communicate(timeout=60)
    assert (second.returncode, out[:4]) == (0, "demo")
    first.communicate()


def test_without_a_python_it_says_what_is_needed(checkout: Checkout, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "cat", "cksum", "mkdir", "rm", "ls", "tail"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    code, _, error = checkout.run("status", PYTHON="", PATH=str(programs))
    assert code == 1
    assert "Python 3.11 or newer is needed and was not found as python3.14 " in error
    old = programs / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what an older Python says to the question for its version
    old.chmod(0o755)
    assert checkout.run("status", PYTHON="", PATH=str(programs))[0] == 1
    code, _, error = checkout.run("status", PYTHON="/no/python")
    assert code == 1
    assert "was not found as /no/python" in error
    assert checkout.calls() == []


def test_a_directory_that_is_no_environment_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    code, _, error = checkout.run("status", BOARD_VENV=str(mine))
    assert code == 1
    assert "holds something else than a virtual environment" in error
    assert [path.name for path in mine.iterdir()] == ["letter"]


def test_a_place_that_cannot_be_written_to_is_named(checkout: Checkout) -> None:
    code, _, error = checkout.run("status", BOARD_VENV="/proc/nowhere/venv")
    assert code == 1
    assert "/proc/nowhere cannot be written to; name another place: BOARD_VENV=" in error


def test_a_checkout_that_cannot_be_written_to_keeps_all_in_the_cache() -> None:
    nobody = 65534
    # Root can write everywhere, and nobody else can look into pytest's directories.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        checkout = Checkout(Path(directory))
        for path in [checkout.root, *checkout.root.rglob("*")]:
            path.chmod(0o555)
        process = subprocess.run(
            [str(checkout.root / "board"), "status"],
            env=checkout.environment(XDG_CACHE_HOME=f"{directory}/cache", FAKE_ALL="1"),
            user=nobody if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        checkout.root.chmod(0o755)
        assert process.returncode == 0, process.stderr
        assert f"data {directory}/cache/board/" in process.stdout
        assert not checkout.venv.exists()
        for path in checkout.root.rglob("*"):
            path.chmod(0o755)


def test_the_brokers_command_line_is_handed_on(checkout: Checkout) -> None:
    checkout.run("status")
    program = checkout.venv / "bin" / "broker"
    program.write_text('#!/bin/sh\nprintf "broker %s\\n" "$*"\n')
    program.chmod(0o755)
    assert checkout.run("broker", "topics", "--list")[1] == "broker topics --list\n"
