"""Every setting as data: name, type, default, bounds, meaning, and the topic setting it is the default of.

Names and defaults are those of Apache Kafka 4.3 (``KafkaConfig``, ``LogConfig``, ``GroupCoordinatorConfig``). A setting that
Kafka has and this broker does not is unknown here, and is refused by name: nothing is silently ignored.
"""

import difflib
from dataclasses import dataclass
from typing import Any

LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class ConfigError(Exception):
    """A bad setting; the message names the key, the value and what is allowed."""


@dataclass(frozen=True)
class Setting:
    """One setting. `type` is Kafka's: boolean, int, long, string, list. `topic` is the topic-level name, if there is one."""

    name: str
    type: str
    default: Any
    doc: str
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    topic: str | None = None
    dynamic: bool = False
    # The setting in a larger unit that holds when this one is not given: its own default is null then, as in Kafka.
    coarser: str = ""
    # Milliseconds in one of it.
    unit_ms: int = 1
    # Why nothing here reads it: it is taken because Kafka's shipped files and images have it, and README.md lists it.
    without_effect: str = ""

    def parse(self, text: str) -> Any:
        """The typed value; ConfigError says what is allowed."""
        text = text.strip()
        if self.type == "boolean":
            if text.lower() not in ("true", "false"):
                raise self._refusal(text, "true or false")
            return text.lower() == "true"
        if self.type in ("int", "long"):
            return self._number(text)
        if self.type == "list":
            values = tuple(part.strip() for part in text.split(",") if part.strip())
            if self.choices and not set(values) <= set(self.choices):
                raise self._refusal(text, "a list of " + ", ".join(self.choices))
            return values
        if self.choices and text not in self.choices:
            raise self._refusal(text, " or ".join(self.choices))
        return text

    def _number(self, text: str) -> int:
        bits = 31 if self.type == "int" else 63
        low = self.low if self.low is not None else -(2**bits)
        high = self.high if self.high is not None else 2**bits - 1
        try:
            value = int(text)
        except ValueError:
            raise self._refusal(text, f"a whole number from {low} to {high}") from None
        if not low <= value <= high:
            raise self._refusal(text, f"a whole number from {low} to {high}")
        return value

    def _refusal(self, text: str, allowed: str) -> ConfigError:
        return ConfigError(f"{self.name}={text} is not allowed: it takes {allowed}")

    def render(self, value: Any) -> str:
        """The value as it is written in a properties file."""
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(value) if isinstance(value, tuple) else str(value)


