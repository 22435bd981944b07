"""Brokers: registering, coming out of the fence and being fenced, leaving in order, being forgotten, and what they are given."""

from collections.abc import Sequence
from typing import Any

import pytest
from broker.controller.brokers import (
    PRODUCER_ID_BLOCK,
    RESERVED_DIRECTORIES,
    activation_records,
    allocate_producer_ids,
    fence,
    heartbeat,
    register,
    register_controller,
    unregister,
)
from broker.controller.topics import create_topics
from broker.metadata.image import BROKER_RESOURCE, NO_LEADER, EndpointImage, FeatureRange, PartitionImage
from broker.metadata.records import ELR_VERSION, METADATA_VERSION
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse, Feature, Listener
from broker.protocol.messages.controller_registration import ControllerRegistrationRequest
from broker.protocol.messages.controller_registration import Feature as ControllerAbility
from broker.protocol.messages.controller_registration import Listener as ControllerListener
from broker.protocol.messages.metadata_records import (
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    RegisterControllerRecord,
    UnregisterBrokerRecord,
)
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest
from broker.protocol.types import UUID

from .cluster import CLUSTER_ID, Cluster, codes, create, topic


def able(name: str, lowest: int, highest: int) -> Feature:
    return Feature(name=name, min_supported_version=lowest, max_supported_version=highest)


METADATA_FEATURE = able("metadata.version", 7, METADATA_VERSION)
ELR_FEATURE = able("eligible.leader.replicas.version", 0, ELR_VERSION)


def registration(broker_id: int = 1, life: int = 5, **changes: Any) -> BrokerRegistrationRequest:
    fields: dict[str, Any] = {
        "broker_id": broker_id,
        "cluster_id": CLUSTER_ID,
        "incarnation_id": UUID(int=life),
        "listeners": [Listener(name="PLAINTEXT", host="h", port=9092)],
        "features": [METADATA_FEATURE, ELR_FEATURE],
        "rack": "r",
        "log_dirs": [UUID(int=1000 + broker_id)],
    }
    return BrokerRegistrationRequest(**fields | changes)


def enter(cluster: Cluster, broker_id: int = 1, life: int = 5, **changes: Any) -> BrokerRegistrationResponse:
    response: BrokerRegistrationResponse = cluster.decide(register, registration(broker_id, life, **changes))
    return response


def beat(
    epoch: int, offset: int, broker_id: int = 1, *, want_fence: bool = False, want_shut_down: bool = False
) -> BrokerHeartbeatRequest:
    return BrokerHeartbeatRequest(
        broker_id=broker_id,
        broker_epoch=epoch,
        current_metadata_offset=offset,
        want_fence=want_fence,
        want_shut_down=want_shut_down,
    )


def hear(cluster: Cluster, broker_id: int = 1, **wishes: bool) -> BrokerHeartbeatResponse:
    """A heartbeat of the broker as it is registered, which knows everything."""
    known = cluster.image.brokers[broker_id]
    response: BrokerHeartbeatResponse = cluster.decide(heartbeat, beat(known.epoch, cluster.image.offset, broker_id, **wishes))
    return response


def serve(*broker_ids: int, **settings: str) -> Cluster:
    """A cluster in which these brokers have registered and serve."""
    cluster = Cluster((), **settings)
    for broker_id in broker_ids:
        enter(cluster, broker_id)
        assert not hear(cluster, broker_id).is_fenced
    return cluster


def make(cluster: Cluster, *replicas: Sequence[int]) -> None:
    """A topic of one partition for each list."""
    topics = [topic(f"t{number}", -1, -1, [(0, one)]) for number, one in enumerate(replicas)]
    assert {code for _, code in codes(cluster.decide(create_topics, create(*topics)).topics)} == {"NONE"}


def partition(cluster: Cluster, number: int = 0) -> PartitionImage:
    return cluster.image.topics[f"t{number}"].partitions[0]


