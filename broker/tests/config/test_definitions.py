"""Settings as data: defaults are Kafka 4.3's, bad values name key, value and what is allowed, unknown names the nearest."""

import re
from pathlib import Path

import pytest
from broker.config.broker import BOOTSTRAP_SERVERS, attribute
from broker.config.definitions import (
    BROKER_SETTINGS,
    BY_NAME,
    LATER_TOPIC_SETTINGS,
    TOPIC_SETTINGS,
    ConfigError,
    find,
    find_topic,
    parse_topic,
)

from broker import config

# Built-in defaults of Apache Kafka 4.3 (KafkaConfig and what it is made of), as they are written.
KAFKA_DEFAULTS = {
    "num.partitions": "1",
    "default.replication.factor": "1",
    "auto.create.topics.enable": "true",
    "delete.topic.enable": "true",
    "min.insync.replicas": "1",
    "message.max.bytes": "1048588",
    "log.segment.bytes": "1073741824",
    "log.roll.hours": "168",
    "log.retention.hours": "168",
    "log.retention.bytes": "-1",
    "log.retention.check.interval.ms": "300000",
    "log.index.interval.bytes": "4096",
    "log.index.size.max.bytes": "10485760",
    "log.segment.delete.delay.ms": "60000",
    "log.cleanup.policy": "delete",
    "log.message.timestamp.type": "CreateTime",
    "log.message.timestamp.before.max.ms": "9223372036854775807",
    "log.message.timestamp.after.max.ms": "3600000",
    "compression.type": "producer",
    "unclean.leader.election.enable": "false",
    "log.flush.offset.checkpoint.interval.ms": "60000",
    "replica.high.watermark.checkpoint.interval.ms": "5000",
    "producer.id.expiration.ms": "86400000",
    "socket.request.max.bytes": "104857600",
    "queued.max.requests": "500",
    "connections.max.idle.ms": "600000",
    "fetch.max.bytes": "57671680",
    "max.incremental.fetch.session.cache.slots": "1000",
    "max.request.partition.size.limit": "2000",
    "num.network.threads": "3",
    "num.io.threads": "8",
    "socket.send.buffer.bytes": "102400",
    "socket.receive.buffer.bytes": "102400",
    "num.recovery.threads.per.data.dir": "2",
    "offsets.topic.num.partitions": "50",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.segment.bytes": "104857600",
    "offsets.retention.minutes": "10080",
    "offsets.retention.check.interval.ms": "600000",
    "offset.metadata.max.bytes": "4096",
    "group.initial.rebalance.delay.ms": "3000",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "group.max.size": "2147483647",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "broker.heartbeat.interval.ms": "2000",
    "broker.session.timeout.ms": "9000",
}
TOPIC_NAMES = {
    "cleanup.policy": "log.cleanup.policy",
    "compression.type": "compression.type",
    "file.delete.delay.ms": "log.segment.delete.delay.ms",
    "index.interval.bytes": "log.index.interval.bytes",
    "max.message.bytes": "message.max.bytes",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.type": "log.message.timestamp.type",
    "min.insync.replicas": "min.insync.replicas",
    "retention.bytes": "log.retention.bytes",
    "retention.ms": "log.retention.ms",
    "segment.bytes": "log.segment.bytes",
    "segment.index.bytes": "log.index.size.max.bytes",
    "segment.ms": "log.roll.ms",
    "unclean.leader.election.enable": "unclean.leader.election.enable",
}


@pytest.mark.parametrize("name", KAFKA_DEFAULTS)
def test_defaults_are_kafkas(name: str) -> None:
    assert BY_NAME[name].render(BY_NAME[name].default) == KAFKA_DEFAULTS[name]


@pytest.mark.parametrize("name", ["log.roll.ms", "log.retention.ms", "log.retention.minutes"])
def test_what_kafka_says_in_a_larger_unit_is_null(name: str) -> None:
    assert BY_NAME[name].default is None


def test_topic_names_are_kafkas() -> None:
    assert {name: TOPIC_SETTINGS[name].name for name in TOPIC_NAMES} == TOPIC_NAMES


