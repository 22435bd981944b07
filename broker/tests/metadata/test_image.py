"""The metadata image: what each record changes, and that nothing else changes."""

import uuid

import pytest
from broker.metadata.image import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    ControllerImage,
    EndpointImage,
    FeatureRange,
    MetadataImage,
    PartitionImage,
)
from broker.protocol.message import Record
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    FeatureLevelRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnregisterBrokerRecord,
)

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
PARTS = ("topics", "names_by_id", "brokers", "controllers", "configs", "features")


def partition(topic_id: uuid.UUID, index: int = 0, leader: int = 1) -> PartitionRecord:
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=[1, 2],
        isr=[1, 2],
        leader=leader,
        leader_epoch=3,
        partition_epoch=5,
        directories=[uuid.UUID(int=7), uuid.UUID(int=8)],
    )


def config(name: str, value: str | None, topic: str = "t") -> ConfigRecord:
    return ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name=topic, name=name, value=value)


def broker(broker_id: int = 1, **settings: bool) -> RegisterBrokerRecord:
    return RegisterBrokerRecord(
        broker_id=broker_id,
        incarnation_id=uuid.UUID(int=5),
        broker_epoch=4,
        end_points=[BrokerEndpoint(name="PLAINTEXT", host="h", port=9092), BrokerEndpoint(name="INSIDE", host="i", port=1)],
        features=[BrokerFeature(name="f", min_supported_version=1, max_supported_version=2)],
        rack="r",
        log_dirs=[uuid.UUID(int=6)],
        **settings,
    )


def controller(controller_id: int = 1, life: int = 5) -> RegisterControllerRecord:
    return RegisterControllerRecord(
        controller_id=controller_id,
        incarnation_id=uuid.UUID(int=life),
        end_points=[ControllerEndpoint(name="CONTROLLER", host="c", port=9093)],
        features=[ControllerFeature(name="f", min_supported_version=1, max_supported_version=2)],
    )


@pytest.fixture
def image() -> MetadataImage:
    batch: list[Record] = [TopicRecord(name="t", topic_id=ONE), partition(ONE), partition(ONE, 1), broker()]
    return MetadataImage().apply(batch, 3)


def test_an_empty_image() -> None:
    empty = MetadataImage()
    assert (empty.offset, empty.topics, empty.next_producer_id) == (-1, {}, 0)
    assert empty.topic_by_id(ONE) is None
    assert empty.config(TOPIC_RESOURCE, "t") == {}


def test_a_topic_with_its_partitions(image: MetadataImage) -> None:
    topic = image.topics["t"]
    assert (topic.name, topic.topic_id, list(topic.partitions)) == ("t", ONE, [0, 1])
    assert image.topic_by_id(ONE) is topic
    assert image.offset == 3
    assert topic.partitions[0] == PartitionImage((1, 2), (1, 2), 1, 3, 5, (uuid.UUID(int=7), uuid.UUID(int=8)))


def test_an_image_does_not_change(image: MetadataImage) -> None:
    before = {name: dict(getattr(image, name)) for name in PARTS}
    image.apply(
        [
            partition(ONE, 2),
            PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=2),
            config("retention.ms", "1"),
            TopicRecord(name="u", topic_id=TWO),
            BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, fenced=-1),
            FeatureLevelRecord(name="f", feature_level=1),
            RemoveTopicRecord(topic_id=ONE),
        ],
        10,
    )
    assert {name: dict(getattr(image, name)) for name in PARTS} == before