def test_an_empty_log_begins_with_the_features_and_one_minimum_for_all() -> None:
    cluster = Cluster((), min_insync_replicas="2")
    cluster.replay(activation_records(cluster.image, cluster.config))
    assert cluster.image.features == {"metadata.version": METADATA_VERSION, "eligible.leader.replicas.version": ELR_VERSION}
    assert cluster.image.configs == {(BROKER_RESOURCE, ""): {"min.insync.replicas": "2"}}
    assert activation_records(cluster.image, Cluster((), min_insync_replicas="3").config) == [], "whatever another file says"


def test_a_log_without_the_minimum_gets_it_unless_nobody_is_eligible() -> None:
    cluster = Cluster(())
    cluster.replay([FeatureLevelRecord(name="metadata.version", feature_level=METADATA_VERSION)])
    assert activation_records(cluster.image, cluster.config) == []
    cluster.replay([FeatureLevelRecord(name="eligible.leader.replicas.version", feature_level=ELR_VERSION)])
    (record,) = activation_records(cluster.image, cluster.config)
    assert isinstance(record, ConfigRecord)
    assert (record.resource_type, record.resource_name, record.name, record.value) == (4, "", "min.insync.replicas", "1")


# Registering.


def test_a_broker_registers_fenced_with_the_offset_as_its_epoch() -> None:
    cluster = Cluster((2,))
    offset = cluster.image.offset + 1
    response = enter(cluster)
    assert (response.error_code, response.broker_epoch) == (ErrorCode.NONE, offset)
    known = cluster.image.brokers[1]
    assert (known.epoch, known.registered_at, known.fenced, known.rack) == (offset, offset, True, "r")
    assert known.directories == (UUID(int=1001),)
    assert known.endpoint("PLAINTEXT") == EndpointImage("PLAINTEXT", "h", 9092)


def test_a_new_incarnation_has_a_new_epoch() -> None:
    cluster = Cluster(())
    first = enter(cluster).broker_epoch
    cluster.now_ms += cluster.config.broker_session_timeout_ms
    second = enter(cluster, life=6)
    assert second.error_code == ErrorCode.NONE
    assert second.broker_epoch > first
    assert cluster.decide(heartbeat, beat(first, 100)).error_code == ErrorCode.STALE_BROKER_EPOCH


def test_the_same_life_keeps_its_epoch_and_its_place() -> None:
    """It asks again when it has not heard the answer: nothing is taken from it."""
    cluster = serve(1)
    make(cluster, [1])
    before, epoch = partition(cluster), cluster.image.brokers[1].epoch
    again = enter(cluster, listeners=[Listener(name="PLAINTEXT", host="elsewhere", port=9092)])
    assert (again.error_code, again.broker_epoch) == (ErrorCode.NONE, epoch)
    known = cluster.image.brokers[1]
    assert (known.fenced, known.epoch, known.endpoints[0].host) == (False, epoch, "elsewhere")
    assert partition(cluster) == before


def test_an_id_belongs_to_who_has_it_until_its_session_ends() -> None:
    cluster = serve(1)
    timeout_ms = cluster.config.broker_session_timeout_ms
    cluster.now_ms += timeout_ms - 1
    assert (enter(cluster, life=6).error_code, cluster.records) == (ErrorCode.DUPLICATE_BROKER_REGISTRATION, [])
    assert not hear(cluster).is_fenced, "the one that has it is not harmed"
    cluster.now_ms += timeout_ms - 1
    assert enter(cluster, life=6).error_code == ErrorCode.DUPLICATE_BROKER_REGISTRATION
    cluster.now_ms += 1
    assert enter(cluster, life=6).error_code == ErrorCode.NONE


def test_a_controller_that_has_heard_nobody_lets_the_next_life_in() -> None:
    """It knows of the former life from the log alone."""
    cluster = Cluster((1,))
    cluster.sessions.begin(cluster.image.brokers.values(), cluster.now_ms)
    assert enter(cluster).error_code == ErrorCode.NONE


@pytest.mark.parametrize("cluster_id", ["", "MkU3OEVBNTcwNTJENDM2Qg"])
def test_a_broker_of_another_cluster(cluster_id: str) -> None:
    cluster = Cluster(())
    assert enter(cluster, cluster_id=cluster_id).error_code == ErrorCode.INCONSISTENT_CLUSTER_ID
    assert (cluster.records, cluster.image.brokers) == ([], {})


