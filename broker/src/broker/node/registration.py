"""What a node says of itself when it registers, as a broker and as a controller: endpoints as others reach them, features.

A controller makes itself known to whoever asks a controller for the others (KIP-919); the quorum itself goes by
`controller.quorum.voters` alone. Source: ``ListenerInfo``, ``ControllerRegistrationManager``.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping

from broker.clock.port import Clock, Timer
from broker.config import BrokerConfig
from broker.log.properties import MetaProperties
from broker.metadata.image import MetadataImage
from broker.metadata.records import SUPPORTED_FEATURES
from broker.protocol.errors import ErrorCode
from broker.protocol.messages import controller_registration as controllers
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from broker.server.services import Controller

log = logging.getLogger("broker.node")
CONTROLLER_REGISTRATION_VERSION = 0
# After a refusal: nobody but tools needs the registration of a controller.
RETRY_MS = 500
# Where a listener is advertised that is bound to every address.
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})
LOCAL_HOST = "localhost"


def registration_request(
    config: BrokerConfig,
    ports: Mapping[str, int],
    meta: MetaProperties,
    incarnation_id: uuid.UUID,
    previous_broker_epoch: int,
) -> BrokerRegistrationRequest:
    """`ports`: what each listener is bound to, for those that asked for any free port."""
    listeners = [
        Listener(name=name, host=host, port=port)
        for name, host, port in _advertised(config, [one.name for one in config.broker_listeners], ports, LOCAL_HOST)
    ]
    return BrokerRegistrationRequest(
        broker_id=config.node_id,
        cluster_id=meta.cluster_id,
        incarnation_id=incarnation_id,
        listeners=listeners,
        features=[
            Feature(name=name, min_supported_version=lowest, max_supported_version=highest)
            for name, (lowest, highest) in SUPPORTED_FEATURES.items()
        ],
        rack=config.value("broker.rack") or None,
        log_dirs=[meta.directory_id],
        previous_broker_epoch=previous_broker_epoch,
    )


def controller_registration_request(
    config: BrokerConfig, ports: Mapping[str, int], incarnation_id: uuid.UUID
) -> controllers.ControllerRegistrationRequest:
    """A controller that is bound to every address is where `controller.quorum.voters` says it is."""
    known_as = next((voter.host for voter in config.voters if voter.node_id == config.node_id), LOCAL_HOST)
    return controllers.ControllerRegistrationRequest(
        controller_id=config.node_id,
        incarnation_id=incarnation_id,
        zk_migration_ready=False,
        listeners=[
            controllers.Listener(name=name, host=host, port=port)
            for name, host, port in _advertised(config, config.controller_listener_names, ports, known_as)
        ],
        features=[
            controllers.Feature(name=name, min_supported_version=lowest, max_supported_version=highest)
            for name, (lowest, highest) in SUPPORTED_FEATURES.items()
        ],
    )


def _advertised(
    config: BrokerConfig, names: Iterable[str], ports: Mapping[str, int], known_as: str
) -> Iterator[tuple[str, str, int]]:
    """Name, host and port of these listeners as others reach them; `known_as` is this machine."""
    for name in names:
        advertised = config.advertised[name]
        host = known_as if advertised.host in EVERY_ADDRESS else advertised.host
        yield name, host, advertised.port or ports[name]


class ControllerRegistration:
    """Makes this node's controller known once in each of its lives. It follows the image (`metadata.publisher`)."""

    def __init__(
        self, clock: Clock, controller: Controller, request: Callable[[], controllers.ControllerRegistrationRequest]
    ) -> None:
        self._clock = clock
        self._controller = controller
        self._request = request
        self._asked = False
        self._timer: Timer | None = None
        self._stopped = False

    def follow(self, before: MetadataImage, after: MetadataImage) -> None:
        """Ask to be registered, unless this life of the controller is, or has asked already."""
        if self._asked or self._stopped:
            return
        request = self._request()
        known = after.controllers.get(request.controller_id)
        self._asked = True
        if known is None or known.incarnation_id != request.incarnation_id:
            self._controller.submit(request, CONTROLLER_REGISTRATION_VERSION, self._answered)

    def _answered(self, response: controllers.ControllerRegistrationResponse) -> None:
        if response.error_code == ErrorCode.INCONSISTENT_VOTER_SET:
            log.error("the controller of this node is refused: %s", response.error_message)
        elif response.error_code != ErrorCode.NONE and not self._stopped:
            self._timer = self._clock.call_at(self._clock.monotonic_ms() + RETRY_MS, self._again)

    def _again(self) -> None:
        self._timer = None
        self._controller.submit(self._request(), CONTROLLER_REGISTRATION_VERSION, self._answered)

    def stop(self) -> None:
        """Say nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