@pytest.mark.parametrize(
    ("record", "changed"),
    [
        (ProducerIdsRecord(broker_id=1, broker_epoch=4, next_producer_id=1000), set()),
        (NoOpRecord(), set()),
        (FeatureLevelRecord(name="f", feature_level=1), {"features"}),
        (config("retention.ms", "1"), {"configs"}),
        (PartitionChangeRecord(partition_id=0, topic_id=ONE, isr=[1]), {"topics"}),
        (TopicRecord(name="u", topic_id=TWO), {"topics", "names_by_id"}),
        (RemoveTopicRecord(topic_id=ONE), {"topics", "names_by_id"}),
        (BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, fenced=-1), {"brokers"}),
        (controller(), {"controllers"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Record) else "",
)
def test_what_does_not_change_is_shared(image: MetadataImage, record: Record, changed: set[str]) -> None:
    after = image.apply([record], 4)
    assert {name for name in PARTS if getattr(after, name) is not getattr(image, name)} == changed
    assert after.offset == 4


def test_unchanged_topics_are_shared(image: MetadataImage) -> None:
    after = image.apply([TopicRecord(name="u", topic_id=TWO), partition(TWO)], 5)
    assert after.topics["t"] is image.topics["t"]
    again = after.apply([PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=2)], 6)
    assert again.topics["u"] is after.topics["u"]
    assert again.topics["t"].partitions[1] is image.topics["t"].partitions[1]


def test_a_change_of_leader_is_a_new_leader_epoch(image: MetadataImage) -> None:
    after = image.apply([PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=2)], 4).topics["t"].partitions[0]
    assert (after.leader, after.leader_epoch, after.partition_epoch) == (2, 4, 6)


def test_the_same_leader_again_is_a_new_leader_epoch_too(image: MetadataImage) -> None:
    after = image.apply([PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=1)], 4).topics["t"].partitions[0]
    assert (after.leader, after.leader_epoch) == (1, 4)


def test_a_change_of_the_isr_is_none(image: MetadataImage) -> None:
    change = PartitionChangeRecord(partition_id=1, topic_id=ONE, isr=[2], replicas=[2, 3], directories=[TWO, ONE])
    after = image.apply([change], 4).topics["t"].partitions[1]
    assert (after.isr, after.replicas, after.directories) == ((2,), (2, 3), (TWO, ONE))
    assert (after.leader, after.leader_epoch, after.partition_epoch) == (1, 3, 6)


def test_no_leader(image: MetadataImage) -> None:
    after = image.apply([PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=-1)], 4).topics["t"].partitions[0]
    assert (after.leader, after.leader_epoch) == (-1, 4)


def test_a_removed_topic_takes_its_settings_along(image: MetadataImage) -> None:
    with_settings = image.apply([config("retention.ms", "1"), config("retention.ms", "1", "u")], 5)
    after = with_settings.apply([RemoveTopicRecord(topic_id=ONE)], 6)
    assert (after.topics, after.names_by_id) == ({}, {})
    assert after.configs == {(TOPIC_RESOURCE, "u"): {"retention.ms": "1"}}


def test_a_topic_made_again_in_the_same_batch(image: MetadataImage) -> None:
    batch = [
        PartitionChangeRecord(partition_id=0, topic_id=ONE, leader=2),
        RemoveTopicRecord(topic_id=ONE),
        TopicRecord(name="t", topic_id=TWO),
        partition(TWO),
    ]
    after = image.apply(batch, 7)
    assert (after.topics["t"].topic_id, list(after.topics["t"].partitions)) == (TWO, [0])
    assert after.names_by_id == {TWO: "t"}


def test_settings_are_set_and_removed(image: MetadataImage) -> None:
    after = image.apply([config("retention.ms", "1"), config("segment.bytes", "2"), config("retention.ms", "3")], 4)
    assert after.config(TOPIC_RESOURCE, "t") == {"retention.ms": "3", "segment.bytes": "2"}
    less = after.apply([config("retention.ms", None)], 5)
    assert less.config(TOPIC_RESOURCE, "t") == {"segment.bytes": "2"}
    none = less.apply([config("segment.bytes", None), config("never.set", None)], 6)
    assert none.configs == {}