@pytest.mark.parametrize(
    ("directories", "code"),
    [
        ([], ErrorCode.INVALID_REGISTRATION),
        ([RESERVED_DIRECTORIES - 1], ErrorCode.INVALID_REGISTRATION),
        ([500, 500], ErrorCode.INVALID_REGISTRATION),
        ([102, 500], ErrorCode.INVALID_REGISTRATION),
        ([101], ErrorCode.NONE),
        ([RESERVED_DIRECTORIES, 500], ErrorCode.NONE),
    ],
    ids=["none", "reserved", "twice", "another broker's", "its own again", "new ones"],
)
def test_directories_belong_to_one_broker(directories: list[int], code: ErrorCode) -> None:
    cluster = Cluster((1, 2))
    response = enter(cluster, log_dirs=[UUID(int=one) for one in directories])
    assert response.error_code == code
    assert bool(cluster.records) == (code is ErrorCode.NONE)


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ([], ErrorCode.INVALID_REGISTRATION),
        ([ELR_FEATURE], ErrorCode.INVALID_REGISTRATION),
        ([METADATA_FEATURE], ErrorCode.UNSUPPORTED_VERSION),
        ([METADATA_FEATURE, able(ELR_FEATURE.name, 0, 0)], ErrorCode.UNSUPPORTED_VERSION),
        ([able("metadata.version", METADATA_VERSION + 1, METADATA_VERSION + 2), ELR_FEATURE], ErrorCode.UNSUPPORTED_VERSION),
        ([able("metadata.version", 7, METADATA_VERSION - 1), ELR_FEATURE], ErrorCode.UNSUPPORTED_VERSION),
        ([METADATA_FEATURE, ELR_FEATURE], ErrorCode.NONE),
    ],
    ids=["none", "no metadata.version", "no ELR", "ELR too old", "too new", "too old", "right"],
)
def test_a_broker_has_to_be_able_to_do_what_was_agreed_on(features: list[Feature], code: ErrorCode) -> None:
    cluster = Cluster(())
    cluster.replay(activation_records(cluster.image, cluster.config))
    assert enter(cluster, features=features).error_code == code
    assert (1 in cluster.image.brokers) == (code is ErrorCode.NONE)


# Heartbeats and the fence.


def test_the_first_heartbeat_that_has_caught_up_ends_the_fencing() -> None:
    cluster = Cluster(())
    epoch = enter(cluster).broker_epoch
    late = cluster.decide(heartbeat, beat(epoch, epoch - 1))
    assert (late.is_caught_up, late.is_fenced, cluster.records) == (False, True, [])
    done = cluster.decide(heartbeat, beat(epoch, epoch))
    assert (done.error_code, done.is_caught_up, done.is_fenced) == (0, True, False)
    assert not cluster.image.brokers[1].fenced
    again = cluster.decide(heartbeat, beat(epoch, epoch + 1))
    assert (again.is_fenced, cluster.records) == (False, [])


def test_a_heartbeat_has_to_know_the_registration_itself() -> None:
    """Other records may stand between the epoch and it."""
    cluster = serve(1)
    make(cluster, [1], [1])
    cluster.now_ms += cluster.config.broker_session_timeout_ms
    epoch = enter(cluster, life=6).broker_epoch
    registered_at = cluster.image.brokers[1].registered_at
    assert registered_at == epoch + 2, "it left two partitions"
    assert cluster.decide(heartbeat, beat(epoch, registered_at - 1)).is_fenced
    assert not cluster.decide(heartbeat, beat(epoch, registered_at)).is_fenced


def test_a_broker_that_wants_its_fence_keeps_it() -> None:
    cluster = Cluster(())
    enter(cluster)
    assert hear(cluster, want_fence=True).is_fenced
    assert cluster.records == []


def test_a_broker_that_wants_a_fence_gets_one() -> None:
    cluster = serve(1, 2)
    make(cluster, [1, 2])
    assert hear(cluster, want_fence=True).is_fenced
    assert cluster.image.brokers[1].fenced
    assert (partition(cluster).leader, partition(cluster).isr) == (2, (2,))
    assert not hear(cluster).is_fenced, "as soon as it wants it no more"


