"""Subscriptions and assignments there and back, against kafka-python's bytes; the range assignor against its own."""

import random
from types import SimpleNamespace

import pytest
from broker.client.consumer_protocol import (
    assign_range,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from broker.protocol.codec import MalformedMessage
from kafka.coordinator.assignors.abstract import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from kafka.coordinator.assignors.range import RangePartitionAssignor

PARTITIONS = [("a", 0), ("a", 2), ("b", 1), ("하나", 7)]


def test_a_subscription_there_and_back() -> None:
    found = decode_subscription(encode_subscription({"b", "a"}, [("a", 1), ("a", 0)], 4))
    assert found.topics == ["a", "b"]
    assert [(one.topic, one.partitions) for one in found.owned_partitions] == [("a", [0, 1])]
    assert found.generation_id == 4
    assert found.rack_id is None


def test_an_assignment_there_and_back() -> None:
    assert decode_assignment(encode_assignment(reversed(PARTITIONS))) == PARTITIONS
    assert decode_assignment(encode_assignment([])) == []


def test_no_bytes_are_no_partitions() -> None:
    assert decode_assignment(b"") == []


def test_kafka_python_reads_what_we_write() -> None:
    subscription = ConsumerProtocolSubscription.decode(encode_subscription(["x", "y"]))
    assert list(subscription.topics) == ["x", "y"]
    assignment = ConsumerProtocolAssignment.decode(encode_assignment(PARTITIONS))
    found = [(part.topic, list(part.partitions)) for part in assignment.assigned_partitions]
    assert found == [("a", [0, 2]), ("b", [1]), ("하나", [7])]


@pytest.mark.parametrize("version", [0, 1])
def test_we_read_what_kafka_python_writes(version: int) -> None:
    assert decode_subscription(ConsumerProtocolSubscription(version, ["x", "y"], b"data").encode()).topics == ["x", "y"]
    encoded = ConsumerProtocolAssignment(version, [("a", [0, 2]), ("b", [1])], b"").encode()
    assert decode_assignment(encoded) == [("a", 0), ("a", 2), ("b", 1)]


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = b"\0\x09" + encode_subscription(["a"])[2:] + b"what version 9 adds"
    assert decode_subscription(later).topics == ["a"]


@pytest.mark.parametrize("data", [b"\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff", encode_assignment(PARTITIONS)[:-3]])
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_assignment(data)


def test_every_cut_and_many_mutations_end_well() -> None:
    rng = random.Random(3)
    whole = encode_subscription(["topic-a", "topic-b"], PARTITIONS, 2)
    samples = [whole[:length] for length in range(len(whole))]
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        samples.append(bytes(damaged))
    refused = 0
    for sample in samples:
        try:
            decode_subscription(sample)
        except MalformedMessage:
            refused += 1
    assert refused >= len(whole) - 1


def test_range_gives_rows_and_the_first_get_more() -> None:
    assert assign_range({"m2": ["a"], "m1": ["a"]}, {"a": 3}) == {"m1": [("a", 0), ("a", 1)], "m2": [("a", 2)]}
    assert assign_range({"m1": ["a"], "m2": []}, {"a": 2}) == {"m1": [("a", 0), ("a", 1)], "m2": []}
    assert assign_range({"m1": ["gone"]}, {}) == {"m1": []}
    assert assign_range({}, {"a": 2}) == {}


@pytest.mark.parametrize("seed", range(30))
def test_range_is_kafka_pythons(seed: int) -> None:
    rng = random.Random(seed)
    counts = {f"t{number}": rng.randint(1, 9) for number in range(rng.randint(1, 4))}
    wanted = {f"m{number}": rng.sample(sorted(counts), rng.randint(1, len(counts))) for number in range(rng.randint(1, 5))}
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])))
    members = [
        SimpleNamespace(member_id=member, group_instance_id=None, metadata=SimpleNamespace(topics=topics))
        for member, topics in wanted.items()
    ]
    theirs = RangePartitionAssignor.assign(cluster, members)
    for member, assigned in assign_range(wanted, counts).items():
        expected = [(topic, index) for topic, indexes in theirs[member].assigned_partitions for index in indexes]
        assert sorted(assigned) == sorted(expected)
    assert sorted(part for parts in assign_range(wanted, counts).values() for part in parts) == sorted(
        (topic, index) for topic in {topic for topics in wanted.values() for topic in topics} for index in range(counts[topic])
    )
