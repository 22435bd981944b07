"""Metadata: brokers and topics, by name and by id, and topics that are made because somebody asks for them."""

import uuid
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from broker.server.authorized_operations import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS

from ..world import Node, running


def asked(*names: str | None, ids: list[uuid.UUID] | None = None, **options: Any) -> MetadataRequest:
    topics = [MetadataRequestTopic(name=name) for name in names]
    topics += [MetadataRequestTopic(name=None, topic_id=topic_id) for topic_id in ids or []]
    return MetadataRequest(**{"topics": topics, "allow_auto_topic_creation": False, **options})


def everything(**options: Any) -> MetadataRequest:
    return MetadataRequest(**{"topics": None, "allow_auto_topic_creation": False, **options})


@pytest.mark.parametrize("version", range(1, 14))
def test_null_means_all_and_empty_means_none(node: Node, version: int) -> None:
    node.topic("t", 2)
    node.topic("u")
    response = node.ask(everything(allow_auto_topic_creation=True), version)
    assert [(topic.name, len(topic.partitions)) for topic in response.topics] == [("t", 2), ("u", 1)]
    assert node.ask(asked(allow_auto_topic_creation=True), version).topics == []
    assert [(one.node_id, one.host, one.port) for one in response.brokers] == [(1, "broker.example", 9092)]
    assert response.controller_id == 1
    assert response.cluster_id == (node.broker.cluster_id if version >= 2 else None)
    partition = response.topics[0].partitions[0]
    assert (partition.leader_id, partition.replica_nodes, partition.isr_nodes, partition.error_code) == (1, [1], [1], 0)
    assert partition.leader_epoch == (0 if version >= 7 else -1)


def test_version_0_has_no_null(node: Node) -> None:
    node.topic("t")
    request = MetadataRequest(topics=[], allow_auto_topic_creation=True)
    assert [topic.name for topic in node.ask(request, 0).topics] == ["t"]


@pytest.mark.parametrize("version", [12, 13])
def test_by_id(node: Node, version: int) -> None:
    node.topic("t")
    known, unknown = node.topic_id("t"), uuid.UUID(int=3)
    first, second = node.ask(asked(ids=[known, unknown]), version).topics
    assert (first.name, first.topic_id, first.error_code) == ("t", known, ErrorCode.NONE)
    assert (second.name, second.topic_id, second.error_code) == (None, unknown, ErrorCode.UNKNOWN_TOPIC_ID)


@pytest.mark.parametrize("version", [10, 11])
def test_ids_are_refused_where_an_unknown_one_cannot_be_answered(node: Node, version: int) -> None:
    """As Kafka does: INVALID_REQUEST for all that was asked for."""
    node.topic("t")
    by_id = MetadataRequestTopic(name="t", topic_id=node.topic_id("t"))
    for wrong in (by_id, MetadataRequestTopic(name=None, topic_id=uuid.UUID(int=3)), MetadataRequestTopic(name=None)):
        response = node.ask(MetadataRequest(topics=[MetadataRequestTopic(name="t"), wrong]), version)
        assert [topic.error_code for topic in response.topics] == [ErrorCode.INVALID_REQUEST] * 2
        assert [(topic.name, topic.partitions) for topic in response.topics] == [("t", []), (wrong.name or "", [])]
        assert response.topics[1].topic_id == wrong.topic_id
    assert node.ask(MetadataRequest(topics=[MetadataRequestTopic(name="t")]), version).topics[0].error_code == ErrorCode.NONE


def test_what_does_not_exist_is_made_when_that_is_allowed(node: Node) -> None:
    missing = node.ask(asked("new")).topics[0]
    assert missing.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    node.pass_time(1000)
    assert "new" not in node.services.metadata.image.topics
    # It is asked for three times while it is made, and made once.
    for _ in range(3):
        first = node.ask(asked("new", allow_auto_topic_creation=True)).topics[0]
        assert (first.error_code, first.partitions) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])
    node.until(lambda: "new" in node.services.metadata.image.topics)
    assert node.ask(asked("new")).topics[0].error_code == ErrorCode.NONE
    node.pass_time(1000)
    assert node.services.creating == {}