@pytest.mark.parametrize(("broker_id", "epoch"), [(1, 99), (7, 0)])
def test_a_heartbeat_of_another_life(broker_id: int, epoch: int) -> None:
    cluster = Cluster((1,))
    response = cluster.decide(heartbeat, beat(epoch, 100, broker_id))
    assert (response.error_code, cluster.records) == (ErrorCode.STALE_BROKER_EPOCH, [])
    assert not cluster.sessions.is_valid(broker_id, epoch, cluster.now_ms)


def test_who_is_fenced_leads_nothing_and_comes_back_by_its_next_heartbeat() -> None:
    cluster = serve(1, 2, 3)
    make(cluster, [1, 2, 3], [2, 1, 3], [1])
    cluster.replay(fence(cluster.image.brokers[1], cluster.context))
    assert cluster.image.brokers[1].fenced
    assert [(partition(cluster, number).leader, partition(cluster, number).isr) for number in range(3)] == [
        (2, (2, 3)),
        (2, (2, 3)),
        (NO_LEADER, ()),
    ]
    assert partition(cluster, 2).elr == (1,), "it has what was committed"
    assert not hear(cluster).is_fenced
    assert [(partition(cluster, number).leader, partition(cluster, number).isr) for number in range(3)] == [
        (2, (2, 3)),
        (2, (2, 3)),
        (1, (1,)),
    ]
    assert [partition(cluster, number).leader_epoch for number in range(3)] == [1, 0, 2]


# Another life.


def test_a_broker_that_came_back_leads_again_in_a_new_epoch() -> None:
    """So that whoever knew its log from before it restarted notices."""
    cluster = serve(1, 2)
    make(cluster, [1], [2], [2, 1])
    before = [partition(cluster, number) for number in range(3)]
    cluster.now_ms += cluster.config.broker_session_timeout_ms
    enter(cluster, life=6, previous_broker_epoch=cluster.image.brokers[1].epoch)
    assert partition(cluster, 0).leader == NO_LEADER
    hear(cluster)
    after = [partition(cluster, number) for number in range(3)]
    assert [one.leader for one in after] == [1, 2, 2]
    assert after[0].leader_epoch > before[0].leader_epoch
    assert [one.leader_epoch for one in after[1:]] == [one.leader_epoch for one in before[1:]]
    assert after[2].isr == (2,), "it has to catch up before it is in the ISR again"


@pytest.mark.parametrize(("clean", "elr", "recovers"), [(True, (1,), False), (False, (), True)], ids=["clean", "unclean"])
def test_whoever_did_not_stop_cleanly_may_have_lost_the_end_of_its_logs(
    clean: bool, elr: tuple[int, ...], recovers: bool
) -> None:
    """It is eligible no more; when it led last and nobody else is, it leads all the same and is known to be recovering."""
    cluster = serve(1)
    make(cluster, [1])
    cluster.now_ms += cluster.config.broker_session_timeout_ms
    enter(cluster, life=6, previous_broker_epoch=cluster.image.brokers[1].epoch if clean else -1)
    gone = partition(cluster)
    assert (gone.leader, gone.isr, gone.elr, gone.last_known_elr) == (NO_LEADER, (), elr, (1,))
    hear(cluster)
    back = partition(cluster)
    assert (back.leader, back.isr, bool(back.leader_recovery_state)) == (1, (1,), recovers)


def test_an_unclean_end_is_noticed_behind_the_fence_as_well() -> None:
    cluster = serve(1, 2)
    make(cluster, [1, 2])
    for broker_id in (2, 1):
        cluster.replay(fence(cluster.image.brokers[broker_id], cluster.context))
        cluster.sessions.close(broker_id)
    assert (partition(cluster).leader, partition(cluster).isr, partition(cluster).elr) == (NO_LEADER, (), (1,))
    enter(cluster, life=6, previous_broker_epoch=-1)
    assert partition(cluster).elr == ()


# Leaving in order.


