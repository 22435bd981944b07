"""One broker: makes its parts, wires them, and starts and stops them in order.

Start: the directory and its identity, the listeners (bound, not serving), the quorum, the controller, this broker's
registration, the partitions, the groups; then it serves. Stop: the reverse, ending with the clean-shutdown marker.
Everything it touches of the world comes in through `World`. A failed log directory stops the node (`on_fatal`).
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.clock.port import Clock
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.controller.manager import ControllerManager
from broker.group.manager import GroupManager
from broker.log.failure import LogDirFailure
from broker.log.log_manager import LogManager
from broker.metadata.image import MetadataImage
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.topic_names import CLUSTER_METADATA, CONSUMER_OFFSETS
from broker.network.port import Network
from broker.node.identity import identify
from broker.node.offsets_log import NodeOffsetsLog
from broker.node.registration import registration_request
from broker.node.upkeep import Upkeep
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationResponse
from broker.raft.driver import RaftDriver
from broker.raft.election_store import ElectionStore
from broker.replication.manager import ReplicaManager
from broker.server.acceptor import Acceptor
from broker.server.fetch_sessions import FetchSessions
from broker.server.producer_ids import ProducerIds
from broker.server.services import BrokerServices
from broker.storage.port import Storage

log = logging.getLogger("broker.node")
METADATA_TOPIC_ID = uuid.UUID(int=1)
REGISTRATION_VERSION = 4
HEARTBEAT_VERSION = 2
# How long a stopping node lets its clients take their last answers.
STOP_GRACE_MS = 500
STOP_POLL_MS = 10
# When groups are tried again whose partition could not be loaded.
LOAD_AGAIN_MS = 1000


@dataclass(frozen=True)
class World:
    """The outside of a node: the real one, or its simulated twin."""

    clock: Clock
    randomness: Randomness
    storage: Storage
    network: Network


@dataclass
class MetadataLogConfig:
    """The settings of the metadata log: nothing is removed from it."""

    segment_bytes: int = 2**30
    segment_ms: int = 2**63 - 1
    segment_index_bytes: int = 10 * 2**20
    index_interval_bytes: int = 4096
    max_message_bytes: int = 2**31 - 1
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 2**63 - 1
    retention_ms: int = -1
    retention_bytes: int = -1
    file_delete_delay_ms: int = 60_000
    cleanup_policy: str = "delete"


@dataclass
class Broker:
    """See the module."""

    config: BrokerConfig
    world: World
    on_fatal: Callable[[str], None]
    cluster_id: str | None = None
    services: BrokerServices = field(init=False)
    acceptor: Acceptor = field(init=False)
    driver: RaftDriver = field(init=False)

    def __post_init__(self) -> None:
        self.logs = LogManager(self.world.storage, self.world.clock, self.config.log_directory, self._log_directory_failed)
        self.metadata = MetadataPublisher()
        self._on_ready: Callable[[], None] = lambda: None
        self._broker_epoch = -1
        self._stopping = False

    # Starting.

    def start(self, on_ready: Callable[[], None]) -> None:
        """Begin to start; `on_ready` is called when clients are served. OSError, DirectoryError say what hinders it."""
        self._on_ready = on_ready
        world, config = self.world, self.config
        self.logs.claim()
        meta = identify(self.logs, world.storage, self.cluster_id, config.node_id, world.randomness)
        self.cluster_id = meta.cluster_id
        self.logs.open()
        partition = self.logs.get_or_create(CLUSTER_METADATA, 0, METADATA_TOPIC_ID, MetadataLogConfig())
        voters = tuple(voter.node_id for voter in config.voters) or (config.node_id,)
        store = ElectionStore(world.storage, partition.directory, voters)
        self.driver = RaftDriver(config.node_id, voters, partition, store, world.clock)
        controller = ControllerManager(config, world.randomness, self.driver, self._register)
        self.driver.register(self.metadata)
        self.driver.register(controller)
        replicas = ReplicaManager(config, world.clock, self.logs)
        self.metadata.subscribe(replicas.apply)
        offsets_log = NodeOffsetsLog(config, world.clock, self.metadata, replicas, controller)
        groups = GroupManager(world.clock, world.randomness, config, offsets_log)
        self.metadata.subscribe(self._follow_groups)
        self.services = BrokerServices(
            config=config,
            cluster_id=meta.cluster_id,
            clock=world.clock,
            randomness=world.randomness,
            metadata=self.metadata,
            replicas=replicas,
            groups=groups,
            logs=self.logs,
            controller=controller,
            quorum=self.driver,
            producer_ids=ProducerIds(controller, config.node_id),
            fetch_sessions=FetchSessions(config.max_incremental_fetch_session_cache_slots, world.randomness),
        )
        self.acceptor = Acceptor(config, world.clock, world.network, self.services)
        self.acceptor.listen()
        self.upkeep = Upkeep(config, world.clock, self.logs, replicas)
        self.driver.start()

    def _register(self) -> None:
        """The controller is active: make this broker known to it."""
        ports = {name: listener.port for name, listener in self.acceptor.listeners.items()}
        assert self.logs.meta is not None
        request = registration_request(self.config, ports, self.logs.meta, self.world.randomness.uuid4())
        self.services.controller.submit(request, REGISTRATION_VERSION, self._registered)

    def _registered(self, response: BrokerRegistrationResponse) -> None:
        if response.error_code != ErrorCode.NONE:
            self.on_fatal(f"the controller refused this broker: {ErrorCode(response.error_code).name}")
            return
        self._broker_epoch = response.broker_epoch
        request = BrokerHeartbeatRequest(
            broker_id=self.config.node_id, broker_epoch=self._broker_epoch, current_metadata_offset=self.metadata.image.offset
        )
        self.services.controller.submit(request, HEARTBEAT_VERSION, self._unfenced)

    def _unfenced(self, response: BrokerHeartbeatResponse) -> None:
        if response.error_code != ErrorCode.NONE or response.is_fenced:
            self.on_fatal("the controller keeps this broker fenced")
            return
        self.metadata.begin()
        self.services.groups.start()
        self.upkeep.start()
        self.acceptor.accept()
        self._on_ready()

    def _follow_groups(self, before: MetadataImage, after: MetadataImage) -> None:
        """Coordinate the groups of the partitions of `__consumer_offsets` that this node leads; forget deleted topics."""
        groups = self.services.groups
        offsets_before, offsets_after = before.topics.get(CONSUMER_OFFSETS), after.topics.get(CONSUMER_OFFSETS)
        old = offsets_before.partitions if offsets_before is not None else {}
        new = offsets_after.partitions if offsets_after is not None else {}
        for index in sorted({*old, *new}):
            if old.get(index) is new.get(index):
                continue
            if index in new and new[index].leader == self.config.node_id:
                self._coordinate(index)
            else:
                groups.on_resigned(index)
        for name in before.topics:
            if name not in after.topics:
                groups.forget_topic(name)

    def _coordinate(self, index: int) -> None:
        """Load the groups of a partition of `__consumer_offsets`; later, while a full disk leaves no room for the partition."""
        topic = self.metadata.image.topics.get(CONSUMER_OFFSETS)
        state = topic.partitions.get(index) if topic is not None else None
        if self._stopping or state is None or state.leader != self.config.node_id:
            return
        try:
            self.services.groups.on_elected(index)
        except KafkaError as error:
            log.error("the groups of %s-%d cannot be loaded now: %s", CONSUMER_OFFSETS, index, error)
            clock = self.world.clock
            clock.call_at(clock.monotonic_ms() + LOAD_AGAIN_MS, lambda: self._coordinate(index))

    def _log_directory_failed(self, failure: LogDirFailure) -> None:
        log.critical("%s", failure)
        self.on_fatal(str(failure))

    # Stopping.

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Serve no more, then close everything cleanly."""
        if self._stopping:
            return
        self._stopping = True
        self.upkeep.stop()
        self.acceptor.stop_listening()
        self.acceptor.close_all()
        self._finish_when_quiet(on_stopped, self.world.clock.monotonic_ms() + STOP_GRACE_MS)

    def _finish_when_quiet(self, on_stopped: Callable[[], None], deadline_ms: int) -> None:
        now = self.world.clock.monotonic_ms()
        if self.acceptor.connections and now < deadline_ms:
            self.world.clock.call_at(now + STOP_POLL_MS, lambda: self._finish_when_quiet(on_stopped, deadline_ms))
            return
        self.services.groups.close()
        self.driver.stop()
        self.services.replicas.checkpoint_high_watermarks()
        self.logs.close(clean=True, broker_epoch=self._broker_epoch)
        self.world.storage.close()
        on_stopped()

    def abandon(self, reason: str) -> None:
        """End at once, after a failure at any time: clients are cut off, and nothing more is written or promised."""
        self._stopping = True
        if hasattr(self, "upkeep"):
            self.upkeep.stop()
        if hasattr(self, "acceptor"):
            self.acceptor.stop_listening()
            for connection in list(self.acceptor.connections):
                connection.abort(reason)
        self.logs.release()
        self.world.storage.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, in Kafka's spelling."""
        names = [endpoint.name for endpoint in self.config.broker_listeners]
        advertised = self.metadata.image.brokers[self.config.node_id]
        return ",".join(f"{one.host}:{one.port}" for one in advertised.endpoints if one.name in names)