@pytest.mark.parametrize("setting", BROKER_SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_sound(setting: object) -> None:
    """Its default is allowed, comes back from its text, and somebody wrote what it means."""
    from broker.config.definitions import Setting

    assert isinstance(setting, Setting)
    assert setting.type in {"boolean", "int", "long", "string", "list"}
    assert setting.doc.endswith(".")
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)*", setting.name)
    if setting.default is None:
        assert BY_NAME[setting.coarser].unit_ms > setting.unit_ms
    elif setting.name != "node.id":  # it has no default
        assert setting.parse(setting.render(setting.default)) == setting.default


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(BROKER_SETTINGS)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("num.partitions", "zero", "a whole number from 1 to 2147483647"),
        ("num.partitions", "0", "a whole number from 1 to 2147483647"),
        ("num.partitions", "", "a whole number"),
        ("num.partitions", "1.5", "a whole number"),
        ("num.partitions", "2147483648", "a whole number"),
        ("log.retention.ms", "-2", "a whole number from -1 to 9223372036854775807"),
        ("log.retention.ms", "9223372036854775808", "a whole number"),
        ("auto.create.topics.enable", "yes", "true or false"),
        ("auto.create.topics.enable", "", "true or false"),
        ("log.message.timestamp.type", "createtime", "CreateTime or LogAppendTime"),
        ("log.cleanup.policy", "delete,shrink", "a list of delete, compact"),
        ("process.roles", "broker,observer", "a list of broker, controller"),
        ("compression.type", "zip", "producer"),
    ],
)
def test_a_bad_value_names_key_value_and_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(name).parse(text)
    assert str(caught.value).startswith(f"{name}={text} is not allowed: it takes {allowed}")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("num.partitions", " 12 ", 12),
        ("log.retention.ms", "-1", -1),
        ("auto.create.topics.enable", "TRUE", True),
        ("auto.create.topics.enable", "false", False),
        ("log.cleanup.policy", " compact , delete ", ("compact", "delete")),
        ("log.dirs", "/a, /b,", ("/a", "/b")),
        ("log.dirs", "", ()),
        ("broker.rack", " r1 ", "r1"),
    ],
)
def test_good_values(name: str, text: str, value: object) -> None:
    assert find(name).parse(text) == value


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"log\.retention\.msec is not a .*; did you mean log\.retention\.ms\?"):
        find("log.retention.msec")
    with pytest.raises(ConfigError, match=r"Unknown topic config name: retention\.m; did you mean retention\.ms\?"):
        find_topic("retention.m")
    with pytest.raises(ConfigError, match=r"^zzz is not a setting of this broker$"):
        find("zzz")


def test_a_bad_topic_value_names_the_topics_key() -> None:
    with pytest.raises(ConfigError, match=r"^max\.message\.bytes=-1 is not allowed: it takes a whole number from 0"):
        parse_topic("max.message.bytes", "-1")
    assert parse_topic("unclean.leader.election.enable", " True") is True
    assert parse_topic("retention.ms", "5") == 5


def test_what_kafka_knows_and_this_broker_does_not_is_refused_by_name() -> None:
    """Kafka 4.3 describes 33 settings of a topic; each of them either works or is refused."""
    assert len(LATER_TOPIC_SETTINGS | set(TOPIC_SETTINGS)) == 33
    assert not LATER_TOPIC_SETTINGS & set(TOPIC_SETTINGS)
    for name in sorted(LATER_TOPIC_SETTINGS):
        with pytest.raises(ConfigError, match=rf"^{re.escape(name)} is not supported yet$"):
            find_topic(name)


SOURCES = Path(config.__file__).parents[1]


def test_what_nothing_reads_says_why_and_stands_in_the_readme() -> None:
    """A setting that is taken has an effect, or a reason in the one place that lists those without."""
    elsewhere = [path for path in SOURCES.rglob("*.py") if path.name != "definitions.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in elsewhere)
    # What Kafka's shipped file says is not read by being written down.
    text = re.sub(r"SHIPPED = \{.*?\n\}", "", text, flags=re.DOTALL).replace(f'BOOTSTRAP_SERVERS = "{BOOTSTRAP_SERVERS}"', "")
    readme = (SOURCES.parents[1] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("### Settings without effect")[2].partition("###")[0]
    listed = dict(re.findall(r"^\| `(.+?)` \| (.+?) \|$", table, flags=re.MULTILINE))
    assert listed == {setting.name: setting.without_effect for setting in BROKER_SETTINGS if setting.without_effect}
    for setting in BROKER_SETTINGS:
        names = {setting.name, attribute(setting.name)} | ({attribute(setting.topic)} if setting.topic else set())
        is_read = any(re.search(rf"[\"._]{re.escape(name)}\b", _without_annotations(text)) for name in names)
        is_read |= any(one.coarser == setting.name for one in BROKER_SETTINGS)
        assert is_read == (not setting.without_effect), setting.name


def _without_annotations(text: str) -> str:
    """Declared attributes are not read by that."""
    return re.sub(r"^    \w+: .*$", "", text, flags=re.MULTILINE)
