"""What the launcher's commands say of a board that runs, on our broker."""

import pytest
from demo.groups import wait_for_groups
from peers.apache_kafka import PeerMissing, tool
from running_board import GROUPS, EmbeddedBoard, given_board

pytestmark = pytest.mark.skipif(given_board() is not None, reason="the board that runs is not the launcher's")


@pytest.fixture
def quiet_board(own_board: EmbeddedBoard) -> EmbeddedBoard:
    """With a few posts, all of them taken."""
    own_board.must("seed")
    assert wait_for_groups(own_board.bootstrap_servers, GROUPS, 60) == []
    return own_board


def test_all_is_healthy_and_nothing_differs(quiet_board: EmbeddedBoard) -> None:
    assert quiet_board.must("status").splitlines()[-1] == "healthy"
    assert "no difference" in quiet_board.must("verify")


def test_kafkas_own_tool_shows_the_same_offsets(quiet_board: EmbeddedBoard) -> None:
    """`consumer-groups --describe --all-groups` of Apache Kafka beside `./board groups`."""
    try:
        done = tool("consumer-groups", "--bootstrap-server", quiet_board.bootstrap_servers, "--describe", "--all-groups")
    except PeerMissing as missing:
        pytest.skip(str(missing))
    assert done.returncode == 0, done.stderr
    theirs = {tuple(line.split()[:6]) for line in done.stdout.splitlines() if line.startswith(GROUPS)}
    ours = {tuple(line.split()[:6]) for line in quiet_board.must("groups").splitlines() if line.startswith(GROUPS)}
    # Group, topic, partition, committed, log end, lag.
    assert ours == theirs
    assert len(ours) == 12
