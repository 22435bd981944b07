"""One broker from its start to its end: the order of both, what hinders a start, and what ends it."""

import asyncio
import json
import logging

import pytest
from broker.log.log_manager import CLEAN_SHUTDOWN
from broker.log.properties import DirectoryError
from broker.metadata.topic_names import CONSUMER_OFFSETS
from broker.network.simulated import SimulatedNetwork
from broker.node.broker import LOAD_AGAIN_MS, STOP_GRACE_MS, Broker
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest

from .conftest import CLUSTER_ID, HOST, Machine, Three

OTHER_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
CLEAN_MARKER = f"/data/{CLEAN_SHUTDOWN}"


class Client(asyncio.BufferedProtocol):
    """A client that connects and says nothing."""

    def __init__(self) -> None:
        self.made = self.lost = False
        self.received = bytearray()
        self._buffer = bytearray(1000)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.made = True

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def connect(machine: Machine, port: int = 9092) -> tuple[Client, list[OSError]]:
    client, failures = Client(), []
    SimulatedNetwork(machine.wires, "client").connect(HOST, port, lambda: client, failures.append)
    machine.run()
    return client, failures


# Starting.


def test_it_is_ready_only_when_everything_it_decided_is_durable(machine: Machine) -> None:
    broker = machine.node()
    broker.start(machine.on_ready)
    assert machine.ready == 0
    machine.storage.fsync_delay_ms = 8_000
    machine.run(5000)
    assert machine.ready == 0, "its registration is not durable"
    machine.run(60_000)
    assert machine.ready == 1
    assert not broker.metadata.image.brokers[1].fenced
    assert broker.bootstrap_servers == f"{HOST}:9092"


def test_who_connects_early_waits_until_it_serves(machine: Machine) -> None:
    machine.storage.fsync_delay_ms = 3000
    broker = machine.node()
    broker.start(machine.on_ready)
    client, failures = connect(machine)
    assert (client.made, failures, machine.ready) == (True, [], 0)
    assert not broker.acceptor.connections
    machine.run(20_000)
    assert machine.ready == 1
    assert len(broker.acceptor.connections) == 1


def test_the_directory_is_claimed_before_anything_else(machine: Machine) -> None:
    machine.start()
    with pytest.raises(DirectoryError, match=r"log\.dirs=/data is used by another process"):
        machine.node().start(machine.on_ready)


def test_a_directory_of_another_cluster(machine: Machine) -> None:
    first = machine.start()
    machine.stop(first)
    with pytest.raises(DirectoryError, match=f"belongs to cluster {first.cluster_id}, but CLUSTER_ID is {OTHER_CLUSTER}"):
        machine.node(OTHER_CLUSTER).start(machine.on_ready)


def test_an_address_that_is_taken_is_named(machine: Machine) -> None:
    SimulatedNetwork(machine.wires, HOST).listen(HOST, 9092, Client)
    with pytest.raises(OSError, match=f"cannot listen on {HOST}:9092: Address already in use"):
        machine.node().start(machine.on_ready)


def test_the_operators_cluster_id_is_taken(machine: Machine) -> None:
    assert machine.start(OTHER_CLUSTER).cluster_id == OTHER_CLUSTER


# Stopping.


def test_a_clean_stop_leaves_the_marker_and_the_next_start_takes_it(machine: Machine) -> None:
    broker = machine.start()
    epoch = broker.metadata.image.brokers[1].epoch
    machine.stop(broker)
    assert json.loads(machine.storage.read(CLEAN_MARKER)) == {"version": 0, "brokerEpoch": epoch}
    again = machine.start()
    assert again.logs.clean
    assert not machine.storage.exists(CLEAN_MARKER), "the next death is not a clean stop"
    machine.kill()
    assert not machine.start().logs.clean


def test_a_stop_ends_connections_and_takes_no_new_ones(machine: Machine) -> None:
    broker = machine.start()
    client, _ = connect(machine)
    machine.stop(broker)
    assert client.lost
    assert isinstance(connect(machine)[1][0], ConnectionRefusedError)


