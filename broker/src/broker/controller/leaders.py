"""Decisions about leaders that are asked for, or due: ElectLeaders, unclean elections, giving preferred leaders back.

Source: ``ReplicationControlManager.electLeaders``, ``maybeElectUncleanLeaders``, ``maybeBalancePartitionLeaders``.
"""

from broker.controller.context import Context
from broker.controller.elections import Election, change_partition, is_active, partitions, topic_config
from broker.core import Result
from broker.metadata.image import NO_LEADER, TopicImage
from broker.metadata.topic_names import NAME_MAX
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Record
from broker.protocol.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

PREFERRED, UNCLEAN = 0, 1
# Preferred leaders given back at once; the rest follows at the next turn (``maxElectionsPerImbalance``).
BALANCED_MAX = 1000


def elect_leaders(request: ElectLeadersRequest, context: Context) -> Result[Record, ElectLeadersResponse]:
    """Elections for the named partitions, or for all that need one."""
    if request.election_type not in (PREFERRED, UNCLEAN):
        return Result(ElectLeadersResponse(error_code=ErrorCode.INVALID_REQUEST))
    records: list[Record] = []
    results: dict[str, ReplicaElectionResult] = {}
    for name, index in _wanted(request, context):
        result = PartitionResult(partition_id=index, error_message=None)
        try:
            records.append(_elect(name, index, request.election_type, context))
        except KafkaError as error:
            if error.code is ErrorCode.ELECTION_NOT_NEEDED and request.topic_partitions is None:
                continue
            result.error_code, result.error_message = error.code, error.message
        results.setdefault(name, ReplicaElectionResult(topic=name)).partition_result.append(result)
    return Result(ElectLeadersResponse(replica_election_results=list(results.values())), records)


def _wanted(request: ElectLeadersRequest, context: Context) -> list[tuple[str, int]]:
    if request.topic_partitions is None:
        return [(topic.name, index) for topic, index, _ in partitions(context)]
    named = [(topic.topic, index) for topic in request.topic_partitions for index in topic.partitions]
    return list(dict.fromkeys(named))


def refuse_elections(request: ElectLeadersRequest, error: KafkaError) -> ElectLeadersResponse:
    """Said of the whole and of each partition: the first version has no error of the whole."""
    results = [
        ReplicaElectionResult(
            topic=topic.topic,
            partition_result=[
                PartitionResult(partition_id=index, error_code=error.code, error_message=error.message)
                for index in topic.partitions
            ],
        )
        for topic in request.topic_partitions or ()
    ]
    return ElectLeadersResponse(error_code=error.code, replica_election_results=results)


def _elect(name: str, index: int, election_type: int, context: Context) -> Record:
    topic = context.image.topics.get(name)
    partition = topic.partitions.get(index) if topic is not None else None
    if topic is None or partition is None:
        # No name that exists is longer; one that is would not fit into an answer of the first versions.
        what = f"topic as {name[:NAME_MAX]}" if topic is None else f"partition as {name}-{index}"
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such {what}")
    preferred = election_type == PREFERRED
    if (partition.leader == partition.replicas[0]) if preferred else (partition.leader != NO_LEADER):
        raise KafkaError(ErrorCode.ELECTION_NOT_NEEDED, "The leader is the right one already.")
    record = _change(topic, index, Election.PREFERRED if preferred else Election.UNCLEAN, context)
    if record is None:
        raise KafkaError(
            ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE if preferred else ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
            "No replica that may lead is available.",
        )
    return record


def _change(topic: TopicImage, index: int, election: Election, context: Context) -> Record | None:
    return change_partition(context, topic, index, lambda replica: is_active(context, replica), election=election)


def elect_unclean(context: Context) -> list[Record]:
    """Leaders for partitions without one, where their topic allows anybody (unclean.leader.election.enable)."""
    records: list[Record] = []
    for topic, index, partition in partitions(context):
        if partition.leader == NO_LEADER and topic_config(context, topic.name).unclean_leader_election_enable:
            record = _change(topic, index, Election.UNCLEAN, context)
            if record is not None:
                records.append(record)
    return records


def balance(context: Context) -> list[Record]:
    """Give preferred leaders back that are in the ISR again (auto.leader.rebalance.enable)."""
    records: list[Record] = []
    for topic, index, partition in partitions(context):
        preferred = partition.replicas[0]
        if partition.leader != preferred and preferred in partition.isr and is_active(context, preferred):
            record = _change(topic, index, Election.PREFERRED, context)
            if record is not None:
                records.append(record)
        if len(records) >= BALANCED_MAX:
            break
    return records
