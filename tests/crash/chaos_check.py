"""What must hold of a cluster when the faults are over: the ledger against the records, the group, and the three directories.

Owns: the checks and their words; each gives a list of what is wrong. Leaves out: the load (`chaos_load`).
"""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from broker.record.batch import HEADER_SIZE, read_header
from broker.testing.cluster import Cluster
from confluent_kafka import Consumer, TopicPartition
from crash.chaos_load import GROUP, PARTITIONS, TOPIC, Load, read_value

READ_TIMEOUT_SECONDS = 120.0
HIGH_WATERMARKS = "replication-offset-checkpoint"
SHOWN = 10
Logs = dict[str, dict[int, bytes]]


def everything(bootstrap_servers: str) -> list[dict[int, int]]:
    """Offset -> number of every record of each partition, as a reader finds them who begins at 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False})
    partitions = [TopicPartition(TOPIC, index, 0) for index in range(PARTITIONS)]
    ends = [consumer.get_watermark_offsets(one, 30)[1] for one in partitions]
    consumer.assign(partitions)
    found: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    while sum(map(len, found)) < sum(ends):
        assert time.monotonic() < deadline, f"{list(map(len, found))} of {ends} records were read"
        for message in consumer.consume(5000, 0.2):
            assert message.error() is None, message.error()
            partition, number = read_value(message)
            found[partition][int(message.offset() or 0)] = number
    consumer.close()
    return found


def record_problems(load: Load, found: Sequence[dict[int, int]]) -> list[str]:
    """Every acknowledged record is there exactly once, in order, at the offset that was told."""
    problems = []
    for partition, at in enumerate(found):
        if sorted(at) != list(range(len(at))):
            problems.append(f"partition {partition}: offsets have gaps")
        numbers = [at[offset] for offset in sorted(at)]
        lost = sorted(load.acknowledged[partition].keys() - set(numbers))
        if lost:
            problems.append(f"partition {partition}: {len(lost)} acknowledged records are lost: {lost[:SHOWN]}")
        if len(set(numbers)) != len(numbers):
            twice = sorted({number for number in numbers if numbers.count(number) > 1})[:SHOWN]
            problems.append(f"partition {partition}: {len(numbers) - len(set(numbers))} records are there twice: {twice}")
        bad = [later for earlier, later in itertools.pairwise(numbers) if later < earlier]
        if bad:
            problems.append(f"partition {partition}: out of order at {bad[:SHOWN]}")
        elsewhere = [one for one, offset in load.acknowledged[partition].items() if offset >= 0 and at.get(offset) != one]
        if elsewhere:
            problems.append(f"partition {partition}: {len(elsewhere)} are not at the offset acknowledged: {elsewhere[:SHOWN]}")
        if load.read[partition] != at:
            problems.append(f"partition {partition}: the group read {len(load.read[partition])} of {len(at)} records, or others")
    return problems


def lags(bootstrap_servers: str) -> list[int]:
    """How far the group's commits are behind the end of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": GROUP})
    try:
        committed = consumer.committed([TopicPartition(TOPIC, index) for index in range(PARTITIONS)], 30)
        return [consumer.get_watermark_offsets(one, 30)[1] - max(one.offset, 0) for one in committed]
    finally:
        consumer.close()


# The directories, after all brokers were stopped.


def batches(directory: Path) -> dict[int, bytes]:
    """Base offset -> the bytes of each batch of one partition's directory."""
    found: dict[int, bytes] = {}
    for path in sorted(directory.glob("*.log")):
        data, position = path.read_bytes(), 0
        while position + HEADER_SIZE <= len(data):
            header = read_header(data, position)
            assert header.base_offset not in found, f"{path}: two batches at {header.base_offset}"
            found[header.base_offset] = data[position : position + header.size]
            position += header.size
        assert position == len(data), f"{path}: {len(data) - position} bytes after the last batch"
    return found


def high_watermarks(data: Path) -> dict[str, int]:
    """Partition directory -> high watermark."""
    lines = (data / HIGH_WATERMARKS).read_text().splitlines()[2:]
    return {f"{topic}-{index}": int(offset) for topic, index, offset in (line.split(" ") for line in lines)}


def high_watermark_problems(cluster: Cluster, found: Sequence[dict[int, int]]) -> list[str]:
    """All records are below the high watermark that each replica has noted."""
    marks = [high_watermarks(cluster.brokers[one].data) for one in cluster.ids]
    ends = {f"{TOPIC}-{index}": len(records) for index, records in enumerate(found)}
    noted = {name: [one.get(name) for one in marks] for name in ends}
    return [f"{name}: high watermarks {noted[name]}, records {end}" for name, end in ends.items() if set(noted[name]) != {end}]


def directory_problems(cluster: Cluster) -> list[str]:
    """Below the smallest high watermark the three logs of each partition are the same bytes."""
    marks = {one: high_watermarks(cluster.brokers[one].data) for one in cluster.ids}
    names = sorted(marks[cluster.ids[0]])
    if any(sorted(one) != names for one in marks.values()):
        return [f"the directories hold different partitions: {[sorted(one) for one in marks.values()]}"]
    problems = []
    for name in names:
        mark = min(one[name] for one in marks.values())
        logs = {one: batches(cluster.brokers[one].data / name) for one in cluster.ids}
        below = {one: {offset: data for offset, data in log.items() if offset < mark} for one, log in logs.items()}
        first = below[cluster.ids[0]]
        for one in cluster.ids[1:]:
            if below[one] != first:
                differ = sorted(at for at in below[one].keys() | first.keys() if below[one].get(at) != first.get(at))
                problems.append(f"{name}: brokers {cluster.ids[0]} and {one} differ below {mark} at {differ[:SHOWN]}")
    return problems
