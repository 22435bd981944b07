"""What the quorum takes from the broker's settings: Kafka's names and defaults."""

from broker.config import BrokerConfig
from broker.raft.ports import Timing
from broker.raft.settings import QuorumSettings


def test_the_defaults_are_kafkas() -> None:
    assert QuorumSettings.of(BrokerConfig({"node.id": "1"})) == QuorumSettings()
    assert QuorumSettings().timing == Timing(1000, 2000, 20, 500, 1 << 20, 1000)


def test_a_short_fetch_timeout_shortens_the_waits() -> None:
    settings = {
        "node.id": "1",
        "controller.quorum.election.timeout.ms": "300",
        "controller.quorum.fetch.timeout.ms": "400",
        "controller.quorum.election.backoff.max.ms": "77",
        "controller.quorum.request.timeout.ms": "500",
        "metadata.log.max.snapshot.interval.ms": "7",
        "metadata.max.retention.bytes": "-1",
    }
    found = QuorumSettings.of(BrokerConfig(settings))
    assert found.timing == Timing(300, 400, 20, 100, election_backoff_max_ms=77)
    assert (found.request_timeout_ms, found.snapshot_interval_ms, found.retention_bytes) == (500, 7, -1)
