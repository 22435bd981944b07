"""What can be seen of the cluster while it is broken: leaders, ISRs, brokers and lag, as differences between two looks.

Seen through the Kafka protocol only. A look that gets no answer is shown as such: that, too, is what one sees.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from demo.groups import BrokerSilent, group_rows
from demo.layout import DemoError
from demo.prepare import TOPICS
from demo.terminal import Terminal

LOOK_TIMEOUT_SECONDS = 2.0
POLL_SECONDS = 0.2
OFFSETS_TOPIC = "__consumer_offsets"
Partition = tuple[str, int]


@dataclass(frozen=True)
class PartitionState:
    """Who leads, who is in sync, who should be."""

    leader: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]

    def __str__(self) -> str:
        return f"leader {self.leader if self.leader >= 0 else 'none'} ISR {','.join(map(str, self.isr)) or 'none'}"


@dataclass(frozen=True)
class Look:
    """The cluster at a moment; `silent` when nobody answered."""

    brokers: tuple[int, ...] = ()
    partitions: dict[Partition, PartitionState] = field(default_factory=dict)
    silent: bool = False

    @property
    def in_sync(self) -> bool:
        return (
            not self.silent
            and bool(self.partitions)
            and all(len(one.isr) == len(one.replicas) and one.leader >= 0 for one in self.partitions.values())
        )


class ClusterView:
    """Looks at the board's topics again and again, and says what changed."""

    def __init__(self, bootstrap_servers: str, terminal: Terminal) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._terminal = terminal
        self._admin = AdminClient(
            {"bootstrap.servers": bootstrap_servers, "log_level": 0, "socket.timeout.ms": int(LOOK_TIMEOUT_SECONDS * 1000)}
        )
        self._began = time.monotonic()
        # The last look that was answered.
        self._last = Look()
        self._silent = False

    def look(self) -> Look:
        try:
            metadata = self._admin.list_topics(timeout=LOOK_TIMEOUT_SECONDS)
        except KafkaException:
            return Look(silent=True)
        partitions = {
            (name, number): PartitionState(one.leader, tuple(sorted(one.isrs)), tuple(one.replicas))
            for name, topic in metadata.topics.items()
            if name in TOPICS or name == OFFSETS_TOPIC
            for number, one in topic.partitions.items()
        }
        return Look(tuple(sorted(metadata.brokers)), partitions)

    def say(self, text: str) -> None:
        self._terminal.say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def tell_changes(self) -> Look:
        """Look, and say what is different from the last look."""
        now, before = self.look(), self._last
        if now.silent != self._silent:
            self.say("no broker answers" if now.silent else "the brokers answer again")
        self._silent = now.silent
        if now.silent:
            return now
        self._last = now
        if now.brokers != before.brokers:
            self.say(f"brokers: {', '.join(map(str, now.brokers))}")
        offsets_changed = 0
        for key, state in sorted(now.partitions.items()):
            if before.partitions.get(key) == state:
                continue
            if key[0] == OFFSETS_TOPIC:
                offsets_changed += key in before.partitions
            else:
                self.say(f"{key[0]} {key[1]}: {state}")
        if offsets_changed:
            self.say(f"{OFFSETS_TOPIC}: {offsets_changed} partitions have another leader or ISR")
        return now

    def watch(self, until: Callable[[Look], bool], timeout_seconds: float, what: str) -> None:
        """Say every change until something holds; DemoError when it does not in time."""
        deadline = time.monotonic() + timeout_seconds
        while not until(self.tell_changes()):
            if time.monotonic() > deadline:
                raise DemoError(f"after {timeout_seconds:.0f} s {what} is still not so; look at ./board status and the logs")
            time.sleep(POLL_SECONDS)

    def lag(self) -> int | None:
        """Of all groups together; None when it cannot be seen."""
        try:
            return sum(row.lag or 0 for row in group_rows(self._bootstrap_servers))
        except (BrokerSilent, KafkaException):
            return None

    def watch_lag(self, timeout_seconds: float) -> None:
        """Say the lag while it changes, until it is 0."""
        deadline = time.monotonic() + timeout_seconds
        shown: int | None = -1
        while (lag := self.lag()) != 0:
            if lag != shown:
                self.say(f"lag {'unknown' if lag is None else lag}")
                shown = lag
            if time.monotonic() > deadline:
                raise DemoError(f"after {timeout_seconds:.0f} s the groups have not caught up; look at ./board groups")
            time.sleep(POLL_SECONDS)
        self.say("lag 0")
