"""Decisions about brokers: registration, heartbeats, fencing, controlled shutdown, producer ids, and what a cluster begins with.

A broker registers fenced, under an epoch that is the offset of its registration, and serves after the first heartbeat that has
replayed it. One that did not stop cleanly may have lost the end of its logs: it leaves every ISR and ELR. Fencing is always
safe: the broker comes back by its next heartbeat. Source: ``ClusterControlManager``, ``ReplicationControlManager``.
"""

import logging
from dataclasses import dataclass

from broker.config import BrokerConfig
from broker.controller.configs import MIN_INSYNC_REPLICAS
from broker.controller.context import Context
from broker.controller.elections import changes_with, changes_without, leads_any
from broker.core import Result
from broker.metadata.image import BROKER_RESOURCE, BrokerImage, MetadataImage
from broker.metadata.records import ELR_FEATURE, ELR_VERSION, METADATA_VERSION, METADATA_VERSION_FEATURE
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Record
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse
from broker.protocol.messages.controller_registration import (
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
)
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    FeatureLevelRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    UnregisterBrokerRecord,
)
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse

log = logging.getLogger("broker.controller")
PRODUCER_ID_BLOCK = 1000
# Directory ids below this number are not given to directories (``DirectoryId``).
RESERVED_DIRECTORIES = 100
# BrokerRegistrationChangeRecord: what its fields say.
FENCE, UNFENCE, IN_CONTROLLED_SHUTDOWN = 1, -1, 1


def activation_records(image: MetadataImage, config: BrokerConfig) -> list[Record]:
    """What an empty metadata log begins with: the features that are finalised, and one min.insync.replicas for all (KIP-966).

    With eligible leader replicas every controller has to count with the same minimum, whatever its own file says: it is written
    down once, and changed for all. Source: ``ActivationRecordsGenerator``, ``maybeGenerateElrSafetyRecords``.
    """
    records: list[Record] = []
    if not image.features:
        records += [
            FeatureLevelRecord(name=METADATA_VERSION_FEATURE, feature_level=METADATA_VERSION),
            FeatureLevelRecord(name=ELR_FEATURE, feature_level=ELR_VERSION),
        ]
    eligible = not image.features or image.features.get(ELR_FEATURE, 0) > 0
    if eligible and MIN_INSYNC_REPLICAS not in image.config(BROKER_RESOURCE, ""):
        value = str(config.value(MIN_INSYNC_REPLICAS))
        records.append(ConfigRecord(resource_type=BROKER_RESOURCE, resource_name="", name=MIN_INSYNC_REPLICAS, value=value))
    return records


def register(request: BrokerRegistrationRequest, context: Context) -> Result[Record, BrokerRegistrationResponse]:
    """A broker makes itself known; its epoch is the offset where the records about it begin."""
    if request.cluster_id != context.cluster_id:
        return Result(BrokerRegistrationResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID))
    refusal = _refusal_to_register(request, context)
    if refusal is not ErrorCode.NONE:
        return Result(BrokerRegistrationResponse(error_code=refusal))
    known = context.image.brokers.get(request.broker_id)
    same_life = known is not None and known.incarnation_id == request.incarnation_id
    if known is not None and not same_life and context.sessions.is_valid(known.broker_id, known.epoch, context.now_ms):
        # Either it has just died, or two brokers have one id; the end of the session tells.
        return Result(BrokerRegistrationResponse(error_code=ErrorCode.DUPLICATE_BROKER_REGISTRATION))
    records: list[Record] = []
    if not same_life:
        clean = known is None or request.previous_broker_epoch == known.epoch
        records += changes_without(context, request.broker_id, unclean_shutdown=not clean)
    epoch = known.epoch if known is not None and same_life else context.next_offset
    records.append(_registration(request, known if same_life else None, epoch))
    context.sessions.open(request.broker_id, epoch, context.now_ms)
    return Result(BrokerRegistrationResponse(broker_epoch=epoch), records)


