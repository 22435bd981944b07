"""What every decision of the controller may look at. Decisions are pure functions of it and of a request."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.controller.sessions import BrokerSessions
from broker.metadata.image import BROKER_RESOURCE, MetadataImage


@dataclass(frozen=True, slots=True)
class Context:
    """The state as of everything appended so far, where the next record will stand, and who is alive at `now_ms` (monotonic)."""

    image: MetadataImage
    next_offset: int
    config: BrokerConfig
    randomness: Randomness
    sessions: BrokerSessions
    cluster_id: str
    now_ms: int

    @property
    def dynamic(self) -> Mapping[str, str]:
        """Broker settings changed at run time for all brokers."""
        return self.image.config(BROKER_RESOURCE, "")

    @property
    def usable_brokers(self) -> list[int]:
        """Ids of registered brokers that may hold new replicas."""
        return sorted(b.broker_id for b in self.image.brokers.values() if not b.in_controlled_shutdown)
