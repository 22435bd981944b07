"""Brokers: registering, coming out of the fence, leading again in a new epoch, and blocks of producer ids."""

import pytest
from broker.controller.brokers import PRODUCER_ID_BLOCK, allocate_producer_ids, bootstrap_records, heartbeat, register
from broker.controller.topics import create_topics
from broker.metadata.records import METADATA_VERSION
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from broker.protocol.types import UUID

from .cluster import Cluster, create, topic


def registration(broker_id: int = 1) -> BrokerRegistrationRequest:
    return BrokerRegistrationRequest(
        broker_id=broker_id,
        incarnation_id=UUID(int=5),
        listeners=[Listener(name="PLAINTEXT", host="h", port=9092)],
        features=[Feature(name="metadata.version", min_supported_version=7, max_supported_version=30)],
        rack="r",
        log_dirs=[UUID(int=8)],
    )


def beat(epoch: int, offset: int, broker_id: int = 1, *, want_fence: bool = False) -> BrokerHeartbeatRequest:
    return BrokerHeartbeatRequest(broker_id=broker_id, broker_epoch=epoch, current_metadata_offset=offset, want_fence=want_fence)


def test_an_empty_log_begins_with_the_features() -> None:
    cluster = Cluster(())
    cluster.replay(bootstrap_records())
    assert cluster.image.features == {"metadata.version": METADATA_VERSION}


def test_a_broker_registers_fenced_with_the_offset_as_its_epoch() -> None:
    cluster = Cluster((2,))
    offset = cluster.image.offset + 1
    response = cluster.decide(register, registration())
    assert response.broker_epoch == offset
    known = cluster.image.brokers[1]
    assert (known.epoch, known.fenced, known.rack, known.directories) == (offset, True, "r", (UUID(int=8),))
    assert known.endpoint("PLAINTEXT") is not None


def test_a_new_incarnation_has_a_new_epoch() -> None:
    cluster = Cluster(())
    first = cluster.decide(register, registration()).broker_epoch
    assert cluster.decide(register, registration()).broker_epoch > first


def test_the_first_heartbeat_that_has_caught_up_ends_the_fencing() -> None:
    cluster = Cluster(())
    epoch = cluster.decide(register, registration()).broker_epoch
    late = cluster.decide(heartbeat, beat(epoch, epoch - 1))
    assert (late.is_caught_up, late.is_fenced, cluster.records) == (False, True, [])
    done = cluster.decide(heartbeat, beat(epoch, epoch))
    assert (done.error_code, done.is_caught_up, done.is_fenced) == (0, True, False)
    assert not cluster.image.brokers[1].fenced
    again = cluster.decide(heartbeat, beat(epoch, epoch + 1))
    assert (again.is_fenced, cluster.records) == (False, [])


def test_a_broker_that_wants_its_fence_keeps_it() -> None:
    cluster = Cluster(())
    epoch = cluster.decide(register, registration()).broker_epoch
    assert cluster.decide(heartbeat, beat(epoch, epoch, want_fence=True)).is_fenced


@pytest.mark.parametrize(("broker_id", "epoch"), [(1, 99), (7, 0)])
def test_a_heartbeat_of_another_life(broker_id: int, epoch: int) -> None:
    cluster = Cluster((1,))
    response = cluster.decide(heartbeat, beat(epoch, 100, broker_id))
    assert (response.error_code, cluster.records) == (ErrorCode.STALE_BROKER_EPOCH, [])


def test_a_broker_that_came_back_leads_again_in_a_new_epoch() -> None:
    """So that whoever knew its log from before it restarted notices."""
    cluster = Cluster((1, 2))
    cluster.decide(create_topics, create(topic("t", -1, -1, [(0, [1]), (1, [2])]), topic("u", 1, 2)))
    before = {(name, index): one for name, made in cluster.image.topics.items() for index, one in made.partitions.items()}
    epoch = cluster.decide(register, registration()).broker_epoch
    cluster.decide(heartbeat, beat(epoch, epoch))
    for (name, index), partition in before.items():
        after = cluster.image.topics[name].partitions[index]
        assert after.leader == partition.leader
        assert after.leader_epoch == partition.leader_epoch + (partition.leader == 1)


def test_every_block_of_producer_ids_is_given_once() -> None:
    cluster = Cluster()
    starts = [cluster.decide(allocate_producer_ids, AllocateProducerIdsRequest(broker_id=1)) for _ in range(3)]
    assert [(one.producer_id_start, one.producer_id_len) for one in starts] == [
        (number * PRODUCER_ID_BLOCK, PRODUCER_ID_BLOCK) for number in range(3)
    ]
