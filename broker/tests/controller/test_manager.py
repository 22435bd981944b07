"""The controller's shell: decisions see each other at once, answers wait for the commit, another one goes on where it ended."""

import errno

import pytest
from broker.controller.manager import DECISIONS, SESSION_CHECK_MS, refuse
from broker.metadata.image import BROKER_RESOURCE, NO_LEADER, TOPIC_RESOURCE
from broker.protocol import codec
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.alter_partition import AlterPartitionRequest, BrokerState, PartitionData, TopicData
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

from .cluster import codes, create, topic
from .controllers import FEATURES, SESSION_MS, Controller, Controllers, registration


def setting(name: str, value: str, topic_name: str) -> IncrementalAlterConfigsRequest:
    change = AlterableConfig(name=name, config_operation=0, value=value)
    resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic_name, configs=[change])
    return IncrementalAlterConfigsRequest(resources=[resource])


UNCLEAN = setting("unclean.leader.election.enable", "true", "t")


@pytest.fixture
def controller() -> Controller:
    made = Controller()
    made.begin()
    return made


def names(controller: Controller) -> list[str]:
    return sorted(controller.metadata.image.topics)


def test_an_empty_log_gets_its_features_and_its_minimum_once() -> None:
    made = Controller(min_insync_replicas="2")
    made.lead()
    assert (made.active, made.metadata.image.features) == (1, FEATURES)
    assert made.metadata.image.config(BROKER_RESOURCE, "") == {"min.insync.replicas": "2"}
    end = made.log.log_end_offset
    made.crash()
    made.lead()
    assert made.active == 1
    assert made.log.log_end_offset == end + 1, "only the leader change is new"


def test_an_answer_waits_for_the_commit(controller: Controller) -> None:
    controller.submit(create(topic("t")))
    assert (controller.responses, names(controller)) == ([], [])
    controller.settle()
    assert codes(controller.responses[0].topics) == [("t", "NONE")]
    assert names(controller) == ["t"]


def test_two_requests_in_one_turn_cannot_contradict_each_other(controller: Controller) -> None:
    controller.submit(create(topic("t")))
    controller.submit(create(topic("t")))
    controller.settle()
    assert [codes(response.topics) for response in controller.responses] == [[("t", "NONE")], [("t", "TOPIC_ALREADY_EXISTS")]]


def test_an_answer_without_records_waits_for_what_it_saw(controller: Controller) -> None:
    """That a topic exists must not be said before it is durable."""
    controller.storage.fsync_delay_ms = 50
    controller.submit(create(topic("t")))
    controller.submit(create(topic("t")))
    controller.settle(40)
    assert controller.responses == []
    controller.settle(20)
    assert len(controller.responses) == 2


def test_a_sign_of_life_does_not_queue_behind_the_disk(controller: Controller) -> None:
    controller.submit(create(topic("t")))
    controller.submit(controller.heartbeat())
    assert [response.is_fenced for response in controller.responses] == [False]


def test_the_committed_image_equals_the_one_that_decides(controller: Controller) -> None:
    for name in ("a", "b"):
        controller.submit(create(topic(name, 2)))
    controller.settle()
    assert controller.manager._image == controller.metadata.image


@pytest.mark.parametrize("mode", ["process", "torn"])
def test_what_was_answered_is_there_after_a_crash(mode: str) -> None:
    for seed in range(20):
        made = Controller()
        made.begin()
        for number in range(6):
            made.submit(create(topic(f"t{number}", 2)))
            made.settle(number % 3)
        answered = [one.name for response in made.responses for one in response.topics]
        made.crash(seed, "torn" if mode == "torn" else "process")
        made.lead()
        found = names(made)
        assert set(answered) <= set(found), f"seed {seed}"
        assert all(len(made.metadata.image.topics[name].partitions) == 2 for name in found), "no half of a topic"


def test_whoever_asks_too_early_is_refused() -> None:
    made = Controller()
    made.submit(create(topic("t")))
    assert codes(made.responses[0].topics) == [("t", "NOT_CONTROLLER")]


def test_a_full_disk_is_said_and_changes_nothing(controller: Controller) -> None:
    controller.storage.capacity_bytes = controller.storage.used_bytes
    controller.submit(create(topic("t")))
    assert codes(controller.responses[0].topics) == [("t", "KAFKA_STORAGE_ERROR")]
    controller.storage.capacity_bytes = None
    controller.submit(create(topic("t")))
    controller.settle()
    assert codes(controller.responses[1].topics) == [("t", "NONE")]


