"""What one client knows of a cluster: where its brokers are, and who leads which partition in which epoch.

News of an older epoch than the one that is known is no news, as in Kafka's clients (KIP-320). Everything that a broker says of
leaders goes to the ledger as well.
"""

from typing import NamedTuple
from uuid import UUID

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.metadata import MetadataResponse
from simulation.disk_view import Key
from simulation.ledger import Ledger

NO_EPOCH = -1
NOBODY = -1


class Leader(NamedTuple):
    """Who leads a partition."""

    host: str
    epoch: int = NO_EPOCH


class Routes:
    """See the module."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hosts: dict[int, str] = {}
        self._leaders: dict[Key, tuple[int, int]] = {}
        # Those that turned out to be wrong.
        self._stale: set[Key] = set()

    def host(self, node_id: int) -> str | None:
        return self._hosts.get(node_id)

    def leader(self, topic_id: UUID, index: int) -> Leader | None:
        key = (topic_id, index)
        node_id, epoch = self._leaders.get(key, (NOBODY, NO_EPOCH))
        host = self._hosts.get(node_id)
        return Leader(host, epoch) if host is not None and key not in self._stale else None

    def doubt(self, topic_id: UUID, index: int) -> None:
        """The leader does not answer, or says that it is none."""
        self._stale.add((topic_id, index))

    def learn(self, answer: MetadataResponse) -> None:
        """What an answer to Metadata says."""
        for broker in answer.brokers:
            self._hosts[broker.node_id] = broker.host
        for topic in answer.topics:
            for partition in topic.partitions:
                if topic.error_code == ErrorCode.NONE:
                    self.hear(topic.topic_id, partition.partition_index, partition.leader_id, partition.leader_epoch)

    def hear(self, topic_id: UUID, index: int, node_id: int, epoch: int, *, by_id: bool = True) -> None:
        """Somebody says who leads, in an answer to Metadata or as a hint with an error (KIP-951).

        Whoever was asked by name may have meant another topic of that name.
        """
        key = (topic_id, index)
        if node_id != NOBODY and by_id:
            self._ledger.told_leader(topic_id, index, node_id, epoch)
        if epoch >= self._leaders.get(key, (NOBODY, NO_EPOCH))[1]:
            self._leaders[key] = (node_id, epoch)
            self._stale.discard(key)
