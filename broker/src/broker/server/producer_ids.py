"""Producer ids for idempotent producers: taken from a block that the controller gave this broker.

Source: ``RPCProducerIdManager``.
"""

from collections.abc import Callable

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.server.services import Controller

NO_PRODUCER_ID = -1
# Producers that wait for the next block.
WAITING_MAX = 10_000


class ProducerIds:
    """Every id is given once in the life of the cluster."""

    def __init__(self, controller: Controller, node_id: int, own_epoch: Callable[[], int]) -> None:
        self._controller = controller
        self._node_id = node_id
        self._own_epoch = own_epoch
        self._next, self._end = 0, 0
        self._waiting: list[Callable[[ErrorCode, int], None]] = []

    def next_id(self, on_done: Callable[[ErrorCode, int], None]) -> None:
        """`on_done(error, producer id)`, at once or when the next block has come."""
        if self._next < self._end:
            self._next += 1
            on_done(ErrorCode.NONE, self._next - 1)
            return
        if len(self._waiting) >= WAITING_MAX:
            on_done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, NO_PRODUCER_ID)
            return
        self._waiting.append(on_done)
        if len(self._waiting) == 1:
            self._controller.submit(self._request(), 0, self._allocated)

    def _request(self) -> AllocateProducerIdsRequest:
        return AllocateProducerIdsRequest(broker_id=self._node_id, broker_epoch=self._own_epoch())

    def _allocated(self, response: AllocateProducerIdsResponse) -> None:
        waiting, self._waiting = self._waiting, []
        if response.error_code != ErrorCode.NONE:
            for on_done in waiting:
                # Kafka's clients ask again after this one.
                on_done(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, NO_PRODUCER_ID)
            return
        self._next = response.producer_id_start
        self._end = response.producer_id_start + response.producer_id_len
        for on_done in waiting:
            self.next_id(on_done)