@pytest.mark.parametrize("left", range(0, 700, 50))
def test_a_full_disk_at_the_very_start_leaves_a_controller_that_refuses(left: int) -> None:
    """Until there is room for what a cluster begins with: nobody may register before it is agreed on."""
    made = Controller()
    made.storage.capacity_bytes = made.storage.used_bytes + left
    made.driver.start()
    made.settle(3000)
    made.submit(registration())
    if made.manager.active:
        assert made.manager._image.features == FEATURES, "it is on its way"
    else:
        assert [response.error_code for response in made.responses] == [ErrorCode.NOT_CONTROLLER]
    made.storage.capacity_bytes = None
    made.settle(20_000)
    assert (made.active, made.metadata.image.features) == (1, FEATURES)
    made.enter()


def test_a_node_that_stops_promises_nothing_more(controller: Controller) -> None:
    """Whether what waits gets committed is not known; whoever asked asks the next one."""
    controller.submit(create(topic("t")))
    controller.manager.stop()
    controller.stop()
    controller.settle()
    assert [codes(response.topics) for response in controller.responses] == [[("t", "NOT_CONTROLLER")]]
    controller.submit(create(topic("u")))
    assert codes(controller.responses[-1].topics) == [("u", "NOT_CONTROLLER")]


def test_a_failed_fsync_answers_nobody(controller: Controller) -> None:
    controller.storage.fail_fsync = True
    controller.submit(create(topic("t")))
    controller.settle()
    assert controller.responses == []
    assert [failure.errno for failure in controller.failures] == [errno.EIO]


@pytest.mark.parametrize("request_type", DECISIONS, ids=lambda one: one.__name__)
def test_every_request_has_its_decision_and_its_refusal(request_type: type[Request]) -> None:
    made = Controller()
    assert made.manager.decides(request_type)
    made.submit(request_type())
    assert len(made.responses) == 1
    made.begin()
    made.ask(request_type())
    made.storage.capacity_bytes = made.storage.used_bytes
    made.ask(request_type())


@pytest.mark.parametrize("request_type", DECISIONS, ids=lambda one: one.__name__)
def test_every_refusal_can_be_said_in_every_version(request_type: type[Request]) -> None:
    first, last = request_type.VERSIONS
    for version in range(first, last + 1):
        response = refuse(request_type(), ErrorCode.NOT_CONTROLLER)
        assert b"".join(codec.encode(response, version))


# Brokers that are gone.


def test_a_broker_that_was_silent_for_a_session_is_fenced() -> None:
    made = Controller()
    made.begin(1, 2)
    made.make("t", 2, 1)
    made.live(SESSION_MS - 1000, 1)
    assert made.fenced() == []
    made.live(3000, 1)
    assert made.fenced() == [2]
    assert (made.partition("t").leader, made.partition("t").isr) == (1, (1,))
    made.hear(2)
    assert made.fenced() == [], "it is back by its next heartbeat"
    assert made.partition("t").leader == 1, "but it has to catch up before it leads"
    made.live(2 * SESSION_MS, 1, 2)
    assert made.fenced() == []


def test_a_heartbeat_in_our_own_loop_is_heard_before_its_session_is_judged(controller: Controller) -> None:
    """When the process stood still, it was this node that was deaf."""
    controller.settle(SESSION_MS - 200)
    controller.clock.call_at(controller.quorum.clock.now_ms + SESSION_CHECK_MS, lambda: controller.submit(controller.heartbeat()))
    controller.settle(2000)
    assert controller.fenced() == []


def test_a_new_controller_gives_everybody_a_whole_session(controller: Controller) -> None:
    controller.settle(SESSION_MS - 1000)
    controller.crash()
    controller.lead()
    controller.settle(SESSION_MS - 1000)
    assert controller.fenced() == []
    controller.settle(3000)
    assert controller.fenced() == [1]


def test_who_is_found_gone_is_fenced_at_once_and_once() -> None:
    made = Controller()
    made.begin(1, 2)
    made.make("t", 2, 1)
    made.manager.fence(2, "its door is closed")
    end = made.log.log_end_offset
    made.manager.fence(2, "its door is closed")
    made.manager.fence(9, "nobody knows it")
    assert made.log.log_end_offset == end
    made.settle()
    assert (made.fenced(), made.partition("t").leader) == ([2], 1)


