"""Other brokers as their controller hears them, over the handlers of its listener."""

from typing import Any

from broker.metadata.records import ELR_FEATURE, ELR_VERSION, METADATA_VERSION, METADATA_VERSION_FEATURE
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from broker.protocol.types import UUID

from ..world import Node

FEATURES = {METADATA_VERSION_FEATURE: METADATA_VERSION, ELR_FEATURE: ELR_VERSION}


def registration(node: Node, broker_id: int, **changes: Any) -> BrokerRegistrationRequest:
    fields: dict[str, Any] = {
        "broker_id": broker_id,
        "cluster_id": node.services.cluster_id,
        "incarnation_id": UUID(int=broker_id),
        "listeners": [Listener(name="PLAINTEXT", host=f"b{broker_id}", port=9092)],
        "features": [Feature(name=name, max_supported_version=level) for name, level in FEATURES.items()],
        "log_dirs": [UUID(int=1000 + broker_id)],
    }
    return BrokerRegistrationRequest(**fields | changes)


def register(node: Node, broker_id: int, version: int = 4) -> int:
    """A broker makes itself known; its epoch."""
    response = node.ask(registration(node, broker_id), version, listener="CONTROLLER")
    assert response.error_code == ErrorCode.NONE, response
    return int(response.broker_epoch)


def heartbeat(node: Node, broker_id: int, epoch: int, version: int = 2, **wishes: Any) -> Any:
    """A sign of life of a broker that knows all the metadata, and its answer."""
    fields = {"current_metadata_offset": node.services.metadata.image.offset} | wishes
    request = BrokerHeartbeatRequest(broker_id=broker_id, broker_epoch=epoch, **fields)
    return node.ask(request, version, listener="CONTROLLER")


def enter(node: Node, broker_id: int) -> int:
    """A broker registers and serves; its epoch."""
    epoch = register(node, broker_id)
    assert not heartbeat(node, broker_id, epoch).is_fenced
    return epoch
