"""A whole board for tests from outside: one that the test starts by `./board up`, or one that runs already.

The tests know a board only by its addresses, so that the same tests run against our broker, against Apache Kafka, and
against containers. BOARD_E2E_ARTICLE_URL, BOARD_E2E_COMMENT_URL, BOARD_E2E_POPULAR_URL, BOARD_E2E_READ_VIEW_URL and
BOARD_E2E_BOOTSTRAP_SERVERS name a running one; BOARD_E2E_STOP_ORIGINS and BOARD_E2E_START_ORIGINS are then the shell commands
that stop the web processes of article and comment and start them again (each returns when it is done).
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from demo.layout import Layout
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("article", "comment", "popular", "read-view")
ORIGINS = ("article", "comment")
GROUPS = ("popular", "read-view")
ANSWER_TIMEOUT_SECONDS = 30.0
COMMAND_TIMEOUT_SECONDS = 300.0
# Below the ports of outgoing connections (`broker.testing.ports`).
PORT_BASES = range(15_000, 31_500, 20)


@dataclass
class RunningBoard:
    """The addresses of a board."""

    urls: dict[str, str]
    bootstrap_servers: str

    def call(
        self, service: str, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **query: Any
    ) -> requests.Response:
        """Whatever the answer is."""
        url = f"{self.urls[service]}/v1/{path}"
        return requests.request(method, url, json=body, params=query, headers=headers, timeout=ANSWER_TIMEOUT_SECONDS)

    def made(self, service: str, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """The body of an answer that has to be a good one."""
        answer = self.call(service, method, path, body, **more)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json()) if answer.content else {}

    def post(self, title: str = "제목 title", board_id: str = "1", **more: Any) -> dict[str, Any]:
        """A new article."""
        body = {"board_id": board_id, "title": title, "content": "본문 content", "writer_id": "1001"}
        return self.made("article", "POST", "articles", body, **more)

    def comment(self, article_id: str, parent_id: str | None = None) -> dict[str, Any]:
        body = {"article_id": article_id, "content": "댓글", "writer_id": "1002", "parent_id": parent_id}
        return self.made("comment", "POST", "comments", body)

    def like(self, article_id: str, user_id: int, method: str = "PUT") -> dict[str, Any]:
        return self.made("article", method, f"articles/{article_id}/likes/{user_id}")

    @contextmanager
    def origins_stopped(self) -> Iterator[None]:
        """The web processes of article and comment do not answer meanwhile."""
        commands = [os.environ.get(f"BOARD_E2E_{what}_ORIGINS") for what in ("STOP", "START")]
        if not all(commands):
            # Nothing to stop them by: X-Source alone says where an answer comes from.
            yield
            return
        subprocess.run(str(commands[0]), shell=True, check=True, timeout=COMMAND_TIMEOUT_SECONDS)
        try:
            yield
        finally:
            subprocess.run(str(commands[1]), shell=True, check=True, timeout=COMMAND_TIMEOUT_SECONDS)


def given_board() -> RunningBoard | None:
    """The one that the environment names."""
    names = {service: f"BOARD_E2E_{service.upper().replace('-', '_')}_URL" for service in SERVICES}
    bootstrap_servers = os.environ.get("BOARD_E2E_BOOTSTRAP_SERVERS")
    if bootstrap_servers is None:
        return None
    return RunningBoard({service: os.environ[name].rstrip("/") for service, name in names.items()}, bootstrap_servers)


class EmbeddedBoard(RunningBoard):
    """A board that is started and ended here, on a directory of its own, by `./board`."""

    def __init__(self, data: Path, *, external_broker: str = "", environment: dict[str, str] | None = None) -> None:
        self.layout = _free_layout(data, external_broker)
        super().__init__({service: self.layout.url(service) for service in SERVICES}, self.layout.bootstrap_servers)
        # The processes of this interpreter's environment, whichever it is.
        self._environment = {**os.environ, "BOARD_VENV": sys.prefix, **(environment or {})}
        if external_broker:
            self._environment["BOARD_BOOTSTRAP_SERVERS"] = external_broker

    def run(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`./board COMMAND --data … ARGUMENTS` to its end, whatever that is."""
        return subprocess.run(
            self.command(command, *arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )

    def command(self, command: str, *arguments: str) -> list[str]:
        return [str(ROOT / "board"), command, "--data", str(self.layout.data), *arguments]

    def must(self, command: str, *arguments: str) -> str:
        """As `run`, and it has to end well; what it said."""
        done = self.run(command, *arguments)
        assert done.returncode == 0, f"./board {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def up(self) -> None:
        self.must("up", "--detach", "--port-base", str(self.layout.port_base))

    def down(self) -> None:
        self.must("down")

    def supervisor_pid(self) -> int:
        return int(json.loads(self.layout.state_file.read_text())["pid"])

    def processes(self) -> dict[str, dict[str, Any]]:
        """Name -> what the supervisor says of it: status, pid, restarts."""
        state = json.loads(self.layout.state_file.read_text())
        return {process["name"]: process for process in state["processes"]}

    def pid(self, name: str) -> int:
        wait_until(lambda: self.processes()[name]["pid"], f"a process {name}")
        return int(self.processes()[name]["pid"])

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def broker_names(self) -> list[str]:
        return [self.layout.broker_name(one) for one in self.layout.broker_ids]

    def wait_ready(self) -> None:
        """Until all that were restarted are ready again."""
        wait_until(lambda: all(process["status"] == "ready" for process in self.processes().values()), "all processes ready")

    @contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """These processes stand still (SIGSTOP) meanwhile: they hold their ports and answer nothing."""
        pids = [self.pid(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def origins_stopped(self) -> Iterator[None]:
        with self.stopped(*ORIGINS):
            yield

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a test that failed."""
        ends = []
        for path in sorted(self.layout.log_directory.glob("*.log")):
            text = "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            ends.append(f"\n== {path.name}\n{text}")
        return "".join(ends)


@contextmanager
def embedded_board(
    data: Path, *, external_broker: str = "", environment: dict[str, str] | None = None
) -> Iterator[EmbeddedBoard]:
    """Up, and down at the end."""
    board = EmbeddedBoard(data, external_broker=external_broker, environment=environment)
    try:
        board.up()
        yield board
    finally:
        board.down()


def _free_layout(data: Path, external_broker: str) -> Layout:
    """A layout none of whose ports is taken. Chosen by chance, so that two test runs hardly meet."""
    for port_base in random.SystemRandom().sample(PORT_BASES, len(PORT_BASES)):
        layout = Layout(data, port_base, external_broker)
        if all(_is_free(port) for port in layout.ports()):
            return layout
    raise AssertionError("no free ports for a board")


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