def test_only_the_active_controller_fences(controller: Controller) -> None:
    controller.manager.stop()
    end = controller.log.log_end_offset
    controller.manager.fence(1, "its door is closed")
    controller.settle(3 * SESSION_MS)
    assert controller.log.log_end_offset == end


def test_a_fence_that_finds_the_disk_full_comes_again() -> None:
    made = Controller()
    made.begin(1, 2)
    made.storage.capacity_bytes = made.storage.used_bytes
    made.manager.fence(2, "its door is closed")
    made.settle()
    assert made.fenced() == []
    made.storage.capacity_bytes = None
    made.live(SESSION_MS + 1000, 1)
    assert made.fenced() == [2]


def test_who_did_not_come_by_itself_is_known() -> None:
    made = Controller()
    made.begin(1, 2, 3)
    made.manager.fence(3, "its door is closed")
    made.crash()
    made.lead()
    since = made.clock.monotonic_ms()
    assert made.manager.unheard_brokers(since) == [1, 2]
    made.hear(2)
    assert made.manager.unheard_brokers(since) == [1], "and whoever is fenced is not missed"
    made.settle(10)
    assert made.manager.unheard_brokers(made.clock.monotonic_ms()) == [1, 2]


# Leaders.


def without_leader(made: Controller) -> None:
    """Topic t has no leader: broker 2, its last in-sync replica, is gone; broker 1 is not in the ISR."""
    made.begin(1, 2)
    made.make("t", 2, 1)
    made.manager.fence(1, "it is gone")
    made.settle()
    made.hear(1)
    made.manager.fence(2, "it is gone")
    made.settle()
    assert (made.partition("t").leader, made.partition("t").elr) == (NO_LEADER, (2,))


def balanced(made: Controller) -> None:
    """Topic t is led by broker 2 although broker 1 is preferred, and in the ISR again; 6 seconds later."""
    made.begin(1, 2)
    made.make("t", 1, 2)
    made.manager.fence(1, "it is gone")
    made.settle()
    made.hear(1)
    image, found = made.metadata.image, made.partition("t")
    members = [BrokerState(broker_id=one, broker_epoch=image.brokers[one].epoch) for one in (1, 2)]
    wish = PartitionData(leader_epoch=found.leader_epoch, partition_epoch=found.partition_epoch, new_isr_with_epochs=members)
    wished = TopicData(topic_id=image.topics["t"].topic_id, partitions=[wish])
    answer = made.ask(AlterPartitionRequest(broker_id=2, broker_epoch=image.brokers[2].epoch, topics=[wished]))
    assert [one.error_code for one in answer.topics[0].partitions] == [ErrorCode.NONE]
    assert (made.partition("t").leader, made.partition("t").isr) == (2, (1, 2))
    made.live(6000, 1, 2)


def test_preferred_leaders_are_given_back() -> None:
    made = Controller(leader_imbalance_check_interval_seconds="5")
    balanced(made)
    assert made.partition("t").leader == 1


def test_unless_the_operator_does_not_want_that() -> None:
    made = Controller(leader_imbalance_check_interval_seconds="5", auto_leader_rebalance_enable="false")
    balanced(made)
    assert made.partition("t").leader == 2


def test_an_unclean_election_that_is_allowed_later_is_held_at_once() -> None:
    made = Controller()
    without_leader(made)
    assert made.ask(UNCLEAN).responses[0].error_code == ErrorCode.NONE
    assert (made.partition("t").leader, made.partition("t").isr, made.partition("t").leader_recovery_state) == (1, (1,), 1)


def test_an_election_for_which_there_was_no_room_comes_again() -> None:
    """What allows it was written, and then the disk was full."""
    waited = 0
    for left in range(80, 200, 10):
        made = Controller(unclean_leader_election_interval_ms="60000")
        without_leader(made)
        made.storage.capacity_bytes = made.storage.used_bytes + left
        code = made.ask(UNCLEAN).responses[0].error_code
        made.storage.capacity_bytes = None
        assert code in (ErrorCode.NONE, ErrorCode.KAFKA_STORAGE_ERROR)
        if code == ErrorCode.NONE and made.partition("t").leader == NO_LEADER:
            waited += 1
            made.live(61_000, 1)
            assert made.partition("t").leader == 1
    assert waited


# Several.


