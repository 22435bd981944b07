"""Where the console consumer's records come from: one partition, or a group's share of some topics.

Both give records by `poll` and are closed at the end. A group's offsets are committed on the way, before every rebalance
and at the end, unless automatic commits are off.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable
from broker.cli.fetcher import UNAVAILABLE_S, Fetcher
from broker.cli.formatter import Consumed
from broker.cli.membership import Member, MemberSettings, Rejoin
from broker.cli.offsets import TopicPartition
from broker.cli.retrying import PAUSE_S


class Source(Protocol):
    """What the console consumer reads from."""

    def poll(self, max_wait_ms: int) -> Iterator[Consumed]:
        """Records; none when none came within the time."""

    def close(self) -> None:
        """Keep what was achieved, and go."""


class OnePartition:
    """A partition without a group, from an offset, or from where auto.offset.reset says."""

    def __init__(self, fetcher: Fetcher, partition: TopicPartition, offset: int | None) -> None:
        self._fetcher = fetcher
        fetcher.assign({partition: offset})

    def poll(self, max_wait_ms: int) -> Iterator[Consumed]:
        return self._fetcher.poll(max_wait_ms)

    def close(self) -> None:
        """Nothing is kept."""


class GroupShare:
    """A member's partitions, whichever they are at the moment.

    `topics` gives the topics that are wanted now; they and their partitions are looked at again every `metadata_max_age_ms`.
    `commit_interval_ms`: None is never.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        settings: MemberSettings,
        fetcher: Fetcher,
        topics: Callable[[], set[str]],
        *,
        commit_interval_ms: int | None,
        metadata_max_age_ms: int,
    ) -> None:
        self._cluster, self._fetcher, self._topics = cluster, fetcher, topics
        self._commit_interval_s = None if commit_interval_ms is None else commit_interval_ms / 1000
        self._metadata_max_age_s = metadata_max_age_ms / 1000
        self._member = Member(cluster, group, settings, self._count_partitions)
        self._assigned = False
        self._wanted: set[str] = set()
        self._counts: Mapping[str, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._commit_at = self._look_at = 0.0
        self._away_since: float | None = None

    def poll(self, max_wait_ms: int) -> Iterator[Consumed]:
        try:
            if not self._assigned:
                self._join()
            self._keep_up()
            self._away_since = None
            for consumed in self._fetcher.poll(max_wait_ms):
                yield consumed
                self._member.beat()
        except Rejoin:
            self._give_up()
        except Unavailable:
            # Brokers that restart are waited for; the next poll goes on where this one ended.
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since > UNAVAILABLE_S:
                raise
            time.sleep(PAUSE_S)

    def close(self) -> None:
        if self._assigned:
            self._give_up()
        self._member.leave()

    def _join(self) -> None:
        self._wanted = self._topics()
        assigned = self._member.join(self._wanted)
        committed = self._member.committed()
        self._fetcher.assign({partition: committed.get(partition) for partition in assigned})
        self._committed = {partition: committed[partition] for partition in assigned if partition in committed}
        self._assigned = True
        now = time.monotonic()
        self._commit_at = now + (self._commit_interval_s or 0)
        self._look_at = now + self._metadata_max_age_s

    def _keep_up(self) -> None:
        """Whatever is due: a heartbeat, a commit, a look at the topics."""
        self._member.beat()
        now = time.monotonic()
        if self._commit_interval_s is not None and now >= self._commit_at:
            self._commit_at = now + self._commit_interval_s
            self._commit()
        if now >= self._look_at:
            self._look_at = now + self._metadata_max_age_s
            wanted = self._topics()
            counts = self._counts
            if wanted != self._wanted or (self._member.leads and self._count_partitions(set(counts)) != counts):
                raise Rejoin

    def _commit(self) -> None:
        positions = dict(self._fetcher.positions)
        if positions != self._committed:
            self._member.commit(positions)
            self._committed = positions

    def _give_up(self) -> None:
        """The partitions are somebody else's from now on; when the group went on already, what was read is read again."""
        self._assigned = False
        if self._commit_interval_s is not None and self._member.joined:
            try:
                self._commit()
            except Rejoin:
                return

    def _count_partitions(self, topics: set[str]) -> Mapping[str, int]:
        found = self._cluster.metadata(sorted(topics)).topics if topics else []
        self._counts = {topic.name or "": len(topic.partitions) for topic in found}
        return self._counts
