"""Every crash point of the registry: a real process of a running board dies there by kill -9, and nothing is lost or twice.

The board's supervisor starts the process again; `./board verify` then compares projections, origins, log and the promises
made here. A point that was not hit fails its test.
"""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from demo.ledger import Entry, Ledger
from events.topics import ARTICLE_TOPIC, PARTITIONS, TOPICS, dead_letter_topic
from running_board import GROUPS, EmbeddedBoard, embedded_board
from servicekit.crash_points import CRASH_AT, CRASH_MARK, POINTS
from waiting import wait_until

_board_ids = itertools.count(1)


class Author:
    """Writes to a board, and puts down what was promised where `./board verify` finds it."""

    def __init__(self, board: EmbeddedBoard, ledger: Ledger) -> None:
        self.board = board
        self._ledger = ledger
        self.board_id = str(next(_board_ids))

    def post(self) -> str:
        article = self.board.post(board_id=self.board_id)
        self._ledger.add(Entry("create", article["id"], version=1))
        return str(article["id"])

    def like(self, article_id: str, user_id: int) -> None:
        self.board.like(article_id, user_id)
        self._ledger.add(Entry("like", article_id, user_id=str(user_id)))

    def comment(self, article_id: str) -> None:
        comment = self.board.comment(article_id)
        self._ledger.add(Entry("comment", article_id, comment_id=comment["id"]))

    def some_of_everything(self) -> str:
        article_id = self.post()
        for user_id in (1, 2):
            self.like(article_id, user_id)
        self.comment(article_id)
        return article_id


class Charge:
    """Arms one point of the running board."""

    def __init__(self, directory: Path) -> None:
        self._armed, self._mark = directory / "armed", directory / "mark"
        self.environment = {CRASH_AT: f"@{self._armed}", CRASH_MARK: str(self._mark)}

    def arm(self, point: str) -> None:
        self._mark.unlink(missing_ok=True)
        self._armed.write_text(point)

    def disarm(self) -> None:
        self._armed.unlink(missing_ok=True)

    def hit(self) -> str | None:
        return self._mark.read_text() if self._mark.exists() else None


@pytest.fixture(scope="module")
def charge(tmp_path_factory: pytest.TempPathFactory) -> Charge:
    return Charge(tmp_path_factory.mktemp("charge"))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, charge: Charge) -> Iterator[EmbeddedBoard]:
    with embedded_board(tmp_path_factory.mktemp("board"), environment=charge.environment) as board:
        yield board


@pytest.fixture
def author(board: EmbeddedBoard) -> Iterator[Author]:
    """A new one on a board of its own (the name of a list of articles)."""
    with closing(Ledger(board.layout.ledger_directory / f"crash-{uuid.uuid4()}.jsonl")) as ledger:
        yield Author(board, ledger)


