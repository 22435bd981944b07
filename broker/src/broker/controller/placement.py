"""Where the replicas of new partitions go: in stripes over the brokers from a random start, unfenced ones first.

Each partition's stripe begins one broker further than the one before; when all have had their turn the order is shuffled, so
that the same brokers do not always follow each other. Source: ``StripedReplicaPlacer``. Not done: racks.
"""

from broker.clock.randomness import Randomness
from broker.controller.context import Context
from broker.controller.elections import is_active
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import PartitionRecord
from broker.protocol.types import UUID, ZERO_UUID


def place(context: Context, partitions: int, replication_factor: int) -> list[list[int]]:
    """Replica lists for so many new partitions. KafkaError(INVALID_REPLICATION_FACTOR) when there are too few brokers."""
    usable = context.usable_brokers
    unfenced = [broker_id for broker_id in usable if not context.image.brokers[broker_id].fenced]
    fenced = [broker_id for broker_id in usable if context.image.brokers[broker_id].fenced]
    if replication_factor > len(usable):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): The target replication factor of "
            f"{replication_factor} cannot be reached because only {len(usable)} broker(s) are registered.",
        )
    if not unfenced:
        raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, "All brokers are currently fenced.")
    random = context.randomness
    start, fenced_start = random.randint(0, len(unfenced) - 1), random.randint(0, max(len(fenced) - 1, 0))
    placed = []
    for number in range(partitions):
        if number and number % len(unfenced) == 0 and len(unfenced) > 1:
            _shuffle(unfenced, random)
            _shuffle(fenced, random)
        stripe = _turned(unfenced, start + number) + _turned(fenced, fenced_start + number)
        placed.append(stripe[:replication_factor])
    return placed


def _turned(brokers: list[int], by: int) -> list[int]:
    cut = by % len(brokers) if brokers else 0
    return brokers[cut:] + brokers[:cut]


def _shuffle(brokers: list[int], random: Randomness) -> None:
    for last in range(len(brokers) - 1, 0, -1):
        other = random.randint(0, last)
        brokers[last], brokers[other] = brokers[other], brokers[last]


def check_assignment(context: Context, replicas: list[int]) -> None:
    """KafkaError when a manual assignment names a broker twice, or one that is not registered."""
    if not replicas:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "The manual partition assignment includes an empty replica list.")
    if len(set(replicas)) != len(replicas):
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"The manual partition assignment includes the broker {_twice(replicas)} more than once.",
        )
    for broker_id in replicas:
        if broker_id not in context.image.brokers:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"The manual partition assignment includes broker {broker_id}, but no such broker is registered.",
            )


def _twice(replicas: list[int]) -> int:
    return next(broker_id for broker_id in replicas if replicas.count(broker_id) > 1)


def new_partition(context: Context, topic_id: UUID, index: int, replicas: list[int]) -> PartitionRecord:
    """A partition whose first active replica leads, with all active replicas in its ISR."""
    isr = [broker_id for broker_id in replicas if is_active(context, broker_id)]
    if not isr:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled "
            "shutdown.",
        )
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=list(replicas),
        isr=isr,
        leader=isr[0],
        leader_epoch=0,
        partition_epoch=0,
        directories=[_directory(context, broker_id) for broker_id in replicas],
    )


def _directory(context: Context, broker_id: int) -> UUID:
    directories = context.image.brokers[broker_id].directories
    return directories[0] if len(directories) == 1 else ZERO_UUID
