"""The quorum of one on its disk: nothing is answered before it is fsynced, and everything answered is there again."""

import errno
import random

import pytest
from broker.protocol import codec
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.raft_records import LeaderChangeMessage
from broker.raft.election_store import ElectionState
from broker.raft.publication import PENDING_MAX
from broker.record.batch import iter_batches
from broker.record.builder import ControlType, control_type
from broker.record.records import iter_records

from .quorum import DIRECTORY, Voter


def test_a_term_of_office_begins_with_a_leader_change() -> None:
    voter = Voter()
    voter.lead()
    (buffer,) = voter.log.read(0, 10_000, voter.log.log_end_offset)
    ((header, batch),) = iter_batches(buffer)
    (record,) = iter_records(batch, header)
    assert (header.is_control, header.partition_leader_epoch) == (True, 1)
    assert control_type(record.key) == ControlType.LEADER_CHANGE
    message = codec.decode(LeaderChangeMessage, 0, record.value or b"", 0)
    assert (message.leader_id, [one.voter_id for one in message.voters]) == (1, [1])
    assert [one.voter_id for one in message.granting_voters] == [1]
    assert voter.log.epochs.entries == [(1, 0)]


def test_the_vote_is_on_the_disk_before_the_office_begins() -> None:
    voter = Voter()
    voter.driver.start()
    assert voter.log.log_end_offset == 0
    voter.quorum.clock.step()
    assert voter.log.log_end_offset == 0
    voter.settle()
    assert voter.store.read() == ElectionState(1, 1, 1)
    assert voter.listener.heard == ["nobody leads epoch 1", "1 leads epoch 1"]


def test_alone_it_leads_within_three_fsyncs() -> None:
    voter = Voter()
    voter.driver.start()
    voter.settle(10)
    voter.append("a")
    voter.settle(10)
    assert voter.answers == {"a": ErrorCode.NONE}


def test_an_answer_waits_for_the_fsync() -> None:
    voter = Voter()
    voter.lead()
    voter.append("a", "b")
    assert (voter.answers, voter.listener.values) == ({}, [])
    voter.settle()
    assert voter.answers == {"a b": ErrorCode.NONE}
    assert voter.listener.heard[-1] == "a b @2"


def test_one_persist_is_in_flight_and_the_next_covers_all() -> None:
    voter = Voter()
    voter.lead()
    voter.append("a")
    voter.settle(0)
    voter.append("b")
    voter.append("c")
    voter.settle(2)
    assert list(voter.answers) == ["a"]
    voter.settle(2)
    assert list(voter.answers) == ["a", "b", "c"]
    assert voter.listener.heard[-3:] == ["a @1", "b @2", "c @3"]


def test_a_read_waits_for_what_it_saw() -> None:
    voter = Voter()
    voter.lead()
    answered: list[str] = []
    voter.driver.when_committed(lambda code: answered.append("at once"))
    voter.append("a")
    voter.driver.when_committed(lambda code: answered.append("later"))
    assert answered == ["at once"]
    voter.settle()
    assert answered == ["at once", "later"]


@pytest.mark.parametrize("mode", ["process", "torn"])
def test_what_was_answered_is_there_again(mode: str) -> None:
    for seed in range(60):
        voter = Voter()
        rng = random.Random(seed)
        voter.lead()
        appended: list[str] = []
        for life in range(3):
            for number in range(rng.randrange(6)):
                appended.append(f"{life}.{number}")
                voter.append(appended[-1])
                voter.settle(rng.randrange(4))
            answered = [name for name in appended if voter.answers.get(name) is ErrorCode.NONE]
            voter.crash(seed, "torn" if mode == "torn" else "process")
            voter.lead()
            values = [value.decode() for value in voter.listener.values]
            assert values == appended[: len(values)], f"seed {seed}"
            assert len(values) >= (len(answered) if mode == "torn" else len(appended)), f"seed {seed}"
            assert voter.driver.epoch > life + 1
            # What is there and was never answered is committed now, as any leader would do with it.
            appended = values
            voter.answers = dict.fromkeys(values, ErrorCode.NONE)
        assert voter.failures == []


def test_a_clean_stop_and_a_new_epoch() -> None:
    voter = Voter()
    voter.lead()
    voter.append("a")
    voter.settle()
    voter.stop()
    voter.open()
    voter.lead()
    assert voter.listener.heard == ["nobody leads epoch 2", "a @1", "1 leads epoch 2"]
    assert voter.log.epochs.entries == [(1, 0), (2, 2)]