def _refusal_to_register(request: BrokerRegistrationRequest, context: Context) -> ErrorCode:
    """Directories belong to one broker, and every broker can do what the cluster has agreed on."""
    directories = request.log_dirs
    others = [known for known in context.image.brokers.values() if known.broker_id != request.broker_id]
    taken = {directory for known in others for directory in known.directories}
    reserved = any(one.int < RESERVED_DIRECTORIES for one in directories)
    if not directories or reserved or len(set(directories)) < len(directories) or not taken.isdisjoint(directories):
        log.warning("broker %d is refused: its log directories %s are not its own", request.broker_id, directories)
        return ErrorCode.INVALID_REGISTRATION
    able = {one.name: (one.min_supported_version, one.max_supported_version) for one in request.features}
    if METADATA_VERSION_FEATURE not in able:
        return ErrorCode.INVALID_REGISTRATION
    for name, level in sorted(context.image.features.items()):
        lowest, highest = able.get(name, (0, 0))
        if level and not lowest <= level <= highest:
            log.warning("broker %d is refused: it supports %s %d to %d, not %d", request.broker_id, name, lowest, highest, level)
            return ErrorCode.UNSUPPORTED_VERSION
    return ErrorCode.NONE


def _registration(request: BrokerRegistrationRequest, amended: BrokerImage | None, epoch: int) -> RegisterBrokerRecord:
    return RegisterBrokerRecord(
        broker_id=request.broker_id,
        incarnation_id=request.incarnation_id,
        broker_epoch=epoch,
        end_points=[
            BrokerEndpoint(name=one.name, host=one.host, port=one.port, security_protocol=one.security_protocol)
            for one in request.listeners
        ],
        features=[
            BrokerFeature(
                name=one.name, min_supported_version=one.min_supported_version, max_supported_version=one.max_supported_version
            )
            for one in request.features
        ],
        rack=request.rack,
        fenced=amended.fenced if amended is not None else True,
        in_controlled_shutdown=amended.in_controlled_shutdown if amended is not None else False,
        log_dirs=list(request.log_dirs),
    )


@dataclass(frozen=True)
class _Next:
    """What a heartbeat leads to."""

    fenced: bool
    shut_down: bool = False
    in_controlled_shutdown: bool = False


def heartbeat(request: BrokerHeartbeatRequest, context: Context) -> Result[Record, BrokerHeartbeatResponse]:
    """A sign of life with a wish. Source: ``BrokerHeartbeatManager.calculateNextBrokerState``."""
    known = context.image.brokers.get(request.broker_id)
    if known is None or known.epoch != request.broker_epoch:
        return Result(BrokerHeartbeatResponse(error_code=ErrorCode.STALE_BROKER_EPOCH))
    session = context.sessions.touch(known.broker_id, known.epoch, request.current_metadata_offset, context.now_ms)
    caught_up = request.current_metadata_offset >= known.registered_at
    if known.fenced:
        step = _Next(fenced=request.want_fence or request.want_shut_down or not caught_up, shut_down=request.want_shut_down)
    elif request.want_fence:
        step = _Next(fenced=True, shut_down=request.want_shut_down)
    elif request.want_shut_down or known.in_controlled_shutdown:
        step = _step_of_shutdown(known, session.shutdown_offset, context)
    else:
        step = _Next(fenced=False)
    records = _records(known, step, context)
    if step.shut_down:
        # It goes by its own wish, and may be back soon in another life.
        context.sessions.close(known.broker_id)
    if step.in_controlled_shutdown and (records or session.shutdown_offset < 0):
        session.shutdown_offset = context.next_offset + len(records) - 1
    response = BrokerHeartbeatResponse(is_caught_up=caught_up, is_fenced=step.fenced, should_shut_down=step.shut_down)
    return Result(response, records)


def _step_of_shutdown(known: BrokerImage, shutdown_offset: int, context: Context) -> _Next:
    """It may go when it leads nothing any more, and everybody who serves knows that."""
    moved = not leads_any(context, known.broker_id)
    if not known.in_controlled_shutdown:
        return _Next(fenced=True, shut_down=True) if moved else _Next(fenced=False, in_controlled_shutdown=True)
    if moved and shutdown_offset <= context.sessions.lowest_active_offset(context.image):
        return _Next(fenced=True, shut_down=True)
    return _Next(fenced=False, in_controlled_shutdown=True)


