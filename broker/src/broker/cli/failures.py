"""Why a tool could not do what it was asked, as one line for a person; the exit status is then 1.

`UsageError`: the options; `Unavailable`: no broker, or no answer; `KafkaError`: a broker's refusal.
"""

from broker.client.retriable import error_of
from broker.protocol.errors import ErrorCode, KafkaError

# What a refusal means, where the broker gives no text of its own. The words are Kafka's.
MEANINGS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "This server does not host this topic-partition.",
    ErrorCode.LEADER_NOT_AVAILABLE: (
        "There is no leader for this topic-partition as we are in the middle of a leadership election."
    ),
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: "The coordinator is loading and hence can't process requests.",
    ErrorCode.COORDINATOR_NOT_AVAILABLE: "The coordinator is not available.",
    ErrorCode.INVALID_GROUP_ID: "The group id is invalid.",
    ErrorCode.GROUP_ID_NOT_FOUND: "The group id does not exist.",
    ErrorCode.NON_EMPTY_GROUP: "The group is not empty.",
    ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC: (
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
    ),
    ErrorCode.UNKNOWN_MEMBER_ID: "The coordinator is not aware of this member.",
    ErrorCode.INCONSISTENT_GROUP_PROTOCOL: (
        "The group member's supported protocols are incompatible with those of existing members."
    ),
    ErrorCode.INVALID_SESSION_TIMEOUT: (
        "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms "
        "and group.max.session.timeout.ms)."
    ),
    ErrorCode.GROUP_MAX_SIZE_REACHED: "The consumer group has reached its max size.",
    ErrorCode.FENCED_INSTANCE_ID: "Another member took the group.instance.id over.",
    ErrorCode.OFFSET_OUT_OF_RANGE: "The requested offset is not within the range of offsets maintained by the server.",
    ErrorCode.MESSAGE_TOO_LARGE: "The request included a message larger than the max message size the server will accept.",
    ErrorCode.RECORD_LIST_TOO_LARGE: "The request included message batch larger than the configured segment size on the server.",
    ErrorCode.NOT_ENOUGH_REPLICAS: "Messages are rejected since there are fewer in-sync replicas than required.",
    ErrorCode.REQUEST_TIMED_OUT: "The request timed out.",
    ErrorCode.INVALID_RECORD: "This record has failed the validation on the broker and hence will be rejected.",
    ErrorCode.INVALID_TIMESTAMP: "The timestamp of the message is out of acceptable range.",
}


class Failure(Exception):
    """The text names the thing and, where there is one, the fix."""


class UsageError(Failure):
    """The options contradict each other, are not understood, or are not supported."""


class Unavailable(Failure):
    """A broker cannot be reached, or did not answer in time."""


def meaning(code: int, message: str | None = None) -> str:
    """A refusal in words: the broker's, else ours, else the error's name."""
    error = error_of(code)
    return message or MEANINGS.get(error, error.name)


def check(code: int, what: str = "", message: str | None = None) -> None:
    """KafkaError for any code but NONE; `what` names the thing, e.g. `group 'x'`."""
    if code != ErrorCode.NONE:
        said = meaning(code, message)
        raise KafkaError(error_of(code), f"{what}: {said}" if what else said)
