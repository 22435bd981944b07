"""Several voters over simulated wires, through the real server and client: elections, failover, replication, snapshots."""

import random

import pytest
from broker.client.connection import ClientConnection
from broker.client.exchange import Outcome
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request
from broker.protocol.messages.describe_quorum import DescribeQuorumRequest, PartitionData, TopicData
from broker.protocol.messages.fetch_snapshot import FetchSnapshotRequest
from broker.protocol.messages.vote import PartitionData as Ballot
from broker.protocol.messages.vote import TopicData as Ballots
from broker.protocol.messages.vote import VoteRequest
from broker.raft.messages import EpochEnd
from broker.raft.roles import Role
from broker.raft.settings import QuorumSettings

from .quorum import CLUSTER_ID, PORT, Quorum, Voter


def ask(quorum: Quorum, target: Voter, request: Request) -> Outcome:
    """What a node answers to a stranger."""
    found: list[Outcome] = []
    other = quorum.followers()[0] if quorum.leader is target else quorum.leader
    connection = ClientConnection(other.network, other.clock, target.host, PORT, "test")
    connection.submit(request, 5000, found.append)
    quorum.settle(3000)
    connection.close()
    (outcome,) = found
    return outcome


def test_three_voters_agree_soon_on_a_leader() -> None:
    for seed in range(20):
        quorum = Quorum(3, seed)
        quorum.start()
        quorum.settle(400)
        leader = quorum.leader
        assert quorum.clock.now_ms <= 500, f"seed {seed}"
        assert {node.driver.epoch for node in quorum.up} == {leader.driver.epoch}


def test_what_is_answered_is_on_a_majority_and_reaches_all() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader = quorum.leader
    for number in range(10):
        leader.append(f"{number}")
    quorum.settle(200)
    assert leader.answers == dict.fromkeys(map(str, range(10)), ErrorCode.NONE)
    for node in quorum.up:
        assert node.listener.values == [str(number).encode() for number in range(10)]
        assert node.driver.high_watermark == leader.log.log_end_offset


def test_a_commit_takes_two_round_trips_and_a_listener_of_a_follower_one_more() -> None:
    quorum = Quorum(3)
    quorum.wires.delay_ms_max = 1
    quorum.start()
    leader = quorum.leader
    quorum.settle(1000)
    leader.append("a")
    quorum.settle(15)
    assert leader.answers == {"a": ErrorCode.NONE}
    quorum.settle(10)
    assert all(node.listener.values == [b"a"] for node in quorum.up)


def test_thousands_of_decisions_share_fsyncs() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader = quorum.leader
    fsyncs = []
    real = leader.storage.fsync_soon

    def counted(*arguments: object) -> None:
        fsyncs.append(arguments)
        real(*arguments)  # type: ignore[arg-type]

    leader.storage.fsync_soon = counted  # type: ignore[method-assign,assignment]
    for number in range(2000):
        leader.append(f"{number}")
    quorum.settle(500)
    assert len(leader.answers) == 2000
    assert len(fsyncs) < 10


def test_without_a_majority_nothing_is_answered_and_the_leader_gives_up() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader = quorum.leader
    for node in quorum.followers():
        node.kill()
    leader.append("a")
    quorum.settle(2500)
    assert leader.driver.is_leader
    assert leader.answers == {}
    quorum.settle(1500)
    assert not leader.driver.is_leader
    assert leader.answers == {"a": ErrorCode.NOT_CONTROLLER}
    assert leader.listener.heard[-1].startswith("nobody leads")


@pytest.mark.parametrize("seed", range(10))
def test_a_dead_leader_is_replaced_and_nothing_answered_is_lost(seed: int) -> None:
    quorum = Quorum(3, seed)
    quorum.start()
    dead = quorum.leader
    dead.append("a")
    quorum.settle(200)
    dead.append("b")
    dead.kill(seed, "torn")
    began = quorum.clock.now_ms
    leader = quorum.leader
    assert quorum.clock.now_ms - began < 4500
    leader.append("c")
    quorum.settle(200)
    dead.open()
    dead.driver.start()
    quorum.settle(1000)
    assert quorum.leader is leader
    for node in quorum.up:
        assert node.listener.values == leader.listener.values
        assert node.listener.values[0] == b"a" and node.listener.values[-1] == b"c"


