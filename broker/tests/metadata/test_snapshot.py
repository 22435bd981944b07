"""An image as records makes an equal image again."""

import uuid
from dataclasses import replace

from broker.metadata.image import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    BrokerImage,
    ControllerImage,
    EndpointImage,
    FeatureRange,
    MetadataImage,
    PartitionImage,
    TopicImage,
    _Builder,
)
from broker.metadata.records import METADATA_VERSION_FEATURE, decode_record
from broker.metadata.snapshot import BATCH_RECORDS, image_batches, image_records
from broker.protocol.message import Record
from broker.protocol.messages import metadata_records
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ClearElrRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    FeatureLevelRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnregisterBrokerRecord,
)
from hypothesis import given
from hypothesis import strategies as st

ids = st.lists(st.integers(1, 9), max_size=4, unique=True).map(tuple)
uuids = st.uuids(version=4)
names = st.text("abc.-_", min_size=1, max_size=8)
partitions = st.builds(
    PartitionImage,
    replicas=ids,
    isr=ids,
    leader=st.integers(-1, 9),
    leader_epoch=st.integers(0, 99),
    partition_epoch=st.integers(0, 99),
    directories=st.lists(uuids, max_size=3).map(tuple),
    elr=ids,
    last_known_elr=ids,
    leader_recovery_state=st.integers(0, 1),
)
endpoints = st.lists(st.builds(EndpointImage, names, names, st.integers(1, 65535), st.integers(0, 3)), max_size=2).map(tuple)
features = st.lists(st.builds(FeatureRange, names, st.integers(0, 9), st.integers(0, 30)), max_size=3).map(tuple)
brokers = st.builds(
    BrokerImage,
    broker_id=st.just(0),
    epoch=st.integers(0, 2**40),
    incarnation_id=uuids,
    endpoints=endpoints,
    rack=st.none() | names,
    fenced=st.booleans(),
    in_controlled_shutdown=st.booleans(),
    directories=st.lists(uuids, max_size=2).map(tuple),
    cordoned_directories=st.none() | st.lists(uuids, max_size=2).map(tuple),
    features=features,
)
controllers = st.builds(ControllerImage, controller_id=st.just(0), incarnation_id=uuids, endpoints=endpoints, features=features)
settings = st.dictionaries(names, names, min_size=1, max_size=3)


