"""The core's messages through Kafka's encoding and back."""

import pytest
from broker.protocol import codec
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request, Response
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.protocol.messages.vote import PartitionData, TopicData, VoteRequest
from broker.raft.messages import (
    NO_LIMIT,
    Answer,
    AnyAnswer,
    BeginEpoch,
    EndEpoch,
    EpochEnd,
    Fetch,
    FetchAnswer,
    Vote,
    VoteAnswer,
)
from broker.raft.messages import Request as Asked
from broker.raft.wire import Wire, refusal

ADDRESSES = {1: ("one", 9093), 2: ("two", 9093), 3: ("three", 9093)}
WIRE = Wire("here", 1, ADDRESSES, "CONTROLLER")
OTHER = Wire("here", 2, ADDRESSES, "CONTROLLER")
BATCH = b"batches" * 10

ASKED: list[Asked] = [
    Vote(1, 7, 5, 42, True),
    Vote(1, 7, 5, 42, False),
    BeginEpoch(1, 7),
    EndEpoch(1, 7, (3, 2)),
    Fetch(1, 7, 42, 5, 40, 500, 1 << 20),
    Fetch(1, 7, 42, 5, NO_LIMIT, 500, 1 << 20),
]


def sent(request: Request, version: int) -> Request:
    return codec.decode(type(request), version, b"".join(map(bytes, codec.encode(request, version))), 0)


def answered(response: Response, version: int) -> Response:
    return codec.decode(type(response), version, b"".join(map(bytes, codec.encode(response, version))), 0)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_question_arrives_as_it_was_asked(asked: Asked) -> None:
    request = WIRE.request(2, asked)
    version = type(request).VERSIONS[1]
    assert OTHER.asked_by(sent(request, version), version) == asked
    assert not OTHER.is_foreign(request)
    assert Wire("there", 2, ADDRESSES, "CONTROLLER").is_foreign(request)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ASKED[0], VoteAnswer(ErrorCode.NONE, 7, 3, True)),
        (ASKED[1], VoteAnswer(ErrorCode.FENCED_LEADER_EPOCH, 9, -1, False)),
        (ASKED[2], Answer(ErrorCode.NONE, 7, 1)),
        (ASKED[3], Answer(ErrorCode.INVALID_REQUEST, 7, 1)),
        (ASKED[4], FetchAnswer(ErrorCode.NONE, 7, 2, 41, 3, records=BATCH)),
        (ASKED[4], FetchAnswer(ErrorCode.NONE, 7, 2, 41, 3, diverging=EpochEnd(4, 30))),
        (ASKED[4], FetchAnswer(ErrorCode.NONE, 7, 2, 41, 3, snapshot=EpochEnd(4, 30))),
        (ASKED[4], FetchAnswer(ErrorCode.UNKNOWN_LEADER_EPOCH, 6, 2)),
    ],
    ids=str,
)
def test_an_answer_arrives_as_it_was_given(asked: Asked, answer: AnyAnswer) -> None:
    request = WIRE.request(2, asked)
    records = [answer.records] if isinstance(answer, FetchAnswer) and len(answer.records) else []
    version = type(request).VERSIONS[1]
    got = answered(OTHER.response(request, version, answer, records), version)
    assert WIRE.answer_of(got) == answer
    expected = [(answer.leader_id, *ADDRESSES[answer.leader_id])] if answer.leader_id > 0 else []
    assert [(one.node_id, one.host, one.port) for one in got.node_endpoints] == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_refusal_of_the_whole_request_is_no_answer(asked: Asked) -> None:
    request = WIRE.request(2, asked)
    response = answered(refusal(request, ErrorCode.INCONSISTENT_CLUSTER_ID), type(request).VERSIONS[1])
    with pytest.raises(KafkaError) as caught:
        WIRE.answer_of(response)
    assert caught.value.code is ErrorCode.INCONSISTENT_CLUSTER_ID


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_old_versions_can_be_answered(asked: Asked) -> None:
    request = WIRE.request(2, asked)
    cls = type(request)
    oldest = 12 if isinstance(asked, Fetch) else cls.VERSIONS[0]
    for version in range(oldest, cls.VERSIONS[1] + 1):
        answer: AnyAnswer = Answer(ErrorCode.NONE, 7, 3)
        if isinstance(asked, Fetch):
            answer = FetchAnswer(ErrorCode.NONE, 7, 3, 5, 0, diverging=EpochEnd(4, 30))
        elif isinstance(asked, Vote):
            answer = VoteAnswer(ErrorCode.NONE, 7, 3, True)
        assert WIRE.answer_of(answered(OTHER.response(request, version, answer), version)) == answer


def test_a_fetch_of_a_version_that_cannot_say_where_logs_part_is_refused() -> None:
    with pytest.raises(KafkaError) as caught:
        OTHER.asked_by(WIRE.request(2, ASKED[4]), 11)
    assert caught.value.code is ErrorCode.UNSUPPORTED_VERSION


def test_a_question_for_another_voter_is_refused() -> None:
    for asked in (ASKED[0], ASKED[2]):
        with pytest.raises(KafkaError) as caught:
            OTHER.asked_by(WIRE.request(3, asked), 1)
        assert caught.value.code is ErrorCode.INVALID_VOTER_KEY


def test_another_partition_is_not_known() -> None:
    for topics in ([], [TopicData(topic_name="t")]):
        with pytest.raises(KafkaError) as caught:
            WIRE.asked_by(VoteRequest(topics=topics), 2)
        assert caught.value.code is ErrorCode.INVALID_REQUEST
    for name, index in (("t", 0), ("__cluster_metadata", 1)):
        topic = TopicData(topic_name=name, partitions=[PartitionData(partition_index=index, replica_id=2)])
        with pytest.raises(KafkaError) as caught:
            WIRE.asked_by(VoteRequest(topics=[topic]), 2)
        assert caught.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize(("version", "code"), [(12, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), (13, ErrorCode.UNKNOWN_TOPIC_ID)])
def test_old_fetches_name_the_topic_and_new_ones_its_id(version: int, code: ErrorCode) -> None:
    good = WIRE.request(2, ASKED[4])
    assert isinstance(good, FetchRequest)
    good.topics[0].topic = "__cluster_metadata"
    good.replica_id = 9
    asked = OTHER.asked_by(good, version)
    assert isinstance(asked, Fetch)
    assert asked.replica_id == 9
    with pytest.raises(KafkaError) as caught:
        OTHER.asked_by(FetchRequest(topics=[FetchTopic(topic="t", partitions=[FetchPartition()])]), version)
    assert caught.value.code is code