def test_what_cannot_be_made_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with running(default_replication_factor="2") as node:
        for _ in range(3):
            node.ask(asked("new", allow_auto_topic_creation=True))
            node.pass_time(1000)
        (said,) = [message for message in caplog.messages if "new" in message]
        assert said.startswith("topic new was asked for and cannot be made: Unable to replicate the partition 2 time(s)")


def test_old_versions_always_allow_it(node: Node) -> None:
    node.ask(MetadataRequest(topics=[MetadataRequestTopic(name="new")]), 3)
    node.until(lambda: "new" in node.services.metadata.image.topics)


def test_nothing_is_made_when_the_broker_forbids_it() -> None:
    with running(auto_create_topics_enable="false") as node:
        answer = node.ask(asked("new", allow_auto_topic_creation=True)).topics[0]
        assert answer.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        node.pass_time(1000)
        assert "new" not in node.services.metadata.image.topics


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "x" * 250])
def test_names_that_cannot_be(node: Node, name: str) -> None:
    answer = node.ask(asked(name, allow_auto_topic_creation=True)).topics[0]
    assert (answer.name, answer.error_code) == (name, ErrorCode.INVALID_TOPIC_EXCEPTION)


def test_a_name_that_collides_is_never_made(node: Node) -> None:
    node.topic("a.b")
    for _ in range(2):
        answer = node.ask(asked("a_b", allow_auto_topic_creation=True)).topics[0]
        assert answer.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        node.pass_time(1000)
    assert "a_b" not in node.services.metadata.image.topics
    assert node.services.creating == {}


def test_internal_topics_are_made_as_they_must_be(node: Node) -> None:
    """Who asks for `__consumer_offsets` gets the one the coordinator wants, not one with the defaults."""
    answer = node.ask(asked("__consumer_offsets", allow_auto_topic_creation=True)).topics[0]
    assert (answer.error_code, answer.is_internal) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, True)
    node.until(lambda: "__consumer_offsets" in node.services.metadata.image.topics)
    answer = node.ask(asked("__consumer_offsets")).topics[0]
    assert (len(answer.partitions), answer.is_internal) == (5, True)
    assert node.services.replicas.topic_configs["__consumer_offsets"].cleanup_policy == "compact"
    node.ask(asked("__transaction_state", allow_auto_topic_creation=True))
    node.pass_time(1000)
    assert "__transaction_state" not in node.services.metadata.image.topics


def test_a_partition_without_a_leader(node: Node) -> None:
    from dataclasses import replace

    node.topic("t")
    image = node.services.metadata.image
    topic = image.topics["t"]
    alone = {0: replace(topic.partitions[0], leader=-1)}
    node.services.metadata.image = replace(image, topics={"t": replace(topic, partitions=alone)})
    partition = node.ask(asked("t")).topics[0].partitions[0]
    assert (partition.error_code, partition.leader_id) == (ErrorCode.LEADER_NOT_AVAILABLE, -1)


@pytest.mark.parametrize("version", range(8, 14))
def test_operations_are_told_to_who_asks(node: Node, version: int) -> None:
    node.topic("t")
    plain = node.ask(asked("t"), version)
    assert plain.topics[0].topic_authorized_operations == plain.cluster_authorized_operations == NOT_ASKED
    request = asked("t", "none", include_topic_authorized_operations=True)
    request.include_cluster_authorized_operations = version <= 10
    full = node.ask(request, version)
    # Also of what does not exist, as in Kafka.
    assert [topic.topic_authorized_operations for topic in full.topics] == [TOPIC_OPERATIONS] * 2
    assert full.cluster_authorized_operations == (CLUSTER_OPERATIONS if version <= 10 else NOT_ASKED)