def _records(known: BrokerImage, step: _Next, context: Context) -> list[Record]:
    if step.fenced:
        return [] if known.fenced else fence(known, context)
    if known.fenced:
        return [_change(known, fenced=UNFENCE), *changes_with(context, known.broker_id)]
    if step.in_controlled_shutdown:
        changed = [] if known.in_controlled_shutdown else [_change(known, in_controlled_shutdown=IN_CONTROLLED_SHUTDOWN)]
        return [*changed, *changes_without(context, known.broker_id)]
    return []


def _change(known: BrokerImage, *, fenced: int = 0, in_controlled_shutdown: int = 0) -> BrokerRegistrationChangeRecord:
    return BrokerRegistrationChangeRecord(
        broker_id=known.broker_id, broker_epoch=known.epoch, fenced=fenced, in_controlled_shutdown=in_controlled_shutdown
    )


def fence(known: BrokerImage, context: Context) -> list[Record]:
    """Nobody may rely on this broker for the time being."""
    return [*changes_without(context, known.broker_id), _change(known, fenced=FENCE)]


def unregister(request: UnregisterBrokerRequest, context: Context) -> Result[Record, UnregisterBrokerResponse]:
    """Forget a broker that will not come back."""
    known = context.image.brokers.get(request.broker_id)
    if known is None:
        return Result(
            UnregisterBrokerResponse(
                error_code=ErrorCode.BROKER_ID_NOT_REGISTERED,
                error_message=f"Broker ID {request.broker_id} is not currently registered",
            )
        )
    context.sessions.close(known.broker_id)
    records = changes_without(context, known.broker_id, unclean_shutdown=True)
    records.append(UnregisterBrokerRecord(broker_id=known.broker_id, broker_epoch=known.epoch))
    return Result(UnregisterBrokerResponse(error_message=None), records)


def register_controller(
    request: ControllerRegistrationRequest, context: Context
) -> Result[Record, ControllerRegistrationResponse]:
    """A controller makes its endpoints known. One that nobody votes for has other voters in its settings."""
    voters = [voter.node_id for voter in context.config.voters] or [context.config.node_id]
    if request.controller_id not in voters:
        listed = ", ".join(map(str, voters))
        message = (
            f"node {request.controller_id} is not among the voters {listed} of node {context.config.node_id}; "
            "make controller.quorum.voters the same on all nodes"
        )
        return Result(ControllerRegistrationResponse(error_code=ErrorCode.INCONSISTENT_VOTER_SET, error_message=message))
    record = RegisterControllerRecord(
        controller_id=request.controller_id,
        incarnation_id=request.incarnation_id,
        zk_migration_ready=False,
        end_points=[
            ControllerEndpoint(name=one.name, host=one.host, port=one.port, security_protocol=one.security_protocol)
            for one in request.listeners
        ],
        features=[
            ControllerFeature(
                name=one.name, min_supported_version=one.min_supported_version, max_supported_version=one.max_supported_version
            )
            for one in request.features
        ],
    )
    return Result(ControllerRegistrationResponse(error_message=None), [record])


def allocate_producer_ids(request: AllocateProducerIdsRequest, context: Context) -> Result[Record, AllocateProducerIdsResponse]:
    """The next block of producer ids, for this broker alone."""
    known = context.image.brokers.get(request.broker_id)
    if known is None or known.epoch != request.broker_epoch:
        return Result(AllocateProducerIdsResponse(error_code=ErrorCode.STALE_BROKER_EPOCH))
    start = context.image.next_producer_id
    record = ProducerIdsRecord(
        broker_id=request.broker_id, broker_epoch=request.broker_epoch, next_producer_id=start + PRODUCER_ID_BLOCK
    )
    return Result(AllocateProducerIdsResponse(producer_id_start=start, producer_id_len=PRODUCER_ID_BLOCK), [record])