def test_a_client_that_takes_no_answers_does_not_hold_up_the_stop(machine: Machine) -> None:
    broker = machine.start()
    client, _ = connect(machine)
    client.transport.pause_reading()
    (connection,) = broker.acceptor.connections
    assert connection._transport is not None
    connection._transport.write(bytes(10**7))
    began = machine.time.now_ms
    stopped: list[int] = []
    broker.stop(lambda: stopped.append(machine.time.now_ms - began))
    machine.run(STOP_GRACE_MS - 1)
    assert stopped == []
    machine.run()
    assert len(stopped) == 1
    assert STOP_GRACE_MS <= stopped[0] < STOP_GRACE_MS + 100


def test_stopping_twice_is_stopping_once(machine: Machine) -> None:
    broker = machine.start()
    stopped: list[int] = []
    broker.stop(lambda: stopped.append(1))
    broker.stop(lambda: stopped.append(2))
    machine.run()
    assert stopped == [1]


def test_a_stop_while_it_starts(machine: Machine) -> None:
    machine.storage.fsync_delay_ms = 1000
    broker = machine.node()
    broker.start(machine.on_ready)
    stopped: list[bool] = []
    broker.stop(lambda: stopped.append(True))
    machine.run(60_000)
    assert stopped == [True]
    assert machine.ready == 0
    machine.storage.fsync_delay_ms = 2
    machine.start()


# Failing.


def test_a_failed_directory_is_told_once(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "broker.node")
    machine.start(log_flush_offset_checkpoint_interval_ms="1000")
    machine.storage.fail_fsync = True
    machine.run(20_000)
    assert len(machine.fatal) == 1
    assert "this log directory has failed" in machine.fatal[0]
    assert machine.fatal[0] in caplog.text


def test_who_is_abandoned_writes_nothing_more(machine: Machine) -> None:
    broker = machine.start()
    client, _ = connect(machine)
    before = machine.storage.files()
    broker.abandon("the disk is gone")
    machine.run(600_000)
    assert client.lost
    assert machine.storage.files() == before
    assert isinstance(connect(machine)[1][0], ConnectionRefusedError)
    machine.start()


def test_one_that_never_started_is_abandoned_as_well(machine: Machine) -> None:
    first = machine.start()
    second = machine.node()
    with pytest.raises(DirectoryError):
        second.start(machine.on_ready)
    second.abandon("no directory")
    assert first.logs.meta is not None
    with pytest.raises(DirectoryError):
        machine.node().start(machine.on_ready)


def test_groups_without_room_on_the_disk_are_loaded_when_there_is_some(machine: Machine) -> None:
    broker = machine.start()
    with pytest.raises(KafkaError) as caught:
        broker.services.groups.leader_of("mail")
    assert caught.value.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    # The topic is being made; when it is agreed on, there is no room for its partitions.
    machine.storage.capacity_bytes = machine.storage.used_bytes
    machine.run()
    assert CONSUMER_OFFSETS in broker.metadata.image.topics
    machine.run(20 * LOAD_AGAIN_MS)
    assert broker.services.groups._coordinators == {}
    machine.storage.capacity_bytes = None
    machine.run(20 * LOAD_AGAIN_MS)
    assert sorted(broker.services.groups._coordinators) == [0, 1]
    assert machine.fatal == []


# Three.


def create(three: Three, name: str, *replicas: list[int]) -> None:
    assignments = [CreatableReplicaAssignment(partition_index=index, broker_ids=one) for index, one in enumerate(replicas)]
    topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1, assignments=assignments)
    follower = next(number for number in three.nodes if number != three.controller)
    (result,) = three.ask(follower, CreateTopicsRequest(topics=[topic]), 7).topics
    assert result.error_code == ErrorCode.NONE


def leaders(node: Broker, name: str = "t") -> list[int]:
    topic = node.metadata.image.topics.get(name)
    return [one.leader for _, one in sorted(topic.partitions.items())] if topic is not None else []


def test_three_nodes_are_one_cluster(three: Three) -> None:
    create(three, "t", [1, 2, 3], [2, 3, 1], [3, 1, 2])
    three.wait(lambda: all(leaders(node) == [1, 2, 3] for node in three.nodes.values()))
    for node in three.nodes.values():
        assert node.cluster_id == CLUSTER_ID
        assert [known.fenced for known in node.metadata.image.brokers.values()] == [False] * 3
        assert sorted(node.services.replicas.partitions) == [("t", 0), ("t", 1), ("t", 2)]


