"""quorum-state: Kafka's file, durable when it is written, and refused by name when it is damaged."""

import json
import random

import pytest
from broker.raft.election_store import ElectionState, ElectionStateError, ElectionStore

from .quorum import DIRECTORY, Voter

PATH = f"{DIRECTORY}/quorum-state"


def store() -> tuple[Voter, ElectionStore]:
    voter = Voter()
    return voter, ElectionStore(voter.storage, DIRECTORY, (1, 2))


def write(voter: Voter, one: ElectionStore, state: ElectionState) -> None:
    """Write, and wait until it is durable."""
    written: list[OSError | None] = []
    one.write_soon(state, written.append)
    voter.settle()
    assert written == [None]


def test_without_a_file_nobody_was_voted_for() -> None:
    assert store()[1].read() == ElectionState(0, -1, -1)


def test_what_is_written_is_read() -> None:
    voter, one = store()
    write(voter, one, ElectionState(7, 1, 2))
    assert one.read() == ElectionState(7, 1, 2)


def test_the_file_is_kafkas() -> None:
    """`QuorumStateData` version 0, as `FileQuorumStateStore` writes it."""
    voter, one = store()
    write(voter, one, ElectionState(7, 1, 2))
    assert json.loads(voter.storage.read(PATH)) == {
        "clusterId": "",
        "leaderId": 2,
        "leaderEpoch": 7,
        "votedId": 1,
        "appliedOffset": 0,
        "currentVoters": [{"voterId": 1}, {"voterId": 2}],
        "data_version": 0,
    }


def test_what_kafka_writes_for_a_dynamic_quorum_is_read() -> None:
    voter, one = store()
    text = '{"leaderId":-1,"leaderEpoch":2,"votedId":1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
    voter.storage.open(PATH).append([text.encode()])
    assert one.read() == ElectionState(2, 1, -1)


def test_it_is_durable_when_it_is_written() -> None:
    for seed in range(20):
        voter, one = store()
        write(voter, one, ElectionState(7, 1, 2))
        voter.storage.crash(random.Random(seed), "torn")
        assert ElectionStore(voter.storage, DIRECTORY, (1,)).read() == ElectionState(7, 1, 2)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"leaderEpoch":"x","votedId":1,"leaderId":1}', b"\xff"])
def test_damage_is_refused_by_name(content: bytes) -> None:
    voter, one = store()
    voter.storage.open(PATH).append([content])
    with pytest.raises(ElectionStateError, match=rf"{PATH} is damaged .*could vote twice in one epoch"):
        one.read()


def test_half_a_write_changes_nothing() -> None:
    for seed in range(20):
        voter, one = store()
        write(voter, one, ElectionState(7, 1, 2))
        one.write_soon(ElectionState(8, 2, -1), lambda error: None)
        voter.settle(seed % 4)
        voter.storage.crash(random.Random(seed), "torn")
        assert ElectionStore(voter.storage, DIRECTORY, (1,)).read() in (ElectionState(7, 1, 2), ElectionState(8, 2, -1))


@pytest.mark.parametrize("fault", ["full", "fsync"])
def test_what_cannot_be_written_is_said(fault: str) -> None:
    voter, one = store()
    if fault == "full":
        voter.storage.capacity_bytes = voter.storage.used_bytes
    else:
        voter.storage.fail_fsync = True
    written: list[OSError | None] = []
    one.write_soon(ElectionState(7, 1, 2), written.append)
    voter.settle()
    assert [type(error) for error in written] == [OSError]