def test_the_next_controller_goes_on_where_the_former_ended() -> None:
    quorum = Controllers()
    quorum.start()
    first = quorum.active
    first.enter(1)
    first.make("t", 1)
    first.kill()
    second = quorum.active
    assert second is not first
    assert (second.active, second.metadata.image.features) == (1, FEATURES)
    assert codes(second.ask(create(topic("t"), topic("u"))).topics) == [("t", "TOPIC_ALREADY_EXISTS"), ("u", "NONE")]
    assert second.manager._image == second.metadata.image
    for follower in quorum.controllers.values():
        if follower.up and follower is not second:
            assert names(follower) == ["t", "u"]
            assert codes(follower.ask(create(topic("v"))).topics) == [("v", "NOT_CONTROLLER")]


def test_a_controller_that_lost_its_office_forgets_what_was_not_committed() -> None:
    for seed in range(5):
        quorum = Controllers(seed=seed)
        quorum.start()
        first = quorum.active
        first.enter(1)
        quorum.cut_off(first)
        first.submit(create(topic("lost")))
        first.settle(50)
        assert first.responses == []
        rest = {one: other for one, other in quorum.controllers.items() if other is not first}
        for _ in range(200):
            quorum.settle(50)
            if any(other.manager.active for other in rest.values()):
                break
        (second,) = [other for other in rest.values() if other.manager.active]
        second.make("kept", 1)
        quorum.wires.heal()
        assert quorum.active.metadata.image.topics.keys() == {"kept"}
        quorum.settle(2000)
        assert [codes(response.topics) for response in first.responses] == [[("lost", "NOT_CONTROLLER")]], f"seed {seed}"
        assert names(first) == ["kept"]
        assert first.manager._image.topics.keys() == {"kept"} or not first.manager.active


def test_a_former_controller_judges_no_sessions() -> None:
    """Only the active one has heard the brokers."""
    quorum = Controllers()
    quorum.start()
    first = quorum.active
    first.enter(1)
    first.kill()
    second = quorum.active
    first.open()
    first.driver.start()
    second.live(3 * SESSION_MS, 1)
    assert quorum.active is second
    assert second.fenced() == first.fenced() == []


def test_a_controller_that_leads_again_begins_with_what_is_committed() -> None:
    quorum = Controllers()
    quorum.start()
    first = quorum.active
    first.enter(1)
    for number in range(6):
        leader = quorum.active
        leader.make(f"t{number}", 1)
        leader.kill()
        assert quorum.active is not leader
        leader.open()
        leader.driver.start()
        quorum.settle(1000)
    last = quorum.active
    assert names(last) == [f"t{number}" for number in range(6)]
    assert last.manager._image == last.metadata.image


# Nothing.


def test_an_idle_controller_shows_that_the_quorum_can_commit() -> None:
    made = Controller(metadata_max_idle_interval_ms="700")
    made.begin()
    made.settle(700)
    end, committed = made.log.log_end_offset, made.driver.high_watermark
    made.live(7000)
    assert made.log.log_end_offset - end == 10
    assert made.driver.high_watermark - committed == 10
    assert made.metadata.image.offset == made.log.log_end_offset - 1
    made.make("t", 1)
    assert names(made) == ["t"]
    made.crash()
    made.lead()
    assert names(made) == ["t"], "a start goes on behind them"


def test_a_controller_with_something_to_do_writes_nothing_else() -> None:
    made = Controller(metadata_max_idle_interval_ms="700")
    made.begin()
    made.settle(700)
    end = made.log.log_end_offset
    for number in range(10):
        made.ask(setting_of_all(1000 + number))
        made.settle(600)
    assert made.log.log_end_offset - end <= 11


@pytest.mark.parametrize("how", ["never", "no room", "not active"])
def test_when_nothing_is_written(how: str) -> None:
    made = Controller(metadata_max_idle_interval_ms="0" if how == "never" else "700")
    made.begin()
    if how == "no room":
        made.storage.capacity_bytes = made.storage.used_bytes
    if how == "not active":
        made.manager.stop()
    end = made.log.log_end_offset
    made.settle(7000)
    assert made.log.log_end_offset == end
    if how == "no room":
        made.storage.capacity_bytes = None
        made.settle(1000)
        assert made.log.log_end_offset > end


def setting_of_all(retention_ms: int) -> IncrementalAlterConfigsRequest:
    change = AlterableConfig(name="log.retention.ms", config_operation=0, value=str(retention_ms))
    return IncrementalAlterConfigsRequest(
        resources=[AlterConfigsResource(resource_type=BROKER_RESOURCE, resource_name="", configs=[change])]
    )
