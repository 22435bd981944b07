"""`broker metadata-quorum`: the quorum of one, by its broker and by its controller, and what larger ones look like."""

import re

import pytest
from broker.cli import metadata_quorum
from broker.cli.cluster import Cluster
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.describe_quorum import Listener, ReplicaState, ResponsePartitionData
from broker.protocol.types import UUID

from .conftest import Run
from .fake_broker import free_address

Endpoints = dict[int, list[Listener]]
NO_DIRECTORY = "AAAAAAAAAAAAAAAAAAAAAA"


def replica(node_id: int, end: int, fetched_ms: int = -1, caught_up_ms: int = -1, directory: int = 0) -> ReplicaState:
    return ReplicaState(
        replica_id=node_id,
        log_end_offset=end,
        last_fetch_timestamp=fetched_ms,
        last_caught_up_timestamp=caught_up_ms,
        replica_directory_id=UUID(int=directory),
    )


def seen(monkeypatch: pytest.MonkeyPatch, quorum: ResponsePartitionData, endpoints: Endpoints | None = None) -> None:
    monkeypatch.setattr(metadata_quorum, "_quorum", lambda cluster, *, controllers: (quorum, endpoints or {}))


def test_the_status_is_the_same_by_broker_and_by_controller(run: Run, controller_address: str) -> None:
    by_broker = run("metadata-quorum", "describe", "--status")
    by_controller = run("metadata-quorum", "describe", "--status", server=controller_address, option="--bootstrap-controller")
    for found in (by_broker, by_controller):
        assert (found.status, found.err) == (0, "")
        names = [line.partition(":")[0] for line in found.lines]
        assert names[:6] == ["ClusterId", "LeaderId", "LeaderEpoch", "HighWatermark", "MaxFollowerLag", "MaxFollowerLagTimeMs"]
        assert found.lines[1:3] == ["LeaderId: 1", "LeaderEpoch: 1"]
        voter = f'{{"id": 1, "endpoints": ["CONTROLLER://{controller_address}"]}}'
        assert found.lines[6:] == [f"CurrentVoters: [{voter}]", "CurrentObservers: []"]
    assert by_broker.lines[0] == by_controller.lines[0]


def test_the_replication_of_one(run: Run) -> None:
    header, leader = run("metadata-quorum", "describe", "--replication").lines
    assert header == "NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status"
    assert re.fullmatch(rf"1 {NO_DIRECTORY} \d+ 0 \d{{13}} \d{{13}} Leader", leader)
    _, ago = run("metadata-quorum", "describe", "--replication", "--human-readable").lines
    assert re.fullmatch(rf"1 {NO_DIRECTORY} \d+ 0 \d+ ms ago \d+ ms ago Leader", ago)


def test_a_quorum_of_three(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    quorum = ResponsePartitionData(
        leader_id=2,
        leader_epoch=9,
        high_watermark=70,
        current_voters=[replica(1, 60, 500, 400), replica(2, 80, 1000, 1000), replica(3, 80, 990, 990, directory=7)],
        observers=[replica(4, 0)],
    )
    seen(monkeypatch, quorum, {3: [Listener(name="CONTROLLER", host="::1", port=93)]})
    assert run("metadata-quorum", "describe", "--status").lines[1:] == [
        "LeaderId: 2",
        "LeaderEpoch: 9",
        "HighWatermark: 70",
        "MaxFollowerLag: 20",
        "MaxFollowerLagTimeMs: 600",
        'CurrentVoters: [{"id": 1}, {"id": 2}, {"id": 3, "directoryId": "AAAAAAAAAAAAAAAAAAAABw", '
        '"endpoints": ["CONTROLLER://[::1]:93"]}]',
        'CurrentObservers: [{"id": 4}]',
    ]
    assert run("metadata-quorum", "describe", "--replication").lines[1:] == [
        f"2 {NO_DIRECTORY} 80 0 1000 1000 Leader",
        f"1 {NO_DIRECTORY} 60 20 500 400 Follower",
        "3 AAAAAAAAAAAAAAAAAAAABw 80 0 990 990 Follower",
        f"4 {NO_DIRECTORY} 0 80 -1 -1 Observer",
    ]


def test_a_follower_that_never_fetched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    quorum = ResponsePartitionData(leader_id=1, current_voters=[replica(1, 5, 1, 1), replica(2, 0)])
    seen(monkeypatch, quorum)
    assert run("metadata-quorum", "describe", "--status").lines[5] == "MaxFollowerLagTimeMs: -1"


def test_nobody_leads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen(monkeypatch, ResponsePartitionData(leader_id=-1, current_voters=[replica(1, 5)]))
    found = run("metadata-quorum", "describe", "--status")
    assert (found.status, found.out) == (1, "")
    assert "the quorum has no leader now" in found.err


def test_the_leader_moves_meanwhile(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    once = [KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)]
    asked = metadata_quorum._quorum

    def moving(cluster: Cluster, *, controllers: bool) -> tuple[ResponsePartitionData, metadata_quorum.Endpoints]:
        if once:
            raise once.pop()
        return asked(cluster, controllers=controllers)

    monkeypatch.setattr(metadata_quorum, "_quorum", moving)
    assert run("metadata-quorum", "describe", "--status").lines[1] == "LeaderId: 1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: describe"),
        (("describe",), "One of --status or --replication must be specified"),
        (("describe", "--status", "--replication"), "Only one of --status or --replication"),
        (("describe", "--status", "--human-readable"), "--human-readable is only supported along with --replication"),
        (("add-controller",), "add-controller is not supported: controller.quorum.voters says who the controllers are"),
        (("describe", "--status", "--bootstrap-controller", "a:1"), "not allowed with argument --bootstrap-server"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("metadata-quorum", *arguments)
    assert (found.status, found.out) == (1, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_no_controller(run: Run) -> None:
    address = free_address()
    found = run("metadata-quorum", "describe", "--status", server=address, option="--bootstrap-controller")
    assert found.status == 1
    assert f"no broker answers at {address}" in found.err
    assert "is --bootstrap-controller right?" in found.err
