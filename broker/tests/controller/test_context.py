"""What decisions may look at."""

from broker.metadata.image import BROKER_RESOURCE
from broker.protocol.messages.metadata_records import BrokerRegistrationChangeRecord, ConfigRecord

from .cluster import CLUSTER_ID, Cluster


def test_brokers_that_may_hold_replicas() -> None:
    """Fenced ones may, those that are about to go may not."""
    cluster = Cluster((3, 1, 2), fenced=(1,))
    assert cluster.context.usable_brokers == [1, 2, 3]
    cluster.replay([BrokerRegistrationChangeRecord(broker_id=2, broker_epoch=2, in_controlled_shutdown=1)])
    assert cluster.context.usable_brokers == [1, 3]


def test_settings_of_all_brokers() -> None:
    cluster = Cluster()
    assert cluster.context.dynamic == {}
    for name, value in (("", "1"), ("1", "2")):
        cluster.replay([ConfigRecord(resource_type=BROKER_RESOURCE, resource_name=name, name="log.retention.ms", value=value)])
    assert cluster.context.dynamic == {"log.retention.ms": "1"}


def test_where_the_next_record_will_stand() -> None:
    cluster = Cluster(())
    assert cluster.context.next_offset == 0
    cluster.replay([ConfigRecord(resource_type=BROKER_RESOURCE, resource_name="", name="a", value="b")] * 3)
    assert cluster.context.next_offset == 3


def test_who_is_alive_at_which_time() -> None:
    cluster = Cluster((1,))
    cluster.sessions.touch(1, 1, 5, 0)
    cluster.now_ms = cluster.config.broker_session_timeout_ms - 1
    context = cluster.context
    assert (context.cluster_id, context.now_ms) == (CLUSTER_ID, cluster.now_ms)
    assert context.sessions.is_valid(1, 1, context.now_ms)
    cluster.now_ms += 1
    assert not cluster.context.sessions.is_valid(1, 1, cluster.context.now_ms)
