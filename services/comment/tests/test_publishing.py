"""From a committed row to the topic, with a real broker and real processes.

The relay itself is tested with servicekit and the article service.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests
from board_topics import by_key, create_topics, read_topic, without_repetition
from broker.testing import BrokerProcess
from events.topics import ARTICLE_TOPIC, COMMENT_TOPIC
from service_suite import Database, ServiceProcess
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.relay import Relay
from waiting import wait_until

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"


@pytest.fixture
def broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerProcess]:
    with BrokerProcess() as started:
        create_topics(started.bootstrap_servers)
        settings.KAFKA_BOOTSTRAP_SERVERS = started.bootstrap_servers
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", started.bootstrap_servers)
        yield started


def test_comments_arrive_in_the_order_of_their_versions(database: Database, broker: BrokerProcess, tmp_path: Path) -> None:
    with (
        ServiceProcess(MANAGE, "web", tmp_path / "web.log") as web,
        ServiceProcess(MANAGE, "worker", tmp_path / "worker.log"),
    ):
        for article_id in ("7", "8", "9"):
            made = [post(web, article_id) for _ in range(4)]
            answer = requests.delete(f"{web.url}/v1/comments/{made[0]}", timeout=60)
            assert answer.status_code == 204
        wait_until(lambda: not OutboxEvent.objects.filter(sent_at__isnull=True).exists(), "all events to be sent")
    taken = by_key(read_topic(broker.bootstrap_servers, COMMENT_TOPIC))
    assert taken.keys() == {"7", "8", "9"}
    for events in taken.values():
        told = [(event.aggregateversion, event.data["comment_count"]) for event in without_repetition(events)]
        assert told == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3)]


def post(web: ServiceProcess, article_id: str) -> str:
    body = {"article_id": article_id, "content": "댓글", "writer_id": "5"}
    answer = requests.post(f"{web.url}/v1/comments", json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_an_article_and_its_comments_are_in_partitions_of_one_number(database: Database, broker: BrokerProcess) -> None:
    """The partitioner is Java's, so that a producer in any language puts a key where ours do."""
    for topic, name in ((ARTICLE_TOPIC, "article.liked"), (COMMENT_TOPIC, "comment.deleted")):
        sample = json.loads(files("events").joinpath(f"samples/{name}.v1.json").read_text(encoding="utf-8"))
        for key in map(str, range(1, 31)):
            event = sample | {"subject": key, "data": sample["data"] | {"article_id": key}}
            OutboxEvent.objects.create(topic=topic, key=key, value=json.dumps(event).encode())
    Relay().drain_once()
    topics = (ARTICLE_TOPIC, COMMENT_TOPIC)
    places = [{one.key: one.partition for one in read_topic(broker.bootstrap_servers, topic)} for topic in topics]
    assert places[0] == places[1]
    assert set(places[0].values()) == {0, 1, 2}
    assert places[0] == {key: java_partition(key.encode(), 3) for key in places[0]}


def java_partition(key: bytes, partitions: int) -> int:
    """Kafka's BuiltInPartitioner.partitionForKey: murmur2 of the key, as org.apache.kafka.common.utils.Utils has it."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    for start in range(0, len(key) - len(key) % 4, 4):
        k = int.from_bytes(key[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = key[len(key) - len(key) % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions
