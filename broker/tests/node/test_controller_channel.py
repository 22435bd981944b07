"""The way to the active controller: from every broker, while it moves, and when there is none."""

import pytest
from broker.client.exchange import Outcome
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.protocol.messages.elect_leaders import ElectLeadersRequest

from .machines import IDS, Machines


@pytest.fixture(scope="module")
def started() -> Machines:
    made = Machines()
    made.start()
    return made


@pytest.fixture
def machines() -> Machines:
    made = Machines()
    made.start()
    return made


def create(name: str, timeout_ms: int = 10_000) -> CreateTopicsRequest:
    return CreateTopicsRequest(topics=[CreatableTopic(name=name, num_partitions=1, replication_factor=3)], timeout_ms=timeout_ms)


def submit(machines: Machines, node_id: int, request: Request, version: int) -> list[Outcome]:
    """Where the answer to what a broker's handler asks comes."""
    answers: list[Outcome] = []
    machines[node_id].broker.channel.submit(request, version, answers.append)
    return answers


def codes(answers: list[Outcome]) -> list[str]:
    return [
        ErrorCode(topic.error_code).name
        for answer in answers
        if isinstance(answer, CreateTopicsResponse)
        for topic in answer.topics
    ]


@pytest.mark.parametrize("node_id", IDS)
def test_every_broker_finds_the_controller(started: Machines, node_id: int) -> None:
    answers = submit(started, node_id, create(f"t{node_id}"), 7)
    assert started.until(lambda: bool(answers)) < 200
    assert codes(answers) == ["NONE"]
    again = submit(started, node_id, create(f"t{node_id}"), 2)
    started.until(lambda: bool(again))
    assert codes(again) == ["TOPIC_ALREADY_EXISTS"], "an old version of the request is answered in it"


def test_what_a_broker_asks_for_itself(started: Machines) -> None:
    starts = []
    for node_id in IDS:
        known = started[node_id].registration
        assert known is not None
        answers = submit(started, node_id, AllocateProducerIdsRequest(broker_id=node_id, broker_epoch=known.epoch), 0)
        started.until(lambda found=answers: bool(found))  # type: ignore[misc]
        assert isinstance(answers[0], AllocateProducerIdsResponse)
        starts.append(answers[0].producer_id_start)
    assert len(set(starts)) == 3


@pytest.mark.parametrize(
    "gone", ["the broker's way to it", "the controller itself"], ids=["a connection that is cut", "a controller that dies"]
)
def test_a_request_outlives_the_move_of_the_controller(machines: Machines, gone: str) -> None:
    controller = machines.controller
    asking = next(one for one in IDS if one != controller)
    machines.create("first")
    answers = submit(machines, asking, create("second"), 7)
    if gone == "the controller itself":
        machines[controller].kill()
    else:
        machines.wires.cut_connections(machines[asking].host, machines[controller].host)
    machines.until(lambda: bool(answers))
    assert codes(answers) in (["NONE"], ["TOPIC_ALREADY_EXISTS"]), "decided, once or twice, by somebody"
    machines.until(lambda: "second" in machines[asking].broker.metadata.image.topics)


@pytest.mark.parametrize(
    "request_",
    [
        create("t", 3000),
        DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=3000),
        CreatePartitionsRequest(topics=[CreatePartitionsTopic(name="t", count=3)], timeout_ms=3000),
        ElectLeadersRequest(election_type=0, topic_partitions=None, timeout_ms=3000),
    ],
    ids=lambda request: type(request).__name__,
)
def test_without_a_controller_the_requests_own_time_counts(machines: Machines, request_: Request) -> None:
    machines[2].kill()
    machines[3].kill()
    machines.run(5000)
    began = machines.time.now_ms
    answers = submit(machines, 1, request_, type(request_).VERSIONS[1])
    machines.until(lambda: bool(answers))
    assert 2500 <= machines.time.now_ms - began <= 3500
    (answer,) = answers
    parts = next((getattr(answer, name) for name in ("topics", "responses", "results") if getattr(answer, name, None)), [answer])
    assert [one.error_code for one in parts] == [ErrorCode.REQUEST_TIMED_OUT]


def test_a_broker_hears_at_once_that_nobody_decides(machines: Machines) -> None:
    machines[2].kill()
    machines[3].kill()
    machines.run(5000)
    answers = submit(machines, 1, AllocateProducerIdsRequest(broker_id=1, broker_epoch=1), 0)
    machines.run(5000)
    (answer,) = answers
    assert isinstance(answer, AllocateProducerIdsResponse)
    assert answer.error_code == ErrorCode.NOT_CONTROLLER


def test_a_heartbeat_waits_for_nobody_elses_answer(machines: Machines) -> None:
    """The controller's disk is slow, and so is one of the others': what clients ask for takes its time."""
    controller = machines.controller
    asking, other = (one for one in IDS if one != controller)
    for slow in (controller, other):
        machines[slow].storage.fsync_delay_ms = 3000
    made = submit(machines, asking, create("t"), 7)
    machines.run(200)
    known = machines[asking].registration
    assert known is not None
    heard = submit(machines, asking, BrokerHeartbeatRequest(broker_id=asking, broker_epoch=known.epoch), 2)
    assert machines.until(lambda: bool(heard)) < 500
    assert made == []
    machines.until(lambda: bool(made))
    assert codes(made) == ["NONE"]
