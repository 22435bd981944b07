"""What `--describe` prints of groups."""

import pytest
from broker.cli import groups_describe as module
from broker.cli.cluster import Cluster, Node
from broker.cli.group_offsets import Committed, commit
from broker.cli.groups import Group, GroupMember, describe_group
from broker.cli.groups_describe import assignment_text, log_end_offsets, offset_rows, print_members, print_offsets, print_state

from .conftest import Fresh, MakeTopic, Run

ONE = GroupMember("c-1", "", "client-a", "/10.0.0.1", [("t", 0)])
TWO = GroupMember("c-2", "", "client-b", "/10.0.0.2", [("t", 2), ("t", 1)])
IDLE = GroupMember("c-3", "", "client-c", "/10.0.0.3", [])
GROUP = Group("g", "Stable", "range", Node(1, "host", 9092), [ONE, TWO, IDLE])


@pytest.fixture
def offsets(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster where group g committed on t-0 (epoch 3), t-2 and u-0, and t has no t-9."""
    committed = {("t", 0): Committed(4, 3), ("t", 2): Committed(9, -1), ("u", 0): Committed(1, -1)}
    ends = {("t", 0): 10, ("t", 1): 7, ("t", 2): 9}
    monkeypatch.setattr(module, "committed", lambda cluster, group: committed)
    monkeypatch.setattr(module, "log_end_offsets", lambda cluster, partitions: ends)
    return Cluster("127.0.0.1:1", "tests")


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines() if line]


def test_members_with_most_partitions_come_first_and_nobodys_last(offsets: Cluster) -> None:
    found = [(row.topic, row.partition, row.member.member_id if row.member else None) for row in offset_rows(offsets, GROUP)]
    assert found == [("t", 1, "c-2"), ("t", 2, "c-2"), ("t", 0, "c-1"), ("u", 0, None)]


def test_offsets_and_lag(offsets: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    print_offsets(offsets, GROUP, verbose=False)
    assert rows(capsys) == [
        ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"],
        ["g", "t", "1", "-", "7", "-", "c-2", "/10.0.0.2", "client-b"],
        ["g", "t", "2", "9", "9", "0", "c-2", "/10.0.0.2", "client-b"],
        ["g", "t", "0", "4", "10", "6", "c-1", "/10.0.0.1", "client-a"],
        ["g", "u", "0", "1", "-", "-", "-", "-", "-"],
    ]


def test_offsets_with_their_epochs(offsets: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    print_offsets(offsets, GROUP, verbose=True)
    shown = rows(capsys)
    assert shown[0][3] == "LEADER-EPOCH"
    assert [row[3] for row in shown[1:]] == ["-", "-", "3", "-"]


@pytest.mark.parametrize(
    ("state", "words", "lines"),
    [
        ("Stable", "", 5),
        ("Empty", "\nConsumer group 'g' has no active members.\n", 5),
        ("PreparingRebalance", "\nWarning: Consumer group 'g' is rebalancing.\n", 5),
        ("Dead", "", 0),
    ],
)
def test_what_is_said_of_the_state(
    offsets: Cluster, capsys: pytest.CaptureFixture[str], state: str, words: str, lines: int
) -> None:
    print_offsets(offsets, GROUP._replace(state=state), verbose=False)
    captured = capsys.readouterr()
    assert captured.err == words
    assert len([line for line in captured.out.splitlines() if line]) == lines


def test_members(capsys: pytest.CaptureFixture[str]) -> None:
    print_members(GROUP, verbose=False)
    assert rows(capsys)[0] == ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"]
    static = GROUP._replace(members=[ONE._replace(instance_id="i-1"), TWO])
    print_members(static, verbose=True)
    header, *members = rows(capsys)
    assert header[2] == "GROUP-INSTANCE-ID"
    assert header[6:] == ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"]
    assert members == [
        ["g", "c-1", "i-1", "/10.0.0.1", "client-a", "1", "-", "t:0", "-", "-"],
        ["g", "c-2", "/10.0.0.2", "client-b", "2", "-", "t:1,2", "-", "-"],
    ]


def test_assignments() -> None:
    assert assignment_text([("b", 1), ("a", 2), ("a", 0)]) == "a:0,2;b:1"
    assert assignment_text([]) == "-"


def test_state(capsys: pytest.CaptureFixture[str]) -> None:
    print_state(GROUP, verbose=False)
    assert rows(capsys)[1] == ["g", "host:9092", "(1)", "range", "Stable", "3"]
    print_state(GROUP._replace(protocol="", state="Empty", members=[]), verbose=True)
    assert rows(capsys)[1] == ["g", "host:9092", "(1)", "-", "Empty", "-", "-", "0"]


def test_ends_of_what_is_still_there(cluster: Cluster, run: Run, make_topic: MakeTopic, fresh: Fresh) -> None:
    """A topic that was deleted keeps its line, without an end."""
    topic, gone, group = make_topic(), make_topic(), fresh("group")
    commit(cluster, group, {(topic, 0): 0})
    assert log_end_offsets(cluster, {(topic, 0), (topic, 8), (gone + "x", 0)}) == {(topic, 0): 0}
    assert log_end_offsets(cluster, set()) == {}
    (row,) = offset_rows(cluster, describe_group(cluster, group))
    assert (row.log_end_offset, row.member) == (0, None)