@pytest.mark.parametrize("seed", range(20))
def test_a_closed_door_makes_it_quick(seed: int) -> None:
    quorum = Quorum(3, seed)
    quorum.start()
    dead = quorum.leader
    quorum.settle(200)
    dead.kill()
    for node in quorum.up:
        quorum.settle(random.Random(seed).randrange(60))
        node.driver.door_closed(dead.node_id)
    began = quorum.clock.now_ms
    assert quorum.leader is not dead
    assert quorum.clock.now_ms - began <= 400


def test_one_that_believes_a_door_closed_harms_nobody() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader, epoch = quorum.leader, quorum.leader.driver.epoch
    for _ in range(5):
        for node in quorum.followers():
            node.driver.door_closed(leader.node_id)
            quorum.settle(500)
    assert quorum.leader is leader
    assert leader.driver.epoch == epoch


def test_a_leader_that_stops_says_so() -> None:
    quorum = Quorum(3)
    quorum.start()
    old = quorum.leader
    old.append("a")
    quorum.settle(100)
    old.stop()
    began = quorum.clock.now_ms
    leader = quorum.leader
    assert quorum.clock.now_ms - began <= 400
    assert leader.listener.values == [b"a"]


def test_a_leader_that_restarts_is_replaced_or_elected_anew_at_once() -> None:
    quorum = Quorum(3)
    quorum.start()
    old, epoch = quorum.leader, quorum.leader.driver.epoch
    quorum.settle(100)
    old.crash()
    old.driver.start()
    began = quorum.clock.now_ms
    assert quorum.leader.driver.epoch > epoch
    assert quorum.clock.now_ms - began <= 600


def test_a_follower_cuts_back_what_the_new_leader_does_not_have() -> None:
    quorum = Quorum(3)
    quorum.start()
    old = quorum.leader
    old.append("a")
    quorum.settle(200)
    for node in quorum.followers():
        quorum.wires.part(old.host, node.host)
        quorum.wires.part(node.host, old.host)
    old.append("lost")
    old.append("lost, too")
    quorum.settle(6000)
    leader = next(node for node in quorum.up if node.driver.is_leader)
    leader.append("b")
    quorum.settle(500)
    quorum.wires.heal()
    quorum.settle(4000)
    assert quorum.leader is leader
    assert old.answers == {"a": ErrorCode.NONE, "lost": ErrorCode.NOT_CONTROLLER, "lost, too": ErrorCode.NOT_CONTROLLER}
    assert old.listener.values == leader.listener.values == [b"a", b"b"]
    assert old.log.epochs.entries == leader.log.epochs.entries


def test_an_observer_follows_and_has_no_vote() -> None:
    quorum = Quorum(3, observers=1)
    observer = quorum.nodes[4]
    quorum.start()
    leader = quorum.leader
    leader.append("a")
    quorum.settle(500)
    assert observer.listener.values == [b"a"]
    assert observer.driver.core.role is Role.FOLLOWER
    leader.kill()
    quorum.settle(8000)
    assert quorum.leader is not leader
    quorum.leader.append("b")
    quorum.settle(3000)
    assert observer.listener.values == [b"a", b"b"]


SMALL = QuorumSettings(snapshot_bytes=2000, retention_bytes=0)


def test_snapshots_are_made_and_a_node_starts_from_one() -> None:
    quorum = Quorum(1, settings=SMALL)
    (node,) = quorum.nodes.values()
    node.lead()
    for number in range(100):
        node.append(f"value {number}")
        node.settle(10)
    snapshot = node.driver.quorum_log.snapshots.latest
    assert snapshot is not None
    assert snapshot.end_offset > 50
    assert node.log.log_start_offset > 0
    before = list(node.listener.values)
    node.crash()
    node.lead()
    assert node.listener.heard[0].startswith("snapshot of")
    assert node.listener.values == before