def test_leaders_move_away_before_a_broker_stops() -> None:
    cluster = serve(1, 2)
    make(cluster, [1, 2], [2, 1])
    asked = hear(cluster, want_shut_down=True)
    assert (asked.is_fenced, asked.should_shut_down) == (False, False)
    assert cluster.image.brokers[1].in_controlled_shutdown
    moved = cluster.image.offset
    assert [(partition(cluster, number).leader, partition(cluster, number).isr) for number in (0, 1)] == [(2, (2,))] * 2
    # Not before everybody who serves knows it.
    second = cluster.image.brokers[2]
    for offset in (moved - 1, moved):
        cluster.decide(heartbeat, beat(second.epoch, offset, 2))
        again = hear(cluster, want_shut_down=True)
        assert again.should_shut_down == (offset == moved)
    assert again.is_fenced
    assert cluster.image.brokers[1].fenced
    assert cluster.context.usable_brokers == [2]


def test_leaders_that_could_not_be_moved_yet_are_waited_for_where_they_were_moved() -> None:
    """The first decision found the disk full: what is written in the meantime stands before it."""
    cluster = serve(1, 2)
    make(cluster, [1, 2])
    first, second = cluster.image.brokers[1], cluster.image.brokers[2]
    assert heartbeat(beat(first.epoch, cluster.image.offset, want_shut_down=True), cluster.context).records
    cluster.decide(create_topics, create(topic("other", 5)))
    hear(cluster, want_shut_down=True)
    moved = cluster.image.offset
    cluster.decide(heartbeat, beat(second.epoch, moved - 1, 2))
    assert not hear(cluster, want_shut_down=True).should_shut_down
    hear(cluster, 2)
    assert hear(cluster, want_shut_down=True).should_shut_down


def test_a_broker_that_leads_nothing_stops_at_once() -> None:
    cluster = serve(1, 2)
    make(cluster, [2, 1])
    response = hear(cluster, want_shut_down=True)
    assert (response.is_fenced, response.should_shut_down) == (True, True)
    assert (partition(cluster).leader, partition(cluster).isr) == (2, (2,))
    # It goes by its own wish, and may be back soon in another life.
    assert enter(cluster, life=6).error_code == ErrorCode.NONE
    assert not cluster.image.brokers[1].in_controlled_shutdown


def test_a_broker_behind_the_fence_may_go_at_once() -> None:
    cluster = Cluster(())
    enter(cluster)
    response = hear(cluster, want_shut_down=True)
    assert (response.is_fenced, response.should_shut_down, cluster.records) == (True, True, [])


def test_the_last_broker_stops_although_nobody_takes_its_leaders() -> None:
    cluster = serve(1)
    make(cluster, [1])
    assert not hear(cluster, want_shut_down=True).should_shut_down
    assert (partition(cluster).leader, partition(cluster).elr) == (NO_LEADER, (1,))
    assert hear(cluster, want_shut_down=True).should_shut_down
    enter(cluster, life=6, previous_broker_epoch=cluster.image.brokers[1].epoch)
    hear(cluster)
    assert (partition(cluster).leader, partition(cluster).leader_recovery_state) == (1, 0)


def test_who_wants_to_stop_is_given_no_leaders() -> None:
    cluster = serve(1, 2)
    make(cluster, [1, 2])
    hear(cluster, want_shut_down=True)
    cluster.replay(fence(cluster.image.brokers[2], cluster.context))
    assert partition(cluster).leader == NO_LEADER
    hear(cluster)
    assert cluster.image.brokers[1].in_controlled_shutdown, "a heartbeat that was under way does not take it back"


# Being forgotten.