def unanswered(board: EmbeddedBoard, service: str, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """A request whose process dies over it."""
    with pytest.raises(requests.ConnectionError):
        board.call(service, method, path, body)


def post_unanswered(board: EmbeddedBoard, author: Author) -> None:
    body = {"board_id": author.board_id, "title": "unanswered", "content": "", "writer_id": "1"}
    unanswered(board, "article", "POST", "articles", body)


def comment_unanswered(board: EmbeddedBoard, author: Author) -> None:
    body = {"article_id": author.post(), "content": "unanswered", "writer_id": "1"}
    unanswered(board, "comment", "POST", "comments", body)


def send_garbage(board: EmbeddedBoard, author: Author) -> None:
    """A known type with a bad body, marked with the author's board."""
    producer = Producer({"bootstrap.servers": board.bootstrap_servers})
    value = json.dumps({"type": "article.created", "board": author.board_id})
    producer.produce(ARTICLE_TOPIC, key=b"1", value=value, partition=0)
    assert producer.flush(30) == 0


def read_what_only_the_origin_has(board: EmbeddedBoard, author: Author) -> None:
    with board.stopped("read-view worker"):
        article_id = author.post()
        unanswered(board, "read-view", "GET", f"articles/{article_id}")

        def from_the_origin() -> bool:
            try:
                return board.call("read-view", "GET", f"articles/{article_id}").headers.get("X-Source") == "origin"
            except requests.ConnectionError:
                return False

        wait_until(from_the_origin, "the article from its origin, by the process that came after")


def post_once(board: EmbeddedBoard, author: Author) -> None:
    author.post()


# How each point is reached.
TRIGGERS: dict[str, Callable[[EmbeddedBoard, Author], None]] = {
    "outbox.before-send": post_once,
    "outbox.after-send-before-mark": post_once,
    "consumer.before-effect": post_once,
    "consumer.after-effect-before-commit": post_once,
    "consumer.after-dead-letter-before-commit": send_garbage,
    "projection.after-origin-before-write": read_what_only_the_origin_has,
    "article.before-commit": post_unanswered,
    "article.after-commit": post_unanswered,
    "comment.before-commit": comment_unanswered,
    "comment.after-commit": comment_unanswered,
}


def restarts(board: EmbeddedBoard) -> int:
    return sum(process["restarts"] for process in board.processes().values())


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_nothing_is_lost_and_nothing_is_twice(
    board: EmbeddedBoard, charge: Charge, author: Author, point: str
) -> None:
    before = author.some_of_everything()
    restarts_before = restarts(board)
    charge.arm(point)
    try:
        TRIGGERS[point](board, author)
        wait_until(lambda: charge.hit() == point, f"{point} hit")
    finally:
        charge.disarm()
    wait_until(lambda: restarts(board) == restarts_before + 1, "the supervisor to notice")
    board.wait_ready()
    author.like(before, 3)
    author.some_of_everything()
    assert "no difference" in board.must("verify")
    AFTERWARDS.get(point, lambda *_: None)(board, author)


def test_every_point_of_the_registry_has_a_way_to_it() -> None:
    assert set(TRIGGERS) == set(POINTS)


def titles(board: EmbeddedBoard, author: Author) -> list[str]:
    """Of the author's board as read-view lists it, newest first."""
    answer = board.call("read-view", "GET", "articles", board_id=author.board_id)
    assert answer.headers["X-Source"] == "projection"
    return [item["title"] for item in answer.json()["items"]]


def the_event_was_sent_twice(board: EmbeddedBoard, author: Author) -> None:
    """Whichever the relay had just sent; that nobody counts it twice is what `verify` has found."""
    ids = [event["id"] for event in events(board, author)]
    assert len(ids) > len(set(ids))


def no_event_was_sent_twice(board: EmbeddedBoard, author: Author) -> None:
    ids = created_ids(board, author)
    assert len(ids) == len(set(ids)) == 3


def the_post_is_there_once(board: EmbeddedBoard, author: Author) -> None:
    assert titles(board, author).count("unanswered") == 1
    no_event_was_sent_twice(board, author)


def the_post_never_was(board: EmbeddedBoard, author: Author) -> None:
    assert "unanswered" not in titles(board, author)
    assert len(created_ids(board, author)) == 2


def comments(board: EmbeddedBoard, author: Author) -> list[str]:
    """The texts of all comment events about the author's articles."""
    return [event["data"]["content"] for event in events(board, author) if event["type"] == "comment.created"]


def the_comment_is_there_once(board: EmbeddedBoard, author: Author) -> None:
    assert comments(board, author).count("unanswered") == 1


def the_comment_never_was(board: EmbeddedBoard, author: Author) -> None:
    assert "unanswered" not in comments(board, author)


def the_letter_is_there(board: EmbeddedBoard, author: Author) -> None:
    """Twice at most, in the group whose consumer died between; and both say which record it is about."""
    counts = []
    for group in GROUPS:
        letters = [
            dict(message.headers() or [])
            for message in messages(board, dead_letter_topic(ARTICLE_TOPIC, group))
            if json.loads(message.value() or b"{}").get("board") == author.board_id
        ]
        assert len({(letter["dlt.partition"], letter["dlt.offset"]) for letter in letters}) == 1
        counts.append(len(letters))
    assert sorted(counts) == [1, 2]


def created_ids(board: EmbeddedBoard, author: Author) -> list[str]:
    """Ids of the article.created of the author's board, each as often as it is in the log."""
    return [event["id"] for event in events(board, author) if event["type"] == "article.created"]


def events(board: EmbeddedBoard, author: Author) -> list[dict[str, Any]]:
    """All events about the articles of the author's board, each as often as it is in the log."""
    values = [json.loads(message.value() or b"{}") for topic in TOPICS for message in messages(board, topic)]
    found = [value for value in values if value.get("data")]
    subjects = {value["subject"] for value in found if value["data"].get("board_id") == author.board_id}
    return [value for value in found if value["subject"] in subjects]


def messages(board: EmbeddedBoard, topic: str) -> list[Message]:
    """Every record of a topic."""
    consumer = Consumer({"bootstrap.servers": board.bootstrap_servers, "group.id": "reader", "enable.auto.commit": False})
    found = []
    try:
        for number in range(PARTITIONS):
            end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            consumer.assign([TopicPartition(topic, number, 0)])
            for _ in range(end):
                message = consumer.poll(30)
                assert message is not None and message.error() is None, f"{topic}-{number} is not readable to its end"
                found.append(message)
    finally:
        consumer.close()
    return found


# What must be so beyond what `verify` sees.
AFTERWARDS: dict[str, Callable[[EmbeddedBoard, Author], None]] = {
    "outbox.before-send": no_event_was_sent_twice,
    "outbox.after-send-before-mark": the_event_was_sent_twice,
    "consumer.after-dead-letter-before-commit": the_letter_is_there,
    "article.before-commit": the_post_never_was,
    "article.after-commit": the_post_is_there_once,
    "comment.before-commit": the_comment_never_was,
    "comment.after-commit": the_comment_is_there_once,
}
