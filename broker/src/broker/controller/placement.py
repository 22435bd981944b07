"""Where the replicas of new partitions go: round robin over the brokers from a random start, unfenced ones first to lead.

Source: ``StripedReplicaPlacer``. Not done: racks.
"""

from broker.controller.context import Context
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import PartitionRecord
from broker.protocol.types import UUID, ZERO_UUID


def place(context: Context, partitions: int, replication_factor: int) -> list[list[int]]:
    """Replica lists for so many new partitions. KafkaError(INVALID_REPLICATION_FACTOR) when there are too few brokers."""
    brokers = context.usable_brokers
    if replication_factor > len(brokers):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): The target replication factor of "
            f"{replication_factor} cannot be reached because only {len(brokers)} broker(s) are registered.",
        )
    if all(context.image.brokers[broker_id].fenced for broker_id in brokers):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): All brokers are currently fenced.",
        )
    start = context.randomness.randint(0, len(brokers) - 1)
    return [
        [brokers[(start + number + replica) % len(brokers)] for replica in range(replication_factor)]
        for number in range(partitions)
    ]


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
    """A partition whose first unfenced replica leads, with all unfenced replicas in its ISR."""
    isr = [broker_id for broker_id in replicas if not context.image.brokers[broker_id].fenced]
    if not isr:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "All brokers specified in the manual partition assignment are fenced."
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


def elect(before: PartitionImage, broker_id: int) -> int | None:
    """Who leads a partition after a broker of it came back: its leader again, or the first one of a partition without any."""
    if before.leader in (-1, broker_id) and broker_id in before.isr:
        return broker_id
    return None
