"""`broker leader-election`: what is asked for, and how what became of it is told."""

import json
from pathlib import Path

import pytest
from broker.cli import leader_election
from broker.cli.failures import Failure
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.elect_leaders import ElectLeadersResponse, PartitionResult, ReplicaElectionResult

from .conftest import MakeTopic, Run

PREFERRED = ("--election-type", "preferred")


def test_who_leads_already(run: Run, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic(2)
    one = run("leader-election", *PREFERRED, "--topic", topic, "--partition", "1")
    assert (one.status, one.lines) == (0, [f"Valid replica already elected for partitions {topic}-1"])
    file = tmp_path / "partitions.json"
    parts = [{"topic": topic, "partition": index} for index in (1, 0)]
    file.write_text(json.dumps({"version": 1, "partitions": parts}))
    both = run("leader-election", "--election-type", "UNCLEAN", "--path-to-json-file", str(file))
    assert (both.status, both.lines) == (0, [f"Valid replica already elected for partitions {topic}-1, {topic}-0"])
    every = run("leader-election", *PREFERRED, "--all-topic-partitions")
    assert (every.status, every.lines, every.err) == (0, [], "")


def test_a_partition_that_does_not_exist(run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic()
    found = run("leader-election", *PREFERRED, "--topic", topic, "--partition", "7")
    what = f"Error completing leader election (PREFERRED) for partition: {topic}-7: "
    assert (found.status, found.lines) == (1, [f"{what}UNKNOWN_TOPIC_OR_PARTITION: No such partition as {topic}-7"])
    assert found.err == "broker leader-election: 1 replica(s) could not be elected\n"


def result(index: int, code: ErrorCode, message: str | None = None) -> PartitionResult:
    return PartitionResult(partition_id=index, error_code=code, error_message=message)


def test_what_became_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    first = [result(0, ErrorCode.NONE), result(1, ErrorCode.ELECTION_NOT_NEEDED, "x"), result(2, ErrorCode.NONE)]
    second = [result(0, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, "gone")]
    response = ElectLeadersResponse(
        replica_election_results=[
            ReplicaElectionResult(topic="a", partition_result=first),
            ReplicaElectionResult(topic="b", partition_result=second),
        ]
    )
    with pytest.raises(Failure, match=r"1 replica\(s\) could not be elected"):
        leader_election._report(response, "PREFERRED")
    assert capsys.readouterr().out.splitlines() == [
        "Successfully completed leader election (PREFERRED) for partitions a-0, a-2",
        "Valid replica already elected for partitions a-1",
        "Error completing leader election (PREFERRED) for partition: b-0: PREFERRED_LEADER_NOT_AVAILABLE: gone",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--all-topic-partitions",), "--election-type is needed: preferred or unclean"),
        (("--election-type", "free"), "invalid choice: 'free'"),
        (PREFERRED, "exactly one of --topic, --all-topic-partitions and --path-to-json-file is needed"),
        ((*PREFERRED, "--topic", "t", "--all-topic-partitions"), "exactly one of"),
        ((*PREFERRED, "--topic", "t"), "--topic and --partition belong together"),
        ((*PREFERRED, "--all-topic-partitions", "--partition", "0"), "--topic and --partition belong together"),
        ((*PREFERRED, "--path-to-json-file", "none.json"), "cannot read none.json: No such file or directory"),
        ((*PREFERRED, "--admin.config", "f", "--all-topic-partitions"), "--admin.config is not supported"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("leader-election", *arguments)
    assert (found.status, found.out) == (1, "")
    assert words in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON: "),
        ("[]", "is not of the form"),
        ("{}", "is not of the form"),
        ('{"partitions": [{"topic": "t"}]}', "is not of the form"),
        ('{"partitions": [{"topic": "t", "partition": "0"}]}', "is not of the form"),
        ('{"partitions": [{"topic": "t", "partition": true}]}', "is not of the form"),
        ('{"partitions": [{"topic": 1, "partition": 0}]}', "is not of the form"),
        (
            '{"partitions": [{"topic": "t", "partition": 0}, {"topic": "t", "partition": 0}]}',
            "contains duplicate partitions: t-0",
        ),
    ],
)
def test_files_that_are_of_no_use(run: Run, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "partitions.json"
    file.write_text(text)
    found = run("leader-election", *PREFERRED, "--path-to-json-file", str(file))
    assert found.status == 1
    assert words in found.err