@st.composite
def images(draw: st.DrawFn) -> MetadataImage:
    topics, by_id = {}, {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        topic_id = draw(uuids)
        numbered = draw(st.dictionaries(st.integers(0, 20), partitions, max_size=4))
        topics[name] = TopicImage(name, topic_id, numbered)
        by_id[topic_id] = name
    return MetadataImage(
        offset=1000,
        topics=topics,
        names_by_id=by_id,
        brokers={one: replace(draw(brokers), broker_id=one) for one in draw(ids)},
        controllers={one: replace(draw(controllers), controller_id=one) for one in draw(ids)},
        configs=draw(st.dictionaries(st.tuples(st.sampled_from([TOPIC_RESOURCE, BROKER_RESOURCE]), names), settings, max_size=3)),
        features=draw(st.dictionaries(st.just(METADATA_VERSION_FEATURE) | names, st.integers(1, 30), max_size=3)),
        next_producer_id=draw(st.integers(0, 10_000)),
    )


def rebuilt(image: MetadataImage) -> MetadataImage:
    batches = [[decode_record(value) for value in values] for values in image_batches(image)]
    return MetadataImage.from_snapshot(batches, image.offset)


def without_places(image: MetadataImage) -> MetadataImage:
    """Where a registration stood in the log is not in a snapshot."""
    return replace(image, brokers={one: replace(broker, registered_at=-1) for one, broker in image.brokers.items()})


@given(images())
def test_an_image_survives(image: MetadataImage) -> None:
    again = rebuilt(image)
    assert without_places(again) == without_places(image)
    assert all(broker.registered_at <= image.offset for broker in again.brokers.values())


# Every record that a snapshot is made of, with a value of its own in every field.
ID, OTHER = uuid.UUID(int=7), uuid.UUID(int=8)
WHOLE: list[Record] = [
    FeatureLevelRecord(name=METADATA_VERSION_FEATURE, feature_level=30),
    RegisterBrokerRecord(
        broker_id=3,
        incarnation_id=ID,
        broker_epoch=5,
        end_points=[BrokerEndpoint(name="OUT", host="h", port=9092, security_protocol=1)],
        features=[BrokerFeature(name="f", min_supported_version=1, max_supported_version=2)],
        rack="r",
        fenced=False,
        in_controlled_shutdown=True,
        log_dirs=[OTHER],
        cordoned_log_dirs=[OTHER],
    ),
    RegisterControllerRecord(
        controller_id=4,
        incarnation_id=OTHER,
        end_points=[ControllerEndpoint(name="IN", host="c", port=9093, security_protocol=1)],
        features=[ControllerFeature(name="f", min_supported_version=1, max_supported_version=2)],
    ),
    TopicRecord(name="t", topic_id=ID),
    PartitionRecord(
        partition_id=2,
        topic_id=ID,
        replicas=[1, 2, 3],
        isr=[1],
        leader=1,
        leader_recovery_state=1,
        leader_epoch=4,
        partition_epoch=6,
        directories=[ID, OTHER, ID],
        eligible_leader_replicas=[2],
        last_known_elr=[3],
    ),
    ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name="t", name="retention.ms", value="1"),
    ProducerIdsRecord(broker_id=-1, next_producer_id=2000),
]
# What a snapshot leaves out: what does not exist here (ZooKeeper, reassignment), and who asked for the last producer ids.
LEFT_OUT = {
    (RegisterBrokerRecord, "is_migrating_zk_broker"),
    (RegisterControllerRecord, "zk_migration_ready"),
    (PartitionRecord, "removing_replicas"),
    (PartitionRecord, "adding_replicas"),
    (ProducerIdsRecord, "broker_epoch"),
}
# Records that change or remove what others have said; a snapshot needs none of them.
CHANGES = {
    UnregisterBrokerRecord,
    BrokerRegistrationChangeRecord,
    RemoveTopicRecord,
    PartitionChangeRecord,
    ClearElrRecord,
}


def test_no_field_of_a_record_is_lost() -> None:
    image = MetadataImage().apply(WHOLE, len(WHOLE) - 1)
    assert list(image_records(image)) == WHOLE
    assert without_places(rebuilt(image)) == without_places(image)
    for record in WHOLE:
        plain = type(record)()
        same = {field.name for field in record.FIELDS if getattr(record, field.name) == getattr(plain, field.name)}
        assert {(type(record), name) for name in same} <= LEFT_OUT, "this test would not see it get lost"


def test_every_record_that_makes_an_image_is_looked_at_here() -> None:
    understood = {cls for cls in vars(metadata_records).values() if hasattr(_Builder, f"_{getattr(cls, '__name__', '')}")}
    assert understood == {type(record) for record in WHOLE} | CHANGES


def test_the_metadata_version_comes_first() -> None:
    image = MetadataImage(offset=5, features={"a.feature": 1, METADATA_VERSION_FEATURE: 30, "z.feature": 2})
    names_in_order = [record.name for record in image_records(image) if isinstance(record, FeatureLevelRecord)]
    assert names_in_order == [METADATA_VERSION_FEATURE, "a.feature", "z.feature"]


def test_large_images_come_in_batches() -> None:
    topic_id = uuid.UUID(int=7)
    one = PartitionImage((1,), (1,), 1, 0, 0)
    image = MetadataImage(
        offset=5000, topics={"t": TopicImage("t", topic_id, dict.fromkeys(range(1000), one))}, names_by_id={topic_id: "t"}
    )
    assert [len(batch) for batch in image_batches(image)] == [BATCH_RECORDS] * 4 + [1]
    assert rebuilt(image) == image