def test_who_waits_when_the_node_stops_is_told() -> None:
    voter = Voter()
    voter.lead()
    voter.append("a")
    voter.driver.stop()
    assert voter.answers == {"a": ErrorCode.NOT_CONTROLLER}
    with pytest.raises(KafkaError) as caught:
        voter.append("b")
    assert caught.value.code is ErrorCode.NOT_CONTROLLER


def test_before_the_election_nothing_is_taken() -> None:
    voter = Voter()
    with pytest.raises(KafkaError) as caught:
        voter.append("a")
    assert caught.value.code is ErrorCode.NOT_CONTROLLER


def test_a_full_disk_refuses_and_goes_on() -> None:
    voter = Voter()
    voter.lead()
    voter.storage.capacity_bytes = voter.storage.used_bytes + 10
    with pytest.raises(KafkaError) as caught:
        voter.append("a")
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    voter.storage.capacity_bytes = None
    voter.append("b")
    voter.settle()
    assert voter.answers == {"b": ErrorCode.NONE}
    assert voter.failures == []


@pytest.mark.parametrize("left", [0, 50, 140, 200])
def test_an_election_waits_for_space(left: int) -> None:
    voter = Voter()
    voter.storage.capacity_bytes = voter.storage.used_bytes + left
    voter.driver.start()
    voter.settle(5000)
    assert not voter.driver.is_leader
    voter.storage.capacity_bytes = None
    voter.settle(20_000)
    voter.append("a")
    voter.settle()
    assert voter.answers == {"a": ErrorCode.NONE}
    assert voter.failures == []


@pytest.mark.parametrize("fsync_ms", [1000, 3000, 10_000])
def test_a_disk_that_is_slower_than_an_election_is_waited_for(fsync_ms: int) -> None:
    """Not with epoch after epoch, each of which has to be written as well."""
    voter = Voter()
    voter.storage.fsync_delay_ms = fsync_ms
    voter.driver.start()
    voter.settle(8 * fsync_ms)
    assert (voter.driver.is_leader, voter.driver.epoch) == (True, 1)
    voter.append("a")
    voter.settle(2 * fsync_ms)
    assert voter.answers == {"a": ErrorCode.NONE}


def test_a_failed_fsync_answers_nobody() -> None:
    voter = Voter()
    voter.lead()
    voter.append("a")
    voter.storage.fail_fsync = True
    voter.append("b")
    voter.settle()
    assert voter.answers == {}
    assert [failure.errno for failure in voter.failures] == [errno.EIO]


def test_too_much_that_waits_is_refused() -> None:
    voter = Voter()
    voter.lead()
    for _ in range(PENDING_MAX):
        voter.driver._publication.wait(99, lambda code: None)
    with pytest.raises(KafkaError, match="wait for the disk already") as caught:
        voter.append("a")
    assert caught.value.code is ErrorCode.REQUEST_TIMED_OUT


def test_a_log_that_cannot_be_read_ends_the_start_with_a_message() -> None:
    """Not with a loop that waits for a batch that never comes."""
    voter = Voter()
    voter.lead()
    voter.append("a")
    voter.append("b")
    voter.settle()
    voter.stop()
    voter.open()
    path = f"{DIRECTORY}/{0:020d}.log"
    data = bytearray(voter.storage.read(path))
    second = next(header.size for header, _ in iter_batches(data))
    data[second + 16] = 9
    file = voter.storage.open(path)
    file.truncate(0)
    file.append([data])
    voter.lead()
    (failure,) = voter.failures
    assert "the metadata log cannot be read from offset 1 on" in str(failure)
    assert not any(text.startswith("1 leads") for text in voter.listener.heard)


def test_a_listener_that_does_not_understand_ends_the_node() -> None:
    voter = Voter()

    def refuse(values: object, last_offset: int) -> None:
        raise codec.MalformedMessage("a record of tomorrow")

    voter.listener.handle_commit = refuse  # type: ignore[method-assign]
    voter.lead()
    voter.append("a")
    voter.settle()
    assert "cannot be read from offset" in str(voter.failures[0])
    assert "a record of tomorrow" in str(voter.failures[0])
    assert voter.answers == {}
