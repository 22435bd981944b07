"""DeleteTopics (20): delete topics.

6 names topics by name or by id.
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import UUID, array, int16, int32, string, uuid_


class DeleteTopicState(Struct):
    name: str | None = string("6+", nullable="6+", default=None)
    topic_id: UUID = uuid_("6+")


class DeleteTopicsRequest(
    Request,
    key=20,
    versions="1-6",
    flexible="4+",
    listeners=(
        "broker",
        "controller",
    ),
):
    """The topics to delete."""

    topics: list[DeleteTopicState] = array(DeleteTopicState, "6+")
    topic_names: list[str] = array(string, "0-5", ignorable=True)
    timeout_ms: int = int32()


class DeletableTopicResult(Struct):
    name: str | None = string(nullable="6+")
    topic_id: UUID = uuid_("6+", ignorable=True)
    error_code: int = int16()
    error_message: str | None = string("5+", nullable="5+", default=None, ignorable=True)


class DeleteTopicsResponse(Response, key=20, versions="1-6", flexible="4+"):
    """The outcome for each topic."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
