"""An image as records makes an equal image again."""

import uuid
from dataclasses import replace

from broker.metadata.image import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    BrokerImage,
    EndpointImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from broker.metadata.records import METADATA_VERSION_FEATURE, decode_record
from broker.metadata.snapshot import BATCH_RECORDS, image_batches, image_records
from broker.protocol.messages.metadata_records import FeatureLevelRecord
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
brokers = st.builds(
    BrokerImage,
    broker_id=st.just(0),
    epoch=st.integers(0, 2**40),
    incarnation_id=uuids,
    endpoints=st.lists(st.builds(EndpointImage, names, names, st.integers(1, 65535)), max_size=2).map(tuple),
    rack=st.none() | names,
    fenced=st.booleans(),
    in_controlled_shutdown=st.booleans(),
    directories=st.lists(uuids, max_size=2).map(tuple),
)
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