def test_a_follower_that_is_far_behind_begins_with_a_snapshot() -> None:
    quorum = Quorum(3, settings=SMALL)
    quorum.start()
    leader = quorum.leader
    far = quorum.followers()[0]
    far.kill()
    for number in range(150):
        leader.append(f"value {number}")
        quorum.settle(10)
    assert leader.log.log_start_offset > 50
    far.open()
    far.driver.start()
    quorum.settle(2000)
    assert any(text.startswith("snapshot of") for text in far.listener.heard)
    assert far.listener.values == leader.listener.values
    assert far.log.log_start_offset >= 50
    far.crash()
    far.driver.start()
    quorum.settle(2000)
    assert far.listener.values == leader.listener.values
    assert far.failures == []


def test_the_quorum_can_be_looked_at() -> None:
    quorum = Quorum(3, observers=1)
    quorum.start()
    leader = quorum.leader
    leader.append("a")
    quorum.settle(1000)
    request = DescribeQuorumRequest(topics=[TopicData(topic_name="__cluster_metadata", partitions=[PartitionData()])])
    outcome = ask(quorum, leader, request)
    (data,) = outcome.topics[0].partitions  # type: ignore[union-attr]
    assert (data.error_code, data.leader_id, data.leader_epoch) == (0, leader.node_id, leader.driver.epoch)
    assert data.high_watermark == 2
    assert [(one.replica_id, one.log_end_offset) for one in data.current_voters] == [(1, 2), (2, 2), (3, 2)]
    assert [(one.replica_id, one.log_end_offset) for one in data.observers] == [(4, 2)]
    assert all(abs(one.last_caught_up_timestamp - leader.clock.wall_ms()) < 5000 for one in data.current_voters)
    assert [(node.node_id, node.listeners[0].host) for node in outcome.nodes] == [(n, f"node-{n}") for n in (1, 2, 3)]  # type: ignore[union-attr]
    follower = quorum.followers()[0]
    (data,) = ask(quorum, follower, request).topics[0].partitions  # type: ignore[union-attr]
    assert (data.error_code, data.leader_id) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, leader.node_id)


@pytest.mark.parametrize(
    ("cluster", "voter", "candidate", "code", "place"),
    [
        ("another", -1, 2, ErrorCode.INCONSISTENT_CLUSTER_ID, "request"),
        (CLUSTER_ID, 9, 2, ErrorCode.INVALID_VOTER_KEY, "request"),
        (CLUSTER_ID, -1, 9, ErrorCode.INCONSISTENT_VOTER_SET, "partition"),
        (None, -1, 2, ErrorCode.FENCED_LEADER_EPOCH, "partition"),
    ],
)
def test_strangers_are_refused(cluster: str | None, voter: int, candidate: int, code: ErrorCode, place: str) -> None:
    quorum = Quorum(3)
    quorum.start()
    target = quorum.nodes[1]
    epoch = quorum.leader.driver.epoch
    ballot = Ballot(
        replica_epoch=epoch - 1 if candidate == 2 else epoch + 50, replica_id=candidate, last_offset_epoch=0, last_offset=0
    )
    request = VoteRequest(
        cluster_id=cluster, voter_id=voter, topics=[Ballots(topic_name="__cluster_metadata", partitions=[ballot])]
    )
    outcome = ask(quorum, target, request)
    if place == "request":
        assert outcome.error_code == code  # type: ignore[union-attr]
    else:
        assert outcome.topics[0].partitions[0].error_code == code  # type: ignore[union-attr]
    assert target.driver.epoch == epoch


