"""One broker: makes its parts, wires them, and starts and stops them in order.

Start: the directory and its identity, the listeners (bound, not serving), the quorum, the controller, this broker's
registration, the partitions, the groups; then it serves. Stop: the reverse, ending with the clean-shutdown marker.
Everything it touches of the world comes in through `World`. A failed log directory stops the node (`on_fatal`).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from broker.client.connection import ClientConnection
from broker.clock.port import Clock
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.controller.manager import ControllerManager
from broker.group.manager import GroupManager
from broker.log.failure import LogDirFailure
from broker.log.log_manager import LogManager
from broker.log.properties import MetaProperties
from broker.metadata.image import MetadataImage
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.snapshot import image_batches
from broker.metadata.topic_names import CLUSTER_METADATA, CONSUMER_OFFSETS
from broker.network.port import Network
from broker.node.controller_channel import PEER_CONNECT_MS, ControllerChannel
from broker.node.disk_watch import DiskWatch
from broker.node.doors import Doors
from broker.node.identity import identify
from broker.node.lifecycle import Lifecycle
from broker.node.metadata_log import METADATA_TOPIC_ID, MetadataLogConfig
from broker.node.offsets_log import NodeOffsetsLog
from broker.node.registration import ControllerRegistration, controller_registration_request, registration_request
from broker.node.upkeep import Upkeep
from broker.protocol.errors import KafkaError
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest
from broker.protocol.types import UUID
from broker.raft.driver import RaftDriver
from broker.raft.election_store import ElectionStore
from broker.replication.fetcher import FetchLimits, ReplicaFetcher
from broker.replication.manager import ReplicaManager
from broker.server.acceptor import Acceptor
from broker.server.api_table import BROKER, CONTROLLER
from broker.server.fetch_sessions import FetchSessions
from broker.server.producer_ids import ProducerIds
from broker.server.services import BrokerServices
from broker.storage.port import Storage

log = logging.getLogger("broker.node")
# How long a stopping node lets its clients take their last answers.
STOP_GRACE_MS = 500
# How long it waits for the controller to move its leaders away, and a new controller for brokers to come by themselves.
LEAVE_TIMEOUT_MS = 3_000
UNHEARD_MS = 250
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
        self.disk_watch = DiskWatch(self.world.storage, self.world.clock, self.config.log_directory, self.logs.fail)
        self.metadata = MetadataPublisher()
        self._on_ready: Callable[[], None] = lambda: None
        self._incarnation_id = self.world.randomness.uuid4()
        self._begun = False
        self._served = False
        self._stopping = False

    # Starting.

    def start(self, on_ready: Callable[[], None]) -> None:
        """Begin to start; `on_ready` is called when clients are served. OSError, DirectoryError say what hinders it."""
        self._on_ready = on_ready
        config = self.config
        self.logs.claim()
        alone = len(config.voters) <= 1
        meta = identify(self.logs, self.world.storage, self.cluster_id, config.node_id, self.world.randomness, alone=alone)
        self.cluster_id = meta.cluster_id
        self.logs.open()
        self.disk_watch.start()
        self._make_quorum(meta.cluster_id)
        self._make_services(meta)
        self.acceptor.listen()
        self.acceptor.accept(CONTROLLER)
        self.driver.start()
        self.lifecycle.start()

    def _make_quorum(self, cluster_id: str) -> None:
        """The metadata log, who agrees on it, and this node's controller."""
        world, config = self.world, self.config
        partition = self.logs.get_or_create(CLUSTER_METADATA, 0, METADATA_TOPIC_ID, MetadataLogConfig.of(config))
        voters = {voter.node_id: (voter.host, voter.port) for voter in config.voters} or {config.node_id: ("", 0)}
        peers = {node_id: address for node_id, address in voters.items() if node_id != config.node_id}
        self.doors = Doors(world.network, world.clock, peers, self._door_closed)
        self.driver = RaftDriver(
            config,
            cluster_id,
            voters,
            partition,
            ElectionStore(world.storage, partition.directory, tuple(voters)),
            world=world,
            on_peer_lost=self._peer_lost,
            snapshot=lambda: image_batches(self.metadata.image),
        )
        self.controller = ControllerManager(
            config, cluster_id, world.clock, world.randomness, self.driver, on_active=self._controller_active
        )
        self.channel = ControllerChannel(
            world.network,
            world.clock,
            peers,
            driver=self.driver,
            local=self.controller,
            client_id=f"broker-{config.node_id}",
            on_lost=self._peer_lost,
        )
        for listener in (self.metadata, self.controller, self):
            self.driver.register(listener)

    def _make_services(self, meta: MetaProperties) -> None:
        """What this broker offers, and how it makes itself known."""
        world, config = self.world, self.config
        self.lifecycle = Lifecycle(
            config.node_id,
            world.clock,
            self.channel,
            registration=lambda: self._registration(meta),
            heartbeat_interval_ms=config.broker_heartbeat_interval_ms,
            registration_timeout_ms=config.value("initial.broker.registration.timeout.ms"),
            metadata_offset=lambda: self.metadata.image.offset if self._begun else -1,
            on_registered=self._begin,
            on_unfenced=self._serve,
            on_fatal=self.on_fatal,
        )
        self.controller_registration = ControllerRegistration(
            world.clock,
            self.channel,
            lambda: controller_registration_request(config, self._ports, self._incarnation_id),
        )
        replicas = ReplicaManager(
            config, world.clock, self.logs, self.channel, own_epoch=self._own_epoch, make_fetcher=self._make_fetcher
        )
        offsets_log = NodeOffsetsLog(config, world.clock, self.metadata, replicas, self.channel)
        groups = GroupManager(world.clock, world.randomness, config, offsets_log)
        self.metadata.subscribe(replicas.apply)
        self.metadata.subscribe(self._follow_groups)
        self.metadata.subscribe(self._follow_brokers)
        self.metadata.subscribe(self.controller_registration.follow)
        self.services = BrokerServices(
            config=config,
            cluster_id=meta.cluster_id,
            clock=world.clock,
            randomness=world.randomness,
            metadata=self.metadata,
            replicas=replicas,
            groups=groups,
            logs=self.logs,
            controller=self.channel,
            local_controller=self.controller,
            quorum=self.driver,
            producer_ids=ProducerIds(self.channel, config.node_id, self._own_epoch),
            fetch_sessions=FetchSessions(config.max_incremental_fetch_session_cache_slots, world.randomness),
            on_peer_lost=self._peer_lost,
            in_doubt=self.doors.in_doubt,
        )
        self.acceptor = Acceptor(config, world.clock, world.network, self.services)
        self.upkeep = Upkeep(config, world.clock, self.logs, replicas)

    def _own_epoch(self) -> int:
        return self.lifecycle.epoch

    @property
    def _ports(self) -> dict[str, int]:
        return {name: listener.port for name, listener in self.acceptor.listeners.items()}

    def _registration(self, meta: MetaProperties) -> BrokerRegistrationRequest:
        return registration_request(self.config, self._ports, meta, self._incarnation_id, self.logs.previous_broker_epoch)

    def _make_fetcher(self, leader_id: int, host: str, port: int) -> ReplicaFetcher:
        world, config = self.world, self.config
        connection = ClientConnection(
            world.network,
            world.clock,
            host,
            port,
            f"broker-{config.node_id}-fetcher",
            on_lost=lambda reason: self._peer_lost(leader_id),
            connect_ms=PEER_CONNECT_MS,
        )
        limits = FetchLimits(
            config.replica_fetch_max_bytes,
            config.replica_fetch_response_max_bytes,
            config.replica_fetch_min_bytes,
            config.replica_fetch_wait_max_ms,
            config.replica_fetch_backoff_ms,
        )
        return ReplicaFetcher(config.node_id, leader_id, connection, world.clock, limits, own_epoch=self._own_epoch)

    # Following the quorum.

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        if not self._begun:
            self._begin()

    def handle_snapshot(self, batches: Iterable[Sequence[bytes]], last_offset: int, last_epoch: int) -> None:
        if not self._begun:
            self._begin()

    def handle_leader_change(self, leader_id: int, epoch: int) -> None:
        """Whatever was asked of the controller before is asked again."""
        self.channel.follow(leader_id)
        self.lifecycle.hurry()

    def _begin(self) -> None:
        """Everything up to this broker's own registration is in the image: follow it, and ask to be unfenced."""
        known = self.metadata.image.brokers.get(self.config.node_id)
        if self._begun or self.lifecycle.epoch < 0 or known is None or known.epoch != self.lifecycle.epoch:
            return
        self._begun = True
        self.metadata.begin()
        self.lifecycle.hurry()

    def _serve(self) -> None:
        """The controller lets this broker serve: clients may come."""
        if self._served or self._stopping:
            return
        self._served = True
        self.services.groups.start()
        self.services.replicas.start()
        self.upkeep.start()
        self.acceptor.accept(BROKER)
        self._on_ready()

    def _follow_groups(self, before: MetadataImage, after: MetadataImage) -> None:
        """Coordinate the groups of the partitions of `__consumer_offsets` that this node leads; forget deleted topics."""
        groups = self.services.groups
        offsets_before, offsets_after = before.topics.get(CONSUMER_OFFSETS), after.topics.get(CONSUMER_OFFSETS)
        old = offsets_before.partitions if offsets_before is not None else {}
        new = offsets_after.partitions if offsets_after is not None else {}
        same_topic = topic_id_of(before, CONSUMER_OFFSETS) == topic_id_of(after, CONSUMER_OFFSETS)
        for index in sorted({*old, *new}):
            was, now = old.get(index), new.get(index)
            if was is not None and now is not None and was.leader_epoch == now.leader_epoch and same_topic:
                continue
            if now is not None and now.leader == self.config.node_id:
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

    # Nodes that are gone.

    def _follow_brokers(self, before: MetadataImage, after: MetadataImage) -> None:
        """Who is let in by the controller is there; who wants to stop waits until everybody has said that they know."""
        if after.brokers is before.brokers:
            return
        for node_id, known in after.brokers.items():
            if not known.fenced and known is not before.brokers.get(node_id):
                self.doors.heard(node_id)
                if known.in_controlled_shutdown and node_id != self.config.node_id:
                    self.lifecycle.hurry()

    def _controller_active(self) -> None:
        """Fence at once whom this node has just found gone, and knock at those who do not come by themselves."""
        clock = self.world.clock
        since_ms = clock.monotonic_ms()
        for node_id in self.doors.recently_closed():
            self.controller.fence(node_id, "its door was closed when this controller became active")

        def knock() -> None:
            if self.controller.active:
                for node_id in self.controller.unheard_brokers(since_ms):
                    self.doors.suspect(node_id)

        clock.call_at(since_ms + UNHEARD_MS, knock)

    def _peer_lost(self, node_id: int) -> None:
        """A connection with a node has ended."""
        self.controller.doubt(node_id)
        self.doors.suspect(node_id)

    def _door_closed(self, node_id: int) -> None:
        self.driver.door_closed(node_id)
        self.controller.fence(node_id, "its connections have ended and its door is closed")

    def _log_directory_failed(self, failure: LogDirFailure) -> None:
        log.critical("%s", failure)
        self.on_fatal(str(failure))

    # Stopping.

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Let the controller move the leaders away, then serve no more and close everything cleanly."""
        if self._stopping:
            return
        self._stopping = True
        leave = self.config.value("controlled.shutdown.enable")
        self.lifecycle.leave(LEAVE_TIMEOUT_MS if leave else 0, lambda: self._close(on_stopped))

    def _close(self, on_stopped: Callable[[], None]) -> None:
        self.upkeep.stop()
        self.controller_registration.stop()
        self.services.groups.close()
        self.services.replicas.stop()
        self.acceptor.stop_listening()
        self.controller.stop()
        self.driver.stop()
        self.acceptor.close_all()
        self._finish_when_quiet(on_stopped, self.world.clock.monotonic_ms() + STOP_GRACE_MS)

    def _finish_when_quiet(self, on_stopped: Callable[[], None], deadline_ms: int) -> None:
        now = self.world.clock.monotonic_ms()
        if self.acceptor.connections and now < deadline_ms:
            self.world.clock.call_at(now + STOP_POLL_MS, lambda: self._finish_when_quiet(on_stopped, deadline_ms))
            return
        self.channel.stop()
        self.doors.stop()
        self.disk_watch.stop()
        self.services.replicas.checkpoint_high_watermarks()
        # Who was never let in has changed nothing: its logs are as its former life has left them.
        epoch = self.lifecycle.epoch if self.lifecycle.epoch >= 0 else self.logs.previous_broker_epoch
        self.logs.close(clean=True, broker_epoch=epoch)
        self.world.storage.close()
        on_stopped()

    def abandon(self, reason: str) -> None:
        """End at once, after a failure at any time: clients are cut off, and nothing more is written or promised."""
        self._stopping = True
        self.disk_watch.stop()
        if hasattr(self, "channel"):
            self.controller.stop()
            self.driver.stop()
        if hasattr(self, "upkeep"):
            self.upkeep.stop()
            self.controller_registration.stop()
        if hasattr(self, "acceptor"):
            self.acceptor.stop_listening()
            for connection in list(self.acceptor.connections):
                connection.abort(reason)
        self.logs.release()
        self.world.storage.close(finish=False)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, in Kafka's spelling."""
        names = [endpoint.name for endpoint in self.config.broker_listeners]
        advertised = self.metadata.image.brokers[self.config.node_id]
        return ",".join(f"{one.host}:{one.port}" for one in advertised.endpoints if one.name in names)


def topic_id_of(image: MetadataImage, name: str) -> UUID | None:
    topic = image.topics.get(name)
    return topic.topic_id if topic is not None else None
