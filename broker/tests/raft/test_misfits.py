"""What is said of nodes that do not belong together: once for each, and with what to change."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.raft.misfits import TAKEN_FOR_LEADER_MS, Misfits

ADDRESSES = {2: ("b", 9093), 3: ("c", 9093)}


@pytest.fixture
def misfits() -> Misfits:
    return Misfits(1, ADDRESSES)


def test_a_refusal_is_said_once_as_long_as_it_lasts(misfits: Misfits, caplog: pytest.LogCaptureFixture) -> None:
    for code in (ErrorCode.INVALID_VOTER_KEY, ErrorCode.INVALID_VOTER_KEY, ErrorCode.NONE, ErrorCode.INVALID_VOTER_KEY):
        misfits.answered(2, code)
    misfits.answered(3, ErrorCode.INCONSISTENT_CLUSTER_ID)
    advice = "it has another node.id; correct the address in controller.quorum.voters"
    assert caplog.messages[:2] == [f"node 2 at b:9093 answers INVALID_VOTER_KEY: {advice}"] * 2
    assert caplog.messages[2].startswith("node 3 at c:9093 answers INCONSISTENT_CLUSTER_ID: it belongs to another cluster; ")
    assert len(caplog.messages) == 3


def test_what_happens_between_nodes_that_fit_is_not_said(misfits: Misfits, caplog: pytest.LogCaptureFixture) -> None:
    for code in (ErrorCode.NONE, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER):
        misfits.answered(2, code)
    assert caplog.messages == []


def test_who_is_taken_for_a_leader_that_it_is_not(misfits: Misfits, caplog: pytest.LogCaptureFixture) -> None:
    for now_ms in (0, TAKEN_FOR_LEADER_MS - 1, TAKEN_FOR_LEADER_MS, 2 * TAKEN_FOR_LEADER_MS):
        misfits.told_of_leader(3, 1, leads=False, now_ms=now_ms)
        assert len(caplog.messages) == int(now_ms >= TAKEN_FOR_LEADER_MS)
    said = "node 3 at c:9093 follows node.id=1, and that is not this node: another one with this node.id is in the cluster; "
    assert caplog.messages == [said + "give this one an id of its own"]


@pytest.mark.parametrize(("leader_id", "leads"), [(1, True), (2, False), (-1, False)])
def test_a_node_that_leads_or_that_is_given_up_in_time_is_none(
    misfits: Misfits, caplog: pytest.LogCaptureFixture, leader_id: int, leads: bool
) -> None:
    misfits.told_of_leader(3, 1, leads=False, now_ms=0)
    misfits.told_of_leader(2, leader_id, leads=leads, now_ms=5)
    misfits.told_of_leader(3, 1, leads=False, now_ms=TAKEN_FOR_LEADER_MS)
    assert caplog.messages == []
