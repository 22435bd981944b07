"""BrokerHeartbeat (63): a broker is alive, and how far it has replayed the metadata.

1 names log directories that failed.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import UUID, array, boolean, int16, int32, int64, uuid_


class BrokerHeartbeatRequest(Request, key=63, versions="0-2", flexible="0+", listeners=("controller",)):
    """A sign of life, and wishes: to be unfenced, to shut down."""

    broker_id: int = int32()
    broker_epoch: int = int64(default=-1)
    current_metadata_offset: int = int64()
    want_fence: bool = boolean()
    want_shut_down: bool = boolean()
    offline_log_dirs: list[UUID] = array(uuid_, "1+", tag=0)
    cordoned_log_dirs: list[UUID] | None = array(uuid_, "2+", nullable="2+", default=None, tag=1)


class BrokerHeartbeatResponse(Response, key=63, versions="0-2", flexible="0+"):
    """Whether the broker is fenced, and whether it may shut down."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    is_caught_up: bool = boolean()
    is_fenced: bool = boolean(default=True)
    should_shut_down: bool = boolean()
