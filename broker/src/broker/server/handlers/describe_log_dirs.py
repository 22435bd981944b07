"""DescribeLogDirs (API key 35), versions 1-5: sizes of the partitions on disk, and of the volume."""

from broker.protocol.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from broker.server.services import BrokerServices, RequestContext


def handle(request: DescribeLogDirsRequest, context: RequestContext, broker: BrokerServices) -> DescribeLogDirsResponse:
    wanted = None if request.topics is None else {(t.topic, index) for t in request.topics for index in t.partitions}
    topics: dict[str, DescribeLogDirsTopic] = {}
    for (name, index), partition in sorted(broker.replicas.partitions.items()):
        if wanted is None or (name, index) in wanted:
            topic = topics.setdefault(name, DescribeLogDirsTopic(name=name))
            topic.partitions.append(
                DescribeLogDirsPartition(partition_index=index, partition_size=partition.log.size_bytes, offset_lag=0)
            )
    total, usable = broker.logs.space()
    result = DescribeLogDirsResult(
        log_dir=broker.logs.directory, topics=list(topics.values()), total_bytes=total, usable_bytes=usable
    )
    return DescribeLogDirsResponse(results=[result])
