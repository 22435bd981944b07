"""The controller's shell: takes requests, lets a decision be made, appends its records, answers when they are committed.

Invariant: the state that decisions see holds every record that was appended (they are replayed at once), so that two
requests in one turn cannot contradict each other; the answer waits for the commit. Source: ``QuorumController``.
Not done: a controller that is not the leader (requests will be forwarded to it).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.controller import brokers, configs, topics
from broker.controller.context import Context
from broker.core import Result
from broker.metadata.image import MetadataImage
from broker.metadata.records import decode_record, encode_record
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Record, Request, Response
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse
from broker.protocol.messages.create_partitions import CreatePartitionsRequest
from broker.protocol.messages.create_topics import CreateTopicsRequest
from broker.protocol.messages.delete_topics import DeleteTopicsRequest
from broker.protocol.messages.incremental_alter_configs import IncrementalAlterConfigsRequest
from broker.raft.driver import RaftDriver

log = logging.getLogger("broker.controller")
Decide = Callable[[Any, Context], Result[Record, Any]]
Refuse = Callable[[Any, KafkaError], Response]
# Who decides on each request, and how it is answered when the records could not be appended.
DECISIONS: dict[type[Request], tuple[Decide, Refuse]] = {
    CreateTopicsRequest: (topics.create_topics, topics.refuse_create),
    DeleteTopicsRequest: (topics.delete_topics, topics.refuse_delete),
    CreatePartitionsRequest: (topics.create_partitions, topics.refuse_partitions),
    IncrementalAlterConfigsRequest: (configs.alter_configs, configs.refuse_alter),
    BrokerRegistrationRequest: (brokers.register, lambda _, error: BrokerRegistrationResponse(error_code=error.code)),
    BrokerHeartbeatRequest: (brokers.heartbeat, lambda _, error: BrokerHeartbeatResponse(error_code=error.code)),
    AllocateProducerIdsRequest: (
        brokers.allocate_producer_ids,
        lambda _, error: AllocateProducerIdsResponse(error_code=error.code),
    ),
}


class ControllerManager:
    """See the module. It listens to the Raft driver."""

    def __init__(self, config: BrokerConfig, randomness: Randomness, driver: RaftDriver, on_active: Callable[[], None]) -> None:
        self._config = config
        self._randomness = randomness
        self._driver = driver
        self._on_active = on_active
        self._image = MetadataImage()
        self.active = False

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        """What an earlier leader wrote; what this one appends was replayed already."""
        if last_offset > self._image.offset:
            self._replay([decode_record(value) for value in values], last_offset)

    def handle_leader(self, epoch: int) -> None:
        """This node's controller is active from now on; `on_active` is called when it can be asked."""
        self.active = True
        if self._image.features:
            self._on_active()
            return
        try:
            self._append(brokers.bootstrap_records(), lambda code: self._on_active())
        except KafkaError as error:
            log.error("the first records of the metadata log could not be appended: %s", error)
            # Whoever asks now is refused; a node that cannot register ends and says so.
            self.active = False
            self._on_active()

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        """Decide; `on_done(response)` is called when what was decided is committed.

        A node that stops no longer answers: its connections are about to close.
        """
        decide, refuse = DECISIONS[type(request)]
        if not self.active:
            on_done(refuse(request, KafkaError(ErrorCode.NOT_CONTROLLER)))
            return
        context = Context(self._image, self._driver.log.log_end_offset, self._config, self._randomness)
        result = decide(request, context)

        def committed(code: ErrorCode) -> None:
            if code is ErrorCode.NONE:
                on_done(result.response)

        try:
            if result.records:
                self._append(result.records, committed)
            else:
                self._driver.when_committed(committed)
        except KafkaError as error:
            log.error("%s could not be appended: %s", type(request).__name__, error)
            on_done(refuse(request, error))

    def _append(self, records: Sequence[Record], done: Callable[[ErrorCode], None]) -> None:
        last_offset = self._driver.append([encode_record(record) for record in records], done)
        self._replay(records, last_offset)

    def _replay(self, records: Sequence[Record], last_offset: int) -> None:
        self._image = self._image.apply(records, last_offset)
