"""What the board stands on dies while people read and write: nothing is lost, nothing is twice, and it comes back by itself."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from demo.groups import wait_for_groups
from demo.ledger import read_ledgers
from redis import Redis
from running_board import GROUPS, EmbeddedBoard, embedded_board
from waiting import wait_until

LOAD_SECONDS, RATE = 8, 40


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBoard]:
    with embedded_board(tmp_path_factory.mktemp("board")) as board:
        yield board


def promises(board: EmbeddedBoard) -> int:
    return sum(1 for _ in read_ledgers(board.layout.ledger_directory))


@contextmanager
def load(board: EmbeddedBoard, *, to_the_end: bool = True) -> Iterator[None]:
    """`./board load` has begun to write when the block begins; it ends after the block, and has then written more."""
    before = promises(board)
    command = board.command("load", "--seconds", str(LOAD_SECONDS), "--rate", str(RATE))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: promises(board) > before + 20, "the load to write")
        yield
        if to_the_end:
            in_the_middle = promises(board)
            # Its own verdict counts refusals and delays, which trouble brings; what was promised is held against `verify`.
            process.wait(LOAD_SECONDS + 120)
            assert promises(board) > in_the_middle
    finally:
        process.kill()
        process.wait()


def all_is_well(board: EmbeddedBoard) -> None:
    board.wait_ready()
    assert wait_for_groups(board.bootstrap_servers, GROUPS, 90) == []
    assert "no difference" in board.must("verify")


def valkey(board: EmbeddedBoard) -> Redis:
    return Redis(host="127.0.0.1", port=board.layout.valkey_port, socket_timeout=10)


def test_the_brokers_are_killed(board: EmbeddedBoard) -> None:
    """One after the other, each as soon as the one before is back."""
    with load(board):
        for name in board.broker_names():
            kill_and_wait(board, name)
    all_is_well(board)


def test_all_brokers_are_killed_at_once(board: EmbeddedBoard) -> None:
    with load(board):
        kill_and_wait(board, *board.broker_names())
    all_is_well(board)


def kill_and_wait(board: EmbeddedBoard, *names: str) -> None:
    """kill -9, and all of them are ready again."""
    before = {name: board.processes()[name]["restarts"] for name in names}
    for name in names:
        board.kill(name)
    wait_until(lambda: all(board.processes()[name]["restarts"] > before[name] for name in names), "the supervisor to notice")
    wait_until(lambda: all(board.processes()[name]["status"] == "ready" for name in names), "the brokers back")


def test_valkey_is_killed(board: EmbeddedBoard) -> None:
    with load(board):
        board.kill("valkey")
    all_is_well(board)
    assert board.processes()["valkey"]["restarts"] > 0


def test_valkey_is_emptied(board: EmbeddedBoard) -> None:
    """Once under load, and once more when nothing moves that would show it."""
    with load(board), valkey(board) as client:
        client.flushall()
    all_is_well(board)
    with valkey(board) as client:
        keys = set(client.scan_iter(b"*", count=1000))
        client.flushall()
        # The same documents, indexes and positions are there again.
        wait_until(lambda: keys <= set(client.scan_iter(b"*", count=1000)), "the projections built anew")
    all_is_well(board)


def test_the_consumers_are_killed(board: EmbeddedBoard) -> None:
    with load(board):
        for service in GROUPS:
            board.kill(f"{service} worker")
    all_is_well(board)


def test_the_projections_are_rebuilt(board: EmbeddedBoard) -> None:
    """By `manage.py rebuild`, while the live ones are read and written."""
    with load(board):
        for service in GROUPS:
            done = subprocess.run(
                board.layout.manage("rebuild"),
                cwd=board.layout.service_directory(service),
                env=board.layout.service_env(service),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("rebuilt ")
    all_is_well(board)


def test_the_brokers_are_silent_while_people_post(board: EmbeddedBoard) -> None:
    """The posts are taken, and their events arrive later."""
    with board.stopped(*board.broker_names()):
        article_id = board.post("while the broker is silent")["id"]
        board.like(article_id, 1)
        board.comment(article_id)
        # Longer than the relays wait for an answer.
        time.sleep(12)
        board.like(article_id, 2)

    def shown() -> bool:
        answer = board.call("read-view", "GET", f"articles/{article_id}")
        found = answer.json()
        return answer.headers.get("X-Source") == "projection" and (found["like_count"], found["comment_count"]) == (2, 1)

    wait_until(shown, "what was posted meanwhile")
    all_is_well(board)


def test_all_processes_die_at_once(board: EmbeddedBoard) -> None:
    """kill -9 of the supervisor takes all of them with it; `./board up` finds everything."""
    with load(board, to_the_end=False):
        os.kill(board.supervisor_pid(), signal.SIGKILL)
    board.up()
    all_is_well(board)


def test_it_is_ended_in_order_and_started_again(board: EmbeddedBoard) -> None:
    with load(board, to_the_end=False):
        board.down()
    board.up()
    all_is_well(board)
