"""`./board verify` finds what is planted: in Valkey, in an origin's table, in the ledger. Each is taken back afterwards."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from demo.groups import wait_for_groups
from demo.ledger import Entry, Ledger
from redis import Redis
from running_board import GROUPS, EmbeddedBoard, embedded_board, given_board
from waiting import wait_until

pytestmark = pytest.mark.skipif(given_board() is not None, reason="the board that runs is not the launcher's")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBoard]:
    """Seeded, after a short load; nothing differs."""
    with embedded_board(tmp_path_factory.mktemp("verified")) as board:
        board.must("seed")
        board.must("load", "--seconds", "5", "--rate", "40", "--seed", "7")
        assert wait_for_groups(board.bootstrap_servers, GROUPS, 60) == []
        assert board.must("verify").endswith("no difference\n")
        yield board
        # Whatever was planted is gone again.
        assert board.must("verify").endswith("no difference\n")


@pytest.fixture
def valkey(board: EmbeddedBoard) -> Iterator["Redis"]:
    with Redis(host="127.0.0.1", port=board.layout.valkey_port, decode_responses=True) as client:
        yield client


def differences(board: EmbeddedBoard) -> str:
    done = board.run("verify")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differs: " in done.stdout
    return done.stdout


def key_of(valkey: "Redis", article_id: str) -> str:
    """The key of an article's document in the live projection of read-view."""
    (key,) = valkey.scan_iter(f"read?view:*:document:{article_id}")
    return str(key)


def shown(board: EmbeddedBoard, article_id: str, likes: int = 0) -> str:
    """The id, once the projection shows the article with so many likes."""

    def look() -> bool:
        answer = board.call("read-view", "GET", f"articles/{article_id}")
        return answer.ok and answer.headers["X-Source"] == "projection" and bool(answer.json()["like_count"] == likes)

    wait_until(look, f"article {article_id} in the projection")
    assert wait_for_groups(board.bootstrap_servers, GROUPS, 60) == []
    return article_id


@contextmanager
def changed(valkey: "Redis", key: str, change: Any) -> Iterator[None]:
    """A key's value is another one meanwhile, or gone when `change` gives None."""
    before = str(valkey.get(key))
    after = change(json.loads(before))
    if after is None:
        valkey.delete(key)
    else:
        valkey.set(key, json.dumps(after))
    try:
        yield
    finally:
        valkey.set(key, before)


def test_a_wrong_like_count_in_valkey(board: EmbeddedBoard, valkey: "Redis") -> None:
    article_id = board.post()["id"]
    board.like(article_id, 1)
    shown(board, article_id, likes=1)

    def one_more(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "likes": {**document["likes"], "count": 2}}

    with changed(valkey, key_of(valkey, article_id), one_more):
        assert f"read-view, article {article_id}, like_count: expected 1, found 2" in differences(board)


def test_an_article_that_is_missing_in_the_view(board: EmbeddedBoard, valkey: "Redis") -> None:
    """The fallback would show it all the same, and says that it is one."""
    article_id = shown(board, board.post()["id"])
    with changed(valkey, key_of(valkey, article_id), lambda document: None):
        assert f"article {article_id}, X-Source: expected 'projection'" in differences(board)


def test_a_wrong_popular_list(board: EmbeddedBoard, valkey: "Redis") -> None:
    (index,) = [key for key in valkey.scan_iter("popular:*:index:day:*") if valkey.zcard(key)]
    (member, _) = valkey.zrevrange(index, 0, 0, withscores=True)[0]
    valkey.zincrby(index, 1, member)
    try:
        assert "popular, list of " in differences(board)
    finally:
        valkey.zincrby(index, -1, member)


def test_a_like_that_its_origin_has_lost(board: EmbeddedBoard) -> None:
    """Promised with a 2xx, and no longer in the table: the ledger tells."""
    article_id = board.post()["id"]
    board.like(article_id, 77)
    ledger = Ledger(board.layout.ledger_directory / "99999999-planted.jsonl")
    ledger.add(Entry("create", article_id, version=1))
    ledger.add(Entry("like", article_id, user_id="77"))
    ledger.close()
    board.must("verify")
    board.like(article_id, 77, "DELETE")
    try:
        assert f"article {article_id}, like of user 77: expected True, found False" in differences(board)
    finally:
        ledger.path.unlink()


@contextmanager
def changed_row(board: EmbeddedBoard, article_id: str, statement: str) -> Iterator[None]:
    """One row of the article service's own table is changed or gone meanwhile, behind the service's back."""
    database = sqlite3.connect(board.layout.data / "article" / "db.sqlite3", timeout=20)
    try:
        row = database.execute("SELECT * FROM article WHERE id = ?", (article_id,)).fetchone()
        assert row is not None
        database.execute(f"{statement} WHERE id = ?", (article_id,))
        database.commit()
        try:
            yield
        finally:
            database.execute(f"INSERT OR REPLACE INTO article VALUES ({', '.join('?' * len(row))})", row)
            database.commit()
    finally:
        database.close()


def test_an_article_that_its_origin_has_lost(board: EmbeddedBoard) -> None:
    article_id = shown(board, board.post()["id"])
    with changed_row(board, article_id, "DELETE FROM article"):
        assert f"read-view shows article {article_id}, which its origin has not" in differences(board)


def test_a_change_without_its_event(board: EmbeddedBoard) -> None:
    """The projection and the log agree with each other, not with the origin."""
    article_id = shown(board, board.post()["id"])
    with changed_row(board, article_id, "UPDATE article SET version = 2, title = 'silent'"):
        found = differences(board)
    assert f"log, article {article_id}, version: expected 2, found 1" in found
    assert f"read-view, article {article_id}, title: expected 'silent'" in found
