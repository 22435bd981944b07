"""What the quorum takes from the broker's settings."""

from dataclasses import dataclass, field

from broker.config import BrokerConfig
from broker.raft.ports import Timing


@dataclass(frozen=True)
class QuorumSettings:
    """Kafka's `controller.quorum.*` and `metadata.*`, with its defaults. Milliseconds and bytes."""

    timing: Timing = field(default_factory=Timing)
    request_timeout_ms: int = 2000
    listener_name: str = "CONTROLLER"
    snapshot_bytes: int = 20 * 2**20
    snapshot_interval_ms: int = 3_600_000
    retention_bytes: int = 100 * 2**20
    retention_ms: int = 7 * 24 * 3_600_000

    @classmethod
    def of(cls, config: BrokerConfig) -> "QuorumSettings":
        fetch_timeout_ms = config.value("controller.quorum.fetch.timeout.ms")
        return cls(
            timing=Timing(
                config.value("controller.quorum.election.timeout.ms"),
                fetch_timeout_ms,
                config.value("controller.quorum.retry.backoff.ms"),
                # A leader that has no news has to be heard nevertheless.
                min(Timing().fetch_wait_ms, fetch_timeout_ms // 4),
                election_backoff_max_ms=config.value("controller.quorum.election.backoff.max.ms"),
            ),
            request_timeout_ms=config.value("controller.quorum.request.timeout.ms"),
            listener_name=config.controller_listener_names[0] if config.controller_listener_names else "CONTROLLER",
            snapshot_bytes=config.value("metadata.log.max.record.bytes.between.snapshots"),
            snapshot_interval_ms=config.value("metadata.log.max.snapshot.interval.ms"),
            retention_bytes=config.value("metadata.max.retention.bytes"),
            retention_ms=config.value("metadata.max.retention.ms"),
        )
