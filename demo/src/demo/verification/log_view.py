"""The event log read again from offset 0: per article the newest facts, and those of each day in the board's zone."""

import json
import os
import time
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from demo.layout import DemoError
from demo.prepare import TOPICS

TIMEOUT_SECONDS = 30.0
BATCH = 1000
# consume() waits this long for a full batch; shorter than TIMEOUT_SECONDS, which is the patience without any record.
BATCH_SECONDS = 0.1
ZONE = ZoneInfo(os.environ.get("BOARD_ZONE", "Asia/Seoul"))


ARTICLE_TYPES = ("article.created", "article.updated", "article.deleted")
LIKE_TYPES = ("article.liked", "article.unliked")
COMMENT_TYPES = ("comment.created", "comment.deleted")


@dataclass
class Count:
    """An absolute count and the version it belongs to."""

    version: int = 0
    count: int = 0

    def take_newer(self, version: int, count: int) -> None:
        if version > self.version:
            self.version, self.count = version, count


@dataclass
class LogArticle:
    """What the events say of one article."""

    article_id: str
    board_id: str = ""
    version: int = 0
    deleted: bool = False
    created_day: date | None = None
    likes: Count = field(default_factory=Count)
    comments: Count = field(default_factory=Count)
    likes_by_day: dict[date, Count] = field(default_factory=dict)
    comments_by_day: dict[date, Count] = field(default_factory=dict)

    def score(self) -> int:
        """Likes x 3 + comments x 2, as they were at the end of the day of its creation."""
        if self.created_day is None:
            return 0
        return (
            self._at_end_of(self.likes_by_day, self.created_day) * 3 + self._at_end_of(self.comments_by_day, self.created_day) * 2
        )

    @staticmethod
    def _at_end_of(counts: dict[date, Count], last: date) -> int:
        newest = max((count for day, count in counts.items() if day <= last), key=lambda count: count.version, default=Count())
        return newest.count


@dataclass
class LogView:
    """Everything the two topics say."""

    articles: dict[str, LogArticle] = field(default_factory=dict)
    events: int = 0
    # Records that are no events.
    unreadable: int = 0

    def add(self, value: bytes | None) -> None:
        """One record. Types that are not the board's are passed over; what has a bad body is a dead letter and counted."""
        self.events += 1
        try:
            self._apply(json.loads(value or b""))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1

    def _apply(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind not in ARTICLE_TYPES + LIKE_TYPES + COMMENT_TYPES:
            return
        # All is read before anything is changed.
        data, day, version, subject = event["data"], _day(event["time"]), int(event["aggregateversion"]), str(event["subject"])
        if kind in LIKE_TYPES:
            count = int(data["like_count"])
            article = self._article(subject)
            article.likes.take_newer(version, count)
            article.likes_by_day.setdefault(day, Count()).take_newer(version, count)
        elif kind in COMMENT_TYPES:
            count = int(data["comment_count"])
            article = self._article(subject)
            article.comments.take_newer(version, count)
            article.comments_by_day.setdefault(day, Count()).take_newer(version, count)
        else:
            board_id, created_day = data["board_id"], _day(data["created_at"])
            article = self._article(subject)
            if version > article.version:
                article.version, article.board_id, article.created_day = version, board_id, created_day
                article.deleted = kind == "article.deleted"

    def _article(self, article_id: str) -> LogArticle:
        return self.articles.setdefault(article_id, LogArticle(article_id))

    def popular(self, day: date, size: int) -> list[tuple[str, int]]:
        """(article id, score) of the day's list, best first; ties: the newer id first."""
        scored = [(a.score(), int(a.article_id)) for a in self.articles.values() if a.created_day == day and not a.deleted]
        return [(str(article_id), score) for score, article_id in sorted(scored, reverse=True) if score > 0][:size]


def _day(time: str) -> date:
    return datetime.fromisoformat(time).astimezone(ZONE).date()


def read_log(bootstrap_servers: str) -> LogView:
    """Both topics from offset 0 to their present end; DemoError when they cannot be read."""
    view = LogView()
    # group.id is required by the client; nothing is committed, so no group appears.
    settings = {"bootstrap.servers": bootstrap_servers, "group.id": "board-verify", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer(settings)
    try:
        metadata = consumer.list_topics(timeout=TIMEOUT_SECONDS)
        ends: dict[tuple[str, int], int] = {}
        for topic in TOPICS:
            for partition in metadata.topics[topic].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)
                if end > 0:
                    ends[topic, partition] = end
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
        progress_at = time.monotonic()
        while ends:
            for message in consumer.consume(BATCH, timeout=BATCH_SECONDS):
                _apply(view, message, ends)
                progress_at = time.monotonic()
            if time.monotonic() - progress_at > TIMEOUT_SECONDS:
                raise DemoError(f"the log could not be read to its end; still missing: {sorted(ends)}")
    except KafkaException as error:
        raise DemoError(f"the broker at {bootstrap_servers} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return view


def _apply(view: LogView, message: Message, ends: dict[tuple[str, int], int]) -> None:
    error, value = message.error(), message.value()
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if error is not None:
        raise KafkaException(error)
    assert topic is not None and partition is not None and offset is not None
    view.add(value)
    if offset + 1 >= ends.get((topic, partition), 0):
        ends.pop((topic, partition), None)