def test_a_broker_that_is_forgotten_leaves_its_partitions() -> None:
    cluster = serve(1, 2)
    make(cluster, [1, 2], [1])
    epoch = cluster.image.brokers[1].epoch
    response = cluster.decide(unregister, UnregisterBrokerRequest(broker_id=1))
    assert (response.error_code, response.error_message) == (ErrorCode.NONE, None)
    assert cluster.records[-1] == UnregisterBrokerRecord(broker_id=1, broker_epoch=epoch)
    assert list(cluster.image.brokers) == [2]
    assert (partition(cluster, 0).leader, partition(cluster, 0).isr) == (2, (2,))
    assert (partition(cluster, 1).leader, partition(cluster, 1).isr, partition(cluster, 1).elr) == (NO_LEADER, (), ())
    assert cluster.decide(heartbeat, beat(epoch, 100)).error_code == ErrorCode.STALE_BROKER_EPOCH
    assert enter(cluster).error_code == ErrorCode.NONE, "the same life as well, which then has a new epoch"
    assert cluster.image.brokers[1].epoch > epoch


def test_a_broker_nobody_knows_cannot_be_forgotten() -> None:
    cluster = Cluster((1,))
    response = cluster.decide(unregister, UnregisterBrokerRequest(broker_id=9))
    assert (response.error_code, cluster.records) == (ErrorCode.BROKER_ID_NOT_REGISTERED, [])
    assert response.error_message == "Broker ID 9 is not currently registered"


# What else is written.


VOTERS = "1@a:9093,2@b:9093,3@c:9093"


def test_a_controller_that_nobody_votes_for_is_told_so() -> None:
    cluster = Cluster((), controller_quorum_voters=VOTERS)
    response = cluster.decide(register_controller, ControllerRegistrationRequest(controller_id=4))
    assert (response.error_code, cluster.records) == (ErrorCode.INCONSISTENT_VOTER_SET, [])
    said = "node 4 is not among the voters 1, 2, 3 of node 1; make controller.quorum.voters the same on all nodes"
    assert response.error_message == said


def test_a_controller_makes_its_endpoints_known() -> None:
    cluster = Cluster((), controller_quorum_voters=VOTERS)
    request = ControllerRegistrationRequest(
        controller_id=3,
        incarnation_id=UUID(int=4),
        listeners=[ControllerListener(name="CONTROLLER", host="h", port=9093)],
        features=[ControllerAbility(name="metadata.version", min_supported_version=7, max_supported_version=30)],
    )
    assert cluster.decide(register_controller, request).error_code == ErrorCode.NONE
    (record,) = cluster.records
    assert isinstance(record, RegisterControllerRecord)
    assert (record.controller_id, record.incarnation_id) == (3, UUID(int=4))
    assert [(one.name, one.host, one.port) for one in record.end_points] == [("CONTROLLER", "h", 9093)]
    assert [(one.name, one.min_supported_version, one.max_supported_version) for one in record.features] == [
        ("metadata.version", 7, 30)
    ]
    known = cluster.image.controllers[3]
    assert known.endpoint("CONTROLLER") == EndpointImage("CONTROLLER", "h", 9093)
    assert known.features == (FeatureRange("metadata.version", 7, 30),)


def test_every_block_of_producer_ids_is_given_once() -> None:
    cluster = serve(1, 2)
    epochs = {broker_id: known.epoch for broker_id, known in cluster.image.brokers.items()}
    starts = [
        cluster.decide(allocate_producer_ids, AllocateProducerIdsRequest(broker_id=one, broker_epoch=epochs[one]))
        for one in (1, 2, 1)
    ]
    assert [(one.producer_id_start, one.producer_id_len) for one in starts] == [
        (number * PRODUCER_ID_BLOCK, PRODUCER_ID_BLOCK) for number in range(3)
    ]


@pytest.mark.parametrize(("broker_id", "epoch"), [(1, 99), (7, 0)])
def test_a_former_life_gets_no_producer_ids(broker_id: int, epoch: int) -> None:
    cluster = Cluster((1,))
    response = cluster.decide(allocate_producer_ids, AllocateProducerIdsRequest(broker_id=broker_id, broker_epoch=epoch))
    assert (response.error_code, cluster.records) == (ErrorCode.STALE_BROKER_EPOCH, [])
    assert cluster.image.next_producer_id == 0


def test_the_records_of_a_fence_say_whose_it_is() -> None:
    cluster = serve(1)
    known = cluster.image.brokers[1]
    assert fence(known, cluster.context) == [BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=known.epoch, fenced=1)]
