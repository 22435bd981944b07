"""How far the groups have come, seen on a real broker."""

import pytest
from broker.testing import BrokerThread
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from demo.groups import BrokerSilent, GroupRow, group_rows, wait_for_groups, what_is_behind
from waiting import wait_until

from demo import groups

TOPIC = "article-topic"


def make_topic(bootstrap_servers: str, records: int) -> None:
    """Two partitions, with records in number 1."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(TOPIC, 2, 1)])[TOPIC].result()
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for _ in range(records):
        producer.produce(TOPIC, b"x", partition=1)
    assert producer.flush(30) == 0


def test_a_group_is_shown_with_its_member_and_without() -> None:
    with BrokerThread() as broker:
        assert group_rows(broker.bootstrap_servers) == []
        make_topic(broker.bootstrap_servers, 5)
        settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "popular", "enable.auto.commit": False}
        consumer = Consumer(settings)
        consumer.subscribe([TOPIC])
        wait_until(lambda: consumer.poll(0.1) is None and len(consumer.assignment()) == 2, "an assignment")
        consumer.commit(offsets=[TopicPartition(TOPIC, 1, 2)], asynchronous=False)
        rows = group_rows(broker.bootstrap_servers)
        assert [(r.group, r.topic, r.partition, r.committed, r.log_end, r.lag, r.host) for r in rows] == [
            ("popular", TOPIC, 0, None, 0, None, "/127.0.0.1"),
            ("popular", TOPIC, 1, 2, 5, 3, "/127.0.0.1"),
        ]
        assert all(row.member and row.member.startswith("rdkafka-") for row in rows)
        assert wait_for_groups(broker.bootstrap_servers, ["popular", "read-view"], 0) == [
            "group read-view has no partition",
            f"group popular is behind on {TOPIC}-1: committed 2, log end 5",
        ]
        consumer.commit(offsets=[TopicPartition(TOPIC, 1, 5)], asynchronous=False)
        consumer.close()
        assert wait_for_groups(broker.bootstrap_servers, ["popular"], 30) == []
        # What was committed stays, though nobody is there any more.
        assert group_rows(broker.bootstrap_servers) == [GroupRow("popular", TOPIC, 1, 5, 5, None, None)]


def test_a_broker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(BrokerSilent, match=r"the broker at 127.0.0.1:1 does not answer"):
        group_rows("127.0.0.1:1")
    with pytest.raises(BrokerSilent):
        wait_for_groups("127.0.0.1:1", ["popular"], 0)


def test_an_empty_partition_is_not_behind() -> None:
    def row(group: str, committed: int | None, log_end: int | None) -> GroupRow:
        return GroupRow(group, TOPIC, 0, committed, log_end, None, None)

    assert what_is_behind([row("popular", None, 0), row("other", 0, 9)], ["popular"]) == []
    assert what_is_behind([row("popular", None, 1)], ["popular"]) == [
        f"group popular is behind on {TOPIC}-0: committed None, log end 1"
    ]
    assert what_is_behind([], ["popular"]) == ["group popular has no partition"]