BROKER_SETTINGS = (
    Setting("node.id", "int", -1, "The id of this node within the cluster.", low=0),
    Setting("broker.rack", "string", "", "The rack of this broker."),
    Setting("process.roles", "list", ("broker", "controller"), "What this process is.", choices=("broker", "controller")),
    Setting("listeners", "list", ("PLAINTEXT://:9092", "CONTROLLER://:9093"), "Where to listen: NAME://host:port."),
    Setting("advertised.listeners", "list", (), "What clients are told to connect to; the listeners when it is left out."),
    Setting("listener.security.protocol.map", "list", (), "NAME:PROTOCOL; PLAINTEXT is the only protocol so far."),
    Setting("inter.broker.listener.name", "string", "", "The listener other brokers use."),
    Setting("controller.listener.names", "list", ("CONTROLLER",), "The listeners of the controller."),
    Setting("controller.quorum.voters", "list", (), "id@host:port of every voter."),
    Setting(
        "controller.quorum.election.timeout.ms", "int", 1000, "When a voter without a leader asks to be one, at least.", low=1
    ),
    Setting("controller.quorum.fetch.timeout.ms", "int", 2000, "When a leader that does not answer is given up.", low=1),
    Setting(
        "controller.quorum.election.backoff.max.ms",
        "int",
        1000,
        "How long a candidate that lost waits at most before it asks again.",
        low=0,
    ),
    Setting("controller.quorum.request.timeout.ms", "int", 2000, "How long the quorum waits for an answer.", low=1),
    Setting("controller.quorum.retry.backoff.ms", "int", 20, "The pause after a request of the quorum failed.", low=0),
    Setting(
        "controller.quorum.append.linger.ms",
        "int",
        25,
        "How long records wait for others before they are written.",
        low=0,
        without_effect="a record is written at once, and what comes during one fsync shares the next",
    ),
    Setting("metadata.log.segment.bytes", "int", 2**30, "Size of a segment of the metadata log.", low=8 * 2**20),
    Setting("metadata.log.segment.ms", "long", 7 * DAY_MS, "Age at which a segment of the metadata log is closed.", low=1),
    Setting("metadata.max.retention.bytes", "long", 100 * 2**20, "Size of metadata log and snapshots; -1 is no bound.", low=-1),
    Setting("metadata.max.retention.ms", "long", 7 * DAY_MS, "Age at which a metadata snapshot goes; -1 keeps it.", low=-1),
    Setting(
        "metadata.log.max.record.bytes.between.snapshots",
        "long",
        20 * 2**20,
        "Bytes of metadata records that make a snapshot.",
        low=1,
    ),
    Setting("metadata.log.max.snapshot.interval.ms", "long", HOUR_MS, "Age of news that makes a snapshot; 0 is never.", low=0),
    Setting(
        "metadata.max.idle.interval.ms",
        "int",
        500,
        "When an idle controller writes a record that says nothing; 0 is never.",
        low=0,
    ),
    Setting(
        "controller.quorum.bootstrap.servers",
        "list",
        (),
        "Where a quorum is found whose voters change.",
        without_effect="voters do not change; controller.quorum.voters names them",
    ),
    Setting("log.dirs", "list", (), "The directory of all data; one for now."),
    Setting("log.dir", "string", "/tmp/board-broker-logs", "The data directory when log.dirs is not set."),  # noqa: S108
    Setting("num.partitions", "int", 1, "Partitions of a topic that does not say.", low=1),
    Setting("default.replication.factor", "int", 1, "Replicas of a topic that does not say.", low=1),
    Setting("auto.create.topics.enable", "boolean", True, "Make a topic when it is first asked for."),
    Setting("delete.topic.enable", "boolean", True, "Allow the deletion of topics."),
    Setting(
        "min.insync.replicas", "int", 1, "How many replicas acks=all needs.", low=1, topic="min.insync.replicas", dynamic=True
    ),
    Setting("message.max.bytes", "int", 1048588, "The largest record batch.", low=0, topic="max.message.bytes", dynamic=True),
    Setting("log.segment.bytes", "int", 2**30, "Size of a segment.", low=1024 * 1024, topic="segment.bytes", dynamic=True),
    Setting(
        "log.roll.ms",
        "long",
        None,
        "Age at which a segment is closed; log.roll.hours when it is not set.",
        low=1,
        topic="segment.ms",
        dynamic=True,
        coarser="log.roll.hours",
    ),
    Setting("log.roll.hours", "int", 168, "Age in hours at which a segment is closed.", low=1, unit_ms=HOUR_MS),
    Setting(
        "log.retention.ms",
        "long",
        None,
        "Age at which a segment goes, -1 keeps it; log.retention.minutes or .hours when it is not set.",
        low=-1,
        topic="retention.ms",
        dynamic=True,
        coarser="log.retention.minutes",
    ),
    Setting(
        "log.retention.minutes",
        "int",
        None,
        "Age in minutes at which a segment goes, -1 keeps it; log.retention.hours when it is not set.",
        low=-1,
        coarser="log.retention.hours",
        unit_ms=MINUTE_MS,
    ),
    Setting("log.retention.hours", "int", 168, "Age in hours at which a segment goes; -1 keeps it.", low=-1, unit_ms=HOUR_MS),
    Setting(
        "log.retention.bytes", "long", -1, "Size a partition may keep; -1 is all.", low=-1, topic="retention.bytes", dynamic=True
    ),
    Setting("log.retention.check.interval.ms", "long", 300_000, "How often old segments are looked for.", low=1),
    Setting(
        "log.index.interval.bytes", "int", 4096, "Bytes between index entries.", low=0, topic="index.interval.bytes", dynamic=True
    ),
    Setting("log.index.size.max.bytes", "int", 10 * 2**20, "Size of an index.", low=4, topic="segment.index.bytes", dynamic=True),
    Setting(
        "log.segment.delete.delay.ms",
        "long",
        60_000,
        "Delay of removing files.",
        low=0,
        topic="file.delete.delay.ms",
        dynamic=True,
    ),
    Setting(
        "log.cleanup.policy",
        "list",
        ("delete",),
        "What becomes of old records; compact keeps all for now.",
        choices=("delete", "compact"),
        topic="cleanup.policy",
        dynamic=True,
    ),
    Setting(
        "log.message.timestamp.type",
        "string",
        "CreateTime",
        "Whose time a record carries.",
        choices=("CreateTime", "LogAppendTime"),
        topic="message.timestamp.type",
        dynamic=True,
    ),
    Setting(
        "log.message.timestamp.before.max.ms",
        "long",
        LONG_MAX,
        "How old a timestamp may be.",
        low=0,
        topic="message.timestamp.before.max.ms",
        dynamic=True,
    ),
    Setting(
        "log.message.timestamp.after.max.ms",
        "long",
        HOUR_MS,
        "How far ahead a timestamp may be.",
        low=0,
        topic="message.timestamp.after.max.ms",
        dynamic=True,
    ),
    Setting(
        "compression.type",
        "string",
        "producer",
        "Batches are kept as the producer made them.",
        choices=("producer",),
        topic="compression.type",
        dynamic=True,
    ),
    Setting(
        "unclean.leader.election.enable",
        "boolean",
        False,
        "Whether a replica that may lack records may lead when nobody else is there.",
        topic="unclean.leader.election.enable",
        dynamic=True,
    ),
    Setting(
        "log.flush.offset.checkpoint.interval.ms", "int", 60_000, "How often logs are fsynced and recovery points written.", low=1
    ),
    Setting("replica.high.watermark.checkpoint.interval.ms", "long", 5_000, "How often high watermarks are written.", low=1),
    Setting("replica.lag.time.max.ms", "long", 30_000, "How long a replica may lag before it leaves the ISR.", low=1),
    Setting("replica.fetch.max.bytes", "int", 2**20, "Bytes of one partition in a follower's fetch.", low=1),
    Setting("replica.fetch.response.max.bytes", "int", 10 * 2**20, "Bytes of a follower's fetch.", low=1),
    Setting("replica.fetch.min.bytes", "int", 1, "Bytes a leader waits for before it answers a follower.", low=1),
    Setting("replica.fetch.wait.max.ms", "int", 500, "How long a leader may hold a follower's fetch.", low=0),
    Setting("replica.fetch.backoff.ms", "int", 1000, "How long a partition rests after an error of its leader.", low=0),
    Setting("producer.id.expiration.ms", "int", DAY_MS, "When an idle producer is forgotten.", low=1),
    Setting("socket.request.max.bytes", "int", 100 * 2**20, "The largest request.", low=1),
    Setting("queued.max.requests", "int", 500, "Requests in flight on one connection before reading pauses.", low=1),
    Setting("queued.max.request.bytes", "long", 256 * 2**20, "Bytes of large requests in memory over all connections.", low=1),
    Setting("connections.max.idle.ms", "long", 600_000, "When a silent connection is closed.", low=1),
    Setting("max.connections", "int", 10_000, "Connections at the same time.", low=1),
    Setting("fetch.max.bytes", "int", 55 * 2**20, "The most bytes of one fetch answer.", low=1024),
    Setting("max.incremental.fetch.session.cache.slots", "int", 1000, "Fetch sessions at the same time.", low=0),
    Setting("max.request.partition.size.limit", "int", 2000, "Partitions in one page of a description.", low=1),
    Setting(
        "num.network.threads", "int", 3, "Threads that read and write.", low=1, without_effect="one event loop does the work"
    ),
    Setting(
        "num.io.threads", "int", 8, "Threads that do what requests ask for.", low=1, without_effect="one event loop does the work"
    ),
    Setting("socket.send.buffer.bytes", "int", 102400, "SO_SNDBUF.", low=-1, without_effect="the operating system decides"),
    Setting("socket.receive.buffer.bytes", "int", 102400, "SO_RCVBUF.", low=-1, without_effect="the operating system decides"),
    Setting(
        "num.recovery.threads.per.data.dir",
        "int",
        2,
        "Threads that check logs at the start.",
        low=1,
        without_effect="one thread checks them",
    ),
    Setting("offsets.topic.num.partitions", "int", 50, "Partitions of __consumer_offsets.", low=1),
    Setting("offsets.topic.replication.factor", "int", 3, "Replicas of __consumer_offsets.", low=1),
    Setting("offsets.topic.segment.bytes", "int", 100 * 2**20, "Segment size of __consumer_offsets.", low=1),
    Setting("offsets.retention.minutes", "int", 10080, "How long the offsets of an empty group are kept.", low=1),
    Setting("offsets.retention.check.interval.ms", "long", 600_000, "How often expired offsets are looked for.", low=1),
    Setting("offsets.commit.timeout.ms", "int", 5000, "How long a commit may wait for the replicas.", low=1),
    Setting("offset.metadata.max.bytes", "int", 4096, "The largest note beside an offset.", low=0),
    Setting("group.initial.rebalance.delay.ms", "int", 3000, "How long an empty group waits for more members.", low=0),
    Setting("group.min.session.timeout.ms", "int", 6000, "The shortest session time-out.", low=1),
    Setting("group.max.session.timeout.ms", "int", 1_800_000, "The longest session time-out.", low=1),
    Setting("group.max.size", "int", INT_MAX, "Members of one group.", low=1),
    Setting(
        "transaction.state.log.replication.factor",
        "int",
        3,
        "Replicas of __transaction_state.",
        low=1,
        without_effect="transactions are not there yet",
    ),
    Setting(
        "transaction.state.log.min.isr",
        "int",
        2,
        "min.insync.replicas of __transaction_state.",
        low=1,
        without_effect="transactions are not there yet",
    ),
    Setting(
        "share.coordinator.state.topic.replication.factor",
        "int",
        3,
        "Replicas of __share_group_state.",
        low=1,
        without_effect="share groups are not there yet",
    ),
    Setting(
        "share.coordinator.state.topic.min.isr",
        "int",
        2,
        "min.insync.replicas of __share_group_state.",
        low=1,
        without_effect="share groups are not there yet",
    ),
    Setting("unclean.leader.election.interval.ms", "long", 300_000, "How often unclean elections are looked for.", low=1),
    Setting("auto.leader.rebalance.enable", "boolean", True, "Give preferred leaders back."),
    Setting("leader.imbalance.check.interval.seconds", "long", 300, "How often preferred leaders are given back.", low=1),
    Setting("controlled.shutdown.enable", "boolean", True, "Move leaders away before stopping."),
    Setting("broker.heartbeat.interval.ms", "int", 2000, "How often a broker tells the controller that it is alive.", low=1),
    Setting(
        "initial.broker.registration.timeout.ms",
        "int",
        MINUTE_MS,
        "How long a broker waits for another one with its node.id to end, before it ends itself.",
        low=0,
    ),
    Setting("broker.session.timeout.ms", "int", 9000, "When a silent broker is fenced.", low=1),
)
BY_NAME = {setting.name: setting for setting in BROKER_SETTINGS}
# Topic settings under their topic-level names; the broker setting gives type, bounds and default.
TOPIC_SETTINGS = {setting.topic: setting for setting in BROKER_SETTINGS if setting.topic is not None}
# Topic settings of Kafka 4.3 that do not exist here yet: refused, never silently ignored.
LATER_TOPIC_SETTINGS = frozenset(
    {
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.zstd.level",
        "delete.retention.ms",
        "flush.messages",
        "flush.ms",
        "follower.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "local.retention.ms",
        "max.compaction.lag.ms",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "preallocate",
        "remote.log.copy.disable",
        "remote.log.delete.on.disable",
        "remote.storage.enable",
        "segment.jitter.ms",
    }
)


def find(name: str) -> Setting:
    """The broker setting of that name; ConfigError names the nearest one."""
    setting = BY_NAME.get(name)
    if setting is None:
        raise ConfigError(f"{name} is not a setting of this broker{_nearest(name, list(BY_NAME))}")
    return setting


def find_topic(name: str) -> Setting:
    """The setting behind a topic-level name; ConfigError names the nearest one."""
    if name in LATER_TOPIC_SETTINGS:
        raise ConfigError(f"{name} is not supported yet")
    setting = TOPIC_SETTINGS.get(name)
    if setting is None:
        raise ConfigError(f"Unknown topic config name: {name}{_nearest(name, [key for key in TOPIC_SETTINGS if key])}")
    return setting


def parse_topic(name: str, text: str) -> Any:
    """The typed value of a topic setting; ConfigError names the topic-level key."""
    setting = find_topic(name)
    try:
        return setting.parse(text)
    except ConfigError as error:
        raise ConfigError(str(error).replace(setting.name, name, 1)) from None


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
