"""The controller's shell on a quorum of one: decisions see each other at once, answers wait for the commit."""

import errno
from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.controller.manager import DECISIONS, ControllerManager
from broker.metadata.publisher import MetadataPublisher
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest

from ..raft.quorum import Voter
from .cluster import codes, create, topic


class Controller(Voter):
    """A voter with a controller and the published image. Every life has its own; the disk stays."""

    listens = False

    def open(self) -> None:
        super().open()
        self.active = 0
        self.responses: list[Any] = []
        self.metadata = MetadataPublisher()
        self.manager = ControllerManager(BrokerConfig(SHIPPED), Randomness(1), self.driver, self._on_active)
        self.driver.register(self.metadata)
        self.driver.register(self.manager)

    def _on_active(self) -> None:
        self.active += 1

    def submit(self, request: Any) -> None:
        self.manager.submit(request, 0, self.responses.append)

    def begin(self) -> None:
        """Lead, with this node's broker registered and unfenced."""
        self.lead()
        self.submit(BrokerRegistrationRequest(broker_id=1))
        self.settle()
        epoch = self.responses.pop().broker_epoch
        self.submit(BrokerHeartbeatRequest(broker_id=1, broker_epoch=epoch, current_metadata_offset=epoch))
        self.settle()
        self.responses.clear()


@pytest.fixture
def controller() -> Controller:
    made = Controller()
    made.begin()
    return made


def names(controller: Controller) -> list[str]:
    return sorted(controller.metadata.image.topics)


def test_an_empty_log_gets_its_features_once() -> None:
    made = Controller()
    made.lead()
    assert (made.active, made.metadata.image.features) == (1, {"metadata.version": 30})
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
    controller.submit(create(topic("t")))
    controller.submit(create(topic("t")))
    assert controller.responses == []
    controller.clock.step()
    assert len(controller.responses) == 2


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


def test_a_full_disk_at_the_very_start_leaves_a_controller_that_refuses() -> None:
    made = Controller()
    made.driver.start()
    made.storage.capacity_bytes = made.storage.used_bytes
    made.settle()
    assert made.active == 1
    made.submit(BrokerRegistrationRequest(broker_id=1))
    assert [response.error_code for response in made.responses] == [ErrorCode.NOT_CONTROLLER]


def test_a_node_that_stops_answers_no_more(controller: Controller) -> None:
    controller.submit(create(topic("t")))
    controller.stop()
    controller.settle()
    assert controller.responses == []


def test_a_failed_fsync_answers_nobody(controller: Controller) -> None:
    controller.storage.fail_fsync = True
    controller.submit(create(topic("t")))
    controller.settle()
    assert controller.responses == []
    assert [failure.errno for failure in controller.failures] == [errno.EIO]


def test_every_request_has_its_decision_and_its_refusal() -> None:
    for request_type in DECISIONS:
        made = Controller()
        made.submit(request_type())
        assert len(made.responses) == 1, request_type.__name__
