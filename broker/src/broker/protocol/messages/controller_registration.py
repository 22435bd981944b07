"""ControllerRegistration (70): a controller makes itself known to the active one.

There is one version.
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import UUID, array, boolean, int16, int32, string, uint16, uuid_


class Listener(Struct):
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


class Feature(Struct):
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class ControllerRegistrationRequest(Request, key=70, versions="0", flexible="0+", listeners=("controller",)):
    """A controller with its endpoints."""

    controller_id: int = int32()
    incarnation_id: UUID = uuid_()
    zk_migration_ready: bool = boolean()
    listeners: list[Listener] = array(Listener)
    features: list[Feature] = array(Feature)


class ControllerRegistrationResponse(Response, key=70, versions="0", flexible="0+"):
    """Whether it was accepted."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