def test_several_nodes_do_not_choose_a_cluster_id_each() -> None:
    machine = Machine(1, 3)
    with pytest.raises(DirectoryError, match="set CLUSTER_ID to the same id for all of them"):
        machine.node().start(machine.on_ready)


def test_without_a_majority_nobody_serves() -> None:
    machine = Machine(1, 3)
    node = machine.node(CLUSTER_ID)
    node.start(machine.on_ready)
    machine.run(60_000)
    assert (machine.ready, node.controller.active, machine.fatal) == (0, False, [])
    machine.stop(node)


@pytest.mark.parametrize("controller", [False, True], ids=["a broker", "the active controller"])
def test_a_node_that_dies_is_replaced_long_before_its_session_ends(three: Three, controller: bool) -> None:
    """Its connections have ended, and its door is closed."""
    victim = three.controller if controller else next(number for number in three.nodes if number != three.controller)
    others = [number for number in three.nodes if number != victim]
    create(three, "t", [victim, *others])
    three.wait(lambda: all(leaders(node) == [victim] for node in three.nodes.values()))
    three.kill(victim)
    took_ms = three.wait(lambda: all(leaders(node)[0] in others for node in three.nodes.values()))
    assert took_ms < 2000, "broker.session.timeout.ms is 9000"
    assert three.nodes[others[0]].metadata.image.brokers[victim].fenced
    three.start(victim)
    three.wait(lambda: three.machines[victim].ready == 2)
    three.wait(lambda: sorted(three.nodes[others[0]].metadata.image.topics["t"].partitions[0].isr) == [1, 2, 3])
    assert three.machines[victim].fatal == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_leaders_move_away_before_a_node_stops(three: Three, number: int) -> None:
    others = [one for one in three.nodes if one != number]
    create(three, "t", [number, *others])
    three.wait(lambda: all(leaders(node) == [number] for node in three.nodes.values()))
    epoch = three.nodes[number].lifecycle.epoch
    stopped: list[int] = []
    three.nodes[number].stop(lambda: stopped.append(number))
    three.wait(lambda: leaders(three.nodes[others[0]])[0] in others)
    assert stopped == [], "they are away before the node is"
    three.wait(lambda: stopped, 3000)
    marker = json.loads(three.machines[number].storage.read(CLEAN_MARKER))
    assert marker == {"version": 0, "brokerEpoch": epoch}
    three.start(number)
    three.wait(lambda: three.machines[number].ready == 2)
    assert three.nodes[number].logs.clean
    three.wait(lambda: number in three.nodes[others[0]].metadata.image.topics["t"].partitions[0].isr)


def test_all_nodes_may_stop_at_once_and_come_back(three: Three) -> None:
    create(three, "t", [1, 2, 3])
    stopped: list[int] = []
    for number, node in three.nodes.items():
        node.stop(lambda number=number: stopped.append(number))  # type: ignore[misc]
    three.wait(lambda: len(stopped) == 3, 10_000)
    three.nodes.clear()
    for number in (1, 2, 3):
        three.start(number)
    three.wait(lambda: all(machine.ready == 2 for machine in three.machines.values()))
    three.wait(lambda: all(leaders(node)[0] in (1, 2, 3) for node in three.nodes.values()))
    assert three.nodes[1].metadata.image.topics["t"].partitions[0].leader_recovery_state == 0


def test_each_group_has_one_coordinator_which_moves_with_its_partition() -> None:
    three = Three(offsets_topic_replication_factor="3")
    with pytest.raises(KafkaError):
        three.nodes[1].services.groups.leader_of("mail")

    def coordinating() -> dict[int, list[int]]:
        return {number: sorted(node.services.groups._coordinators) for number, node in three.nodes.items()}

    three.wait(lambda: sorted(index for found in coordinating().values() for index in found) == [0, 1])
    victim = next(number for number, found in coordinating().items() if found)
    moved = coordinating()[victim]
    three.kill(victim)
    three.wait(lambda: set(moved) <= {index for found in coordinating().values() for index in found})
    assert sorted(index for found in coordinating().values() for index in found) == [0, 1]