def test_a_snapshot_that_is_not_there_is_not_given() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader = quorum.leader
    wire = leader.driver.wire
    request = wire.snapshot_request(EpochEnd(1, 5), leader.driver.epoch, 0, 100)
    assert isinstance(request, FetchSnapshotRequest)
    outcome = ask(quorum, leader, request)
    assert outcome.topics[0].partitions[0].error_code == ErrorCode.SNAPSHOT_NOT_FOUND  # type: ignore[union-attr]
    foreign = ask(quorum, leader, FetchSnapshotRequest(cluster_id="another"))
    assert foreign.error_code == ErrorCode.INCONSISTENT_CLUSTER_ID  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_dies_in_whatever_order_everything_answered_is_kept(seed: int) -> None:
    """At most one machine at a time loses what was not fsynced; any number of processes die."""
    quorum = Quorum(3, seed, SMALL)
    quorum.start()
    rng = random.Random(seed)
    answered: list[str] = []
    for number in range(60):
        for node in quorum.up:
            if node.driver.is_leader:
                node.append(f"{number}")
        quorum.settle(rng.randrange(300))
        if rng.random() < 0.4:
            victim = quorum.nodes[rng.choice(quorum.ids)]
            if victim.up:
                answered += [name for name, code in victim.answers.items() if code is ErrorCode.NONE]
                victim.answers.clear()
                victim.kill(rng.randrange(1000), rng.choice(("process", "torn")))
                for node in quorum.up:
                    if rng.random() < 0.7:
                        node.driver.door_closed(victim.node_id)
                quorum.settle(rng.randrange(1500))
                victim.open()
                victim.driver.start()
                quorum.settle(rng.randrange(100))
    leader = quorum.leader
    leader.append("end")
    quorum.settle(3000)
    for node in quorum.up:
        answered += [name for name, code in node.answers.items() if code is ErrorCode.NONE]
        assert node.listener.values == leader.listener.values
        assert node.failures == []
    values = [value.decode() for value in leader.listener.values]
    assert set(answered) <= set(values)
    assert len(answered) > 15
    assert len(values) == len(set(values))


def test_nodes_that_do_not_belong_together_say_what_to_change(caplog: pytest.LogCaptureFixture) -> None:
    quorum = Quorum(3)
    stranger = quorum.nodes[3]
    stranger.driver.wire.cluster_id = "another"
    quorum.start()
    quorum.settle(5000)
    leader, *rest = sorted((node for node in quorum.up if node is not stranger), key=lambda node: not node.driver.is_leader)
    assert leader.driver.is_leader and rest[0].driver.leader_id == leader.node_id
    assert stranger.driver.leader_id == -1
    texts = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    wrong = [text for text in texts if "INCONSISTENT_CLUSTER_ID: it belongs to another cluster" in text]
    assert any(text.startswith("node 3 at node-3:9093") for text in wrong)
    assert len(wrong) <= 4, "it is said once, not with every request"


def test_a_voter_that_is_not_where_it_should_be_is_named(caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(4):  # In some of them the others lead, and tell it so.
        quorum = Quorum(3, seed)
        wire = quorum.nodes[1].driver.wire
        wire._node_id, wire._addresses = 9, {**wire._addresses, 9: ("node-1", PORT)}
        quorum.start()
        quorum.settle(2000)
    assert any("INVALID_VOTER_KEY: it has another node.id" in record.getMessage() for record in caplog.records)


def test_what_a_listener_sets_off_is_done_in_the_same_turn() -> None:
    quorum = Quorum(3)
    quorum.start()
    leader = quorum.leader
    follower = quorum.followers()[0]

    def knock(values: object, last_offset: int) -> None:
        follower.driver.door_closed(leader.node_id)

    follower.listener.handle_commit = knock  # type: ignore[method-assign]
    leader.append("a")
    quorum.settle(100)
    assert follower.driver.core.next_deadline() is not None
    quorum.settle(500)
    assert quorum.leader is leader


def test_a_leader_whose_disk_is_full_leaves_it_to_another() -> None:
    """What the cluster needs decided, it decides elsewhere; the full one follows again when there is room."""
    for seed in range(10):
        quorum = Quorum(3, seed)
        quorum.start()
        full = quorum.leader
        quorum.settle(1000)
        full.storage.capacity_bytes = full.storage.used_bytes
        with pytest.raises(KafkaError) as caught:
            full.append("refused")
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        quorum.settle(2000)
        leading = [node for node in quorum.up if node.driver.is_leader]
        assert len(leading) == 1 and leading[0] is not full, f"seed {seed}"
        leading[0].append("decided")
        quorum.settle(1000)
        assert leading[0].answers == {"decided": ErrorCode.NONE}
        full.storage.capacity_bytes = None
        quorum.settle(5000)
        assert [node.listener.values for node in quorum.up] == [[b"decided"]] * 3
        assert quorum.leader is leading[0]
        assert full.failures == []
