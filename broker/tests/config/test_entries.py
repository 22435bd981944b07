"""Settings as DescribeConfigs shows them: value, source, and the chain of what would hold otherwise."""

import pytest
from broker.config import BrokerConfig
from broker.config.entries import (
    ConfigEntry,
    ConfigSource,
    DynamicSettings,
    Synonym,
    broker_entries,
    cluster_entries,
    topic_entries,
)
from broker.config.sources import SHIPPED

BROKER = BrokerConfig(SHIPPED | {"message.max.bytes": "1000", "log.retention.ms": "1000"})
NONE = DynamicSettings()


def find(entries: list[ConfigEntry], name: str) -> ConfigEntry:
    (found,) = (entry for entry in entries if entry.name == name)
    return found


def test_a_topic_without_settings_shows_the_brokers() -> None:
    entry = find(topic_entries(BROKER, {}, NONE), "max.message.bytes")
    assert (entry.value, entry.source, entry.read_only) == ("1000", ConfigSource.STATIC_BROKER, False)
    assert entry.synonyms == [
        Synonym("message.max.bytes", "1000", ConfigSource.STATIC_BROKER),
        Synonym("message.max.bytes", "1048588", ConfigSource.DEFAULT),
    ]


def test_the_chain_from_the_strongest_to_the_weakest() -> None:
    dynamic = DynamicSettings(own={"message.max.bytes": "3"}, cluster={"message.max.bytes": "4"})
    entry = find(topic_entries(BROKER, {"max.message.bytes": "2"}, dynamic), "max.message.bytes")
    assert [(synonym.value, synonym.source) for synonym in entry.synonyms] == [
        ("2", ConfigSource.TOPIC),
        ("3", ConfigSource.DYNAMIC_BROKER),
        ("4", ConfigSource.DYNAMIC_DEFAULT_BROKER),
        ("1000", ConfigSource.STATIC_BROKER),
        ("1048588", ConfigSource.DEFAULT),
    ]
    assert [synonym.source for synonym in entry.synonyms] == sorted(synonym.source for synonym in entry.synonyms)
    assert (entry.value, entry.source) == ("2", ConfigSource.TOPIC)


@pytest.mark.parametrize(("given", "expected"), [({}, "604800000"), ({"log.retention.hours": "1"}, "3600000")])
def test_what_larger_units_say_is_a_default(given: dict[str, str], expected: str) -> None:
    """As Kafka 4.3.1 shows it: the value counts for topics, the broker's own setting is null, and nobody lists the hours."""
    broker = BrokerConfig(SHIPPED | given)
    of_a_topic, of_the_broker = (
        find(topic_entries(broker, {}, NONE), "retention.ms"),
        find(broker_entries(broker, NONE), "log.retention.ms"),
    )
    assert (of_a_topic.value, of_a_topic.source, of_a_topic.synonyms) == (expected, ConfigSource.DEFAULT, [])
    assert (of_the_broker.value, of_the_broker.source, of_the_broker.synonyms) == (None, ConfigSource.DEFAULT, [])


def test_larger_units_stand_behind_one_that_is_set() -> None:
    broker = BrokerConfig(SHIPPED | {"log.retention.hours": "1", "log.retention.minutes": "5"})
    minutes = find(broker_entries(broker, NONE), "log.retention.minutes")
    assert (minutes.value, minutes.source) == ("5", ConfigSource.STATIC_BROKER)
    behind = [
        Synonym("log.retention.hours", "1", ConfigSource.STATIC_BROKER),
        Synonym("log.retention.hours", "168", ConfigSource.DEFAULT),
    ]
    assert minutes.synonyms == [Synonym("log.retention.minutes", "5", ConfigSource.STATIC_BROKER), *behind]
    dynamic = DynamicSettings(cluster={"log.retention.ms": "9"})
    entry = find(topic_entries(broker, {}, dynamic), "retention.ms")
    assert entry.synonyms == [
        Synonym("log.retention.ms", "9", ConfigSource.DYNAMIC_DEFAULT_BROKER),
        Synonym("log.retention.minutes", "5", ConfigSource.STATIC_BROKER),
        *behind,
    ]


def test_names_are_sorted_and_documented() -> None:
    for entries in (topic_entries(BROKER, {}, NONE), broker_entries(BROKER, NONE)):
        assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
        assert all(entry.doc for entry in entries)


def test_types_are_kafkas_numbers() -> None:
    entries = broker_entries(BROKER, NONE)
    names = ("auto.create.topics.enable", "compression.type", "num.partitions", "log.retention.ms", "log.cleanup.policy")
    assert [find(entries, name).type for name in names] == [1, 2, 3, 5, 7]


def test_only_what_can_change_is_writable() -> None:
    entries = broker_entries(BROKER, NONE)
    assert find(entries, "node.id").read_only
    assert not find(entries, "log.retention.ms").read_only
    assert find(entries, "node.id").source is ConfigSource.STATIC_BROKER
    assert find(entries, "num.partitions").source is ConfigSource.DEFAULT


def test_what_was_set_for_all_brokers() -> None:
    assert cluster_entries(BROKER, NONE) == []
    (entry,) = cluster_entries(BROKER, DynamicSettings(own={"message.max.bytes": "5"}, cluster={"log.retention.ms": "9"}))
    assert (entry.name, entry.value, entry.source) == ("log.retention.ms", "9", ConfigSource.DYNAMIC_DEFAULT_BROKER)
