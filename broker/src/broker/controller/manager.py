"""The controller's shell: takes requests, lets a decision be made, appends its records, answers when they are committed.

Invariants: the state that decisions see holds every record that was appended (they are replayed at once), so that two requests
in one turn cannot contradict each other, and the answer waits for the commit; a controller that leads no more forgets all that
was not committed, and begins anew from the committed image when it leads again. Source: ``QuorumController``.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from broker.clock.port import Clock, Timer
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.controller import brokers, configs, isr, leaders, topics
from broker.controller.context import Context
from broker.controller.sessions import BrokerSessions, Session
from broker.core import Result
from broker.metadata.image import MetadataImage
from broker.metadata.records import NO_OP, decode_record, encode_record, is_no_op
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Record, Request, Response
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.protocol.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse
from broker.protocol.messages.controller_registration import (
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
)
from broker.protocol.messages.create_partitions import CreatePartitionsRequest
from broker.protocol.messages.create_topics import CreateTopicsRequest
from broker.protocol.messages.delete_topics import DeleteTopicsRequest
from broker.protocol.messages.elect_leaders import ElectLeadersRequest
from broker.protocol.messages.incremental_alter_configs import IncrementalAlterConfigsRequest
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse
from broker.raft.driver import RaftDriver

log = logging.getLogger("broker.controller")
Decide = Callable[[Any, Context], Result[Record, Any]]
Refuse = Callable[[Any, KafkaError], Response]
# After these a broker says nothing more until it is answered.
SIGNS_OF_LIFE = (BrokerRegistrationRequest, BrokerHeartbeatRequest)
# A heartbeat that waits in our own loop is heard before its session is judged.
SESSION_CHECK_MS = 100
# When it is tried again to begin an empty log.
ACTIVATE_AGAIN_MS = 1000


def _refusing(cls: Callable[..., Response]) -> Refuse:
    return lambda _, error: cls(error_code=error.code)


# Who decides on each request, and how it is answered when nothing could be decided or appended.
DECISIONS: dict[type[Request], tuple[Decide, Refuse]] = {
    CreateTopicsRequest: (topics.create_topics, topics.refuse_create),
    DeleteTopicsRequest: (topics.delete_topics, topics.refuse_delete),
    CreatePartitionsRequest: (topics.create_partitions, topics.refuse_partitions),
    IncrementalAlterConfigsRequest: (configs.alter_configs, configs.refuse_alter),
    ElectLeadersRequest: (leaders.elect_leaders, leaders.refuse_elections),
    ControllerRegistrationRequest: (brokers.register_controller, _refusing(ControllerRegistrationResponse)),
    UnregisterBrokerRequest: (brokers.unregister, _refusing(UnregisterBrokerResponse)),
    AlterPartitionRequest: (isr.alter_partition, _refusing(AlterPartitionResponse)),
    BrokerRegistrationRequest: (brokers.register, _refusing(BrokerRegistrationResponse)),
    BrokerHeartbeatRequest: (brokers.heartbeat, _refusing(BrokerHeartbeatResponse)),
    AllocateProducerIdsRequest: (brokers.allocate_producer_ids, _refusing(AllocateProducerIdsResponse)),
}


def refuse(request: Request, code: ErrorCode) -> Response:
    """The answer to a request that no controller decided on."""
    return DECISIONS[type(request)][1](request, KafkaError(code))


class ControllerManager:
    """See the module. It listens to the Raft driver. `on_active` is called when this controller begins to decide."""

    def __init__(
        self,
        config: BrokerConfig,
        cluster_id: str,
        clock: Clock,
        randomness: Randomness,
        driver: RaftDriver,
        *,
        on_active: Callable[[], None],
    ) -> None:
        self._config = config
        self._cluster_id = cluster_id
        self._clock = clock
        self._randomness = randomness
        self._driver = driver
        self._on_active = on_active
        self._committed = MetadataImage()
        self._image = self._committed
        self._sessions = BrokerSessions(config.broker_session_timeout_ms)
        self._timers: dict[str, Timer] = {}
        self.active = False

    # The quorum's side.

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        if is_no_op(values):
            self._committed = replace(self._committed, offset=last_offset)
            return
        self._committed = self._committed.apply([decode_record(value) for value in values], last_offset)

    def handle_snapshot(self, batches: Iterable[Sequence[bytes]], last_offset: int, last_epoch: int) -> None:
        """Everything anew: what a snapshot holds."""
        records = ([decode_record(value) for value in values] for values in batches)
        self._committed = MetadataImage.from_snapshot(records, last_offset)

    def handle_leader_change(self, leader_id: int, epoch: int) -> None:
        """This node's controller becomes active, or is so no longer."""
        leads = leader_id == self._config.node_id
        if leads and not self.active:
            self._activate(epoch)
        elif not leads:
            self.stop()

    def _activate(self, epoch: int) -> None:
        """Nothing is decided before that is agreed on which everybody must know; a full disk makes it wait."""
        self._image = self._committed
        if not self._append_own(brokers.activation_records(self._image, self._config)):
            again = self._clock.monotonic_ms() + ACTIVATE_AGAIN_MS
            self._timers["activate"] = self._clock.call_at(again, lambda: self._activate(epoch))
            return
        log.info("the controller of node %d is active in epoch %d", self._config.node_id, epoch)
        self.active = True
        self._sessions.begin(self._image.brokers.values(), self._clock.monotonic_ms())
        self._schedule_sessions()
        self._schedule_elections()
        self._schedule_no_op()
        self._on_active()

    def stop(self) -> None:
        """Decide no more: what was not committed is forgotten."""
        if self.active:
            log.info("the controller of node %d is active no more", self._config.node_id)
        self.active = False
        self._image = self._committed
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # Requests.

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        """Decide; `on_done(response)` is called when what was decided is committed, or refused as NOT_CONTROLLER."""
        if not self.active:
            on_done(refuse(request, ErrorCode.NOT_CONTROLLER))
            return
        result = DECISIONS[type(request)][0](request, self._context())
        held: Session | None = None

        def committed(code: ErrorCode) -> None:
            if held is not None:
                self._sessions.answered(held, self._clock.monotonic_ms())
            on_done(result.response if code is ErrorCode.NONE else refuse(request, code))

        try:
            if result.records:
                self._append(result.records, committed)
                if isinstance(request, SIGNS_OF_LIFE):
                    held = self._sessions.hold(request.broker_id)
                if isinstance(request, IncrementalAlterConfigsRequest):
                    # What may lead may have changed.
                    self._append_own(leaders.elect_unclean(self._context()))
            elif isinstance(request, BrokerHeartbeatRequest):
                # A sign of life that changes nothing is answered at once: it must not queue behind the disk.
                on_done(result.response)
            else:
                self._driver.when_committed(committed)
        except KafkaError as error:
            log.error("%s could not be appended: %s", type(request).__name__, error)
            on_done(DECISIONS[type(request)][1](request, error))

    def decides(self, request: type[Request]) -> bool:
        """Whether requests of this kind are decided on here."""
        return request in DECISIONS

    def _context(self) -> Context:
        return Context(
            self._image,
            self._driver.log.log_end_offset,
            self._config,
            self._randomness,
            self._sessions,
            self._cluster_id,
            self._clock.monotonic_ms(),
        )

    def _append(self, records: Sequence[Record], done: Callable[[ErrorCode], None]) -> None:
        last_offset = self._driver.append([encode_record(record) for record in records], done)
        self._image = self._image.apply(records, last_offset)

    def _append_own(self, records: Sequence[Record]) -> bool:
        """What the controller decided by itself; False when it cannot be appended, and is to be decided again later."""
        if records:
            try:
                self._append(records, lambda code: None)
            except KafkaError as error:
                log.warning("a decision could not be appended: %s", error)
                return False
        return True

    # Brokers that are gone.

    def _schedule_sessions(self) -> None:
        deadline = self._sessions.next_deadline()
        now = self._clock.monotonic_ms()
        due = now + SESSION_CHECK_MS if deadline is None else max(deadline, now + SESSION_CHECK_MS)
        self._timers["sessions"] = self._clock.call_at(due, self._check_sessions)

    def _check_sessions(self) -> None:
        """Fence those who were silent for a whole session."""
        for broker_id in self._sessions.expired(self._clock.monotonic_ms()):
            self.fence(broker_id, f"it was silent for broker.session.timeout.ms={self._config.broker_session_timeout_ms}")
        self._schedule_sessions()

    def fence(self, broker_id: int, why: str) -> None:
        """Nobody shall rely on a broker until it is heard again. Harmless when this controller is not active."""
        known = self._image.brokers.get(broker_id)
        if not self.active:
            return
        if known is not None and not known.fenced:
            log.warning("fencing broker %d: %s", broker_id, why)
            if not self._append_own(brokers.fence(known, self._context())):
                return  # The end of its session comes to it again.
        self._sessions.close(broker_id)

    def doubt(self, broker_id: int) -> None:
        """A connection with a broker has ended: if another life of it registers now, this one is over."""
        self._sessions.doubt(broker_id)

    def unheard_brokers(self, since_ms: int) -> list[int]:
        """Unfenced brokers that have not sent a heartbeat to this controller since a (monotonic) time."""
        unfenced = (broker.broker_id for broker in self._image.brokers.values() if not broker.fenced)
        return sorted(one for one in unfenced if not self._sessions.heard_since(one, since_ms))

    # Leaders.

    def _schedule_elections(self) -> None:
        """Preferred leaders are given back, and where it is allowed anybody leads who is there."""
        config = self._config
        if config.value("auto.leader.rebalance.enable"):
            self._every("balance", config.value("leader.imbalance.check.interval.seconds") * 1000, leaders.balance)
        self._every("unclean", config.value("unclean.leader.election.interval.ms"), leaders.elect_unclean)

    def _every(self, name: str, interval_ms: int, decide: Callable[[Context], list[Record]]) -> None:
        def run() -> None:
            self._append_own(decide(self._context()))
            self._every(name, interval_ms, decide)

        self._timers[name] = self._clock.call_at(self._clock.monotonic_ms() + interval_ms, run)

    # Nothing.

    def _schedule_no_op(self) -> None:
        """A record now and then although nothing happens, so that the quorum shows that it can commit (KIP-835)."""
        interval_ms = self._config.value("metadata.max.idle.interval.ms")
        end_offset = self._driver.log.log_end_offset

        def write() -> None:
            if self._driver.log.log_end_offset == end_offset:
                # Who has no room now has none for that either, and it is nothing that is lost.
                with contextlib.suppress(KafkaError):
                    last_offset = self._driver.append([NO_OP], lambda code: None)
                    self._image = replace(self._image, offset=last_offset)
            self._schedule_no_op()

        if interval_ms:
            self._timers["no-op"] = self._clock.call_at(self._clock.monotonic_ms() + interval_ms, write)