def test_settings_of_brokers_are_their_own() -> None:
    record = ConfigRecord(resource_type=BROKER_RESOURCE, resource_name="", name="log.retention.ms", value="1")
    image = MetadataImage().apply([record], 0)
    assert image.config(BROKER_RESOURCE, "") == {"log.retention.ms": "1"}
    assert image.config(TOPIC_RESOURCE, "") == {}


def test_a_broker_registers(image: MetadataImage) -> None:
    known = image.brokers[1]
    assert (known.epoch, known.fenced, known.rack, known.directories) == (4, True, "r", (uuid.UUID(int=6),))
    assert known.endpoint("INSIDE") == EndpointImage("INSIDE", "i", 1)
    assert known.endpoint("OUTSIDE") is None


def test_a_broker_is_fenced_and_unfenced(image: MetadataImage) -> None:
    def change(**what: int) -> BrokerRegistrationChangeRecord:
        return BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, **what)

    unfenced = image.apply([change(fenced=-1)], 4)
    assert not unfenced.brokers[1].fenced
    stopping = unfenced.apply([change(in_controlled_shutdown=1)], 5)
    assert (stopping.brokers[1].fenced, stopping.brokers[1].in_controlled_shutdown) == (False, True)
    assert stopping.apply([change(fenced=1)], 6).brokers[1].fenced


def test_a_broker_says_other_directories(image: MetadataImage) -> None:
    assert (image.brokers[1].features, image.brokers[1].cordoned_directories) == ((FeatureRange("f", 1, 2),), None)

    def change(**what: list[uuid.UUID] | None) -> BrokerRegistrationChangeRecord:
        return BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=4, **what)

    moved = image.apply([change(log_dirs=[ONE, TWO], cordoned_log_dirs=[TWO])], 4)
    assert (moved.brokers[1].directories, moved.brokers[1].cordoned_directories) == ((ONE, TWO), (TWO,))
    same = moved.apply([change(cordoned_log_dirs=None)], 5)
    assert (same.brokers[1].directories, same.brokers[1].cordoned_directories) == ((ONE, TWO), (TWO,))
    assert same.apply([change(cordoned_log_dirs=[])], 6).brokers[1].cordoned_directories == ()


def test_a_controller_registers_and_again_in_another_life(image: MetadataImage) -> None:
    endpoints = (EndpointImage("CONTROLLER", "c", 9093),)
    known = image.apply([controller()], 4)
    assert known.controllers == {1: ControllerImage(1, uuid.UUID(int=5), endpoints, (FeatureRange("f", 1, 2),))}
    assert known.controllers[1].endpoint("CONTROLLER") == endpoints[0]
    assert known.controllers[1].endpoint("OTHER") is None
    again = known.apply([controller(life=6), controller(2)], 6)
    assert {one: found.incarnation_id.int for one, found in again.controllers.items()} == {1: 6, 2: 5}


def test_a_feature_at_level_0_is_not_finalised(image: MetadataImage) -> None:
    after = image.apply([FeatureLevelRecord(name="f", feature_level=1), FeatureLevelRecord(name="g", feature_level=2)], 5)
    less = after.apply([FeatureLevelRecord(name="f", feature_level=0), FeatureLevelRecord(name="h", feature_level=0)], 7)
    assert (after.features, less.features) == ({"f": 1, "g": 2}, {"g": 2})


def test_a_broker_goes(image: MetadataImage) -> None:
    assert image.apply([UnregisterBrokerRecord(broker_id=1, broker_epoch=4)], 4).brokers == {}


def test_producer_ids(image: MetadataImage) -> None:
    assert image.apply([ProducerIdsRecord(broker_id=1, broker_epoch=4, next_producer_id=2000)], 4).next_producer_id == 2000


def test_what_belongs_to_no_topic_is_an_error(image: MetadataImage) -> None:
    """A log that is not whole must not be taken for one."""
    for record in (partition(TWO), RemoveTopicRecord(topic_id=TWO), PartitionChangeRecord(partition_id=9, topic_id=ONE)):
        with pytest.raises(KeyError):
            image.apply([record], 4)
