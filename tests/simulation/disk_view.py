"""What stands on a broker's disk, read from outside: Kafka's file format and nothing of the broker's own state.

Files are given as contents by path. A partition's records are read from its segments in order, up to the first batch that
is not whole, has a wrong checksum, or does not follow.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from broker.protocol import codec
from broker.protocol.errors import KafkaError
from broker.protocol.messages.group_records import OffsetCommitKey, OffsetCommitValue
from broker.protocol.types import uuid_from_base64
from broker.record.batch import crc_is_right, iter_batches
from broker.record.records import Record, iter_records

PARTITION_DIRECTORY = re.compile(r".+-[0-9]+")
IDENTITY = re.compile(r"version: 0\ntopic_id: ([A-Za-z0-9_-]{22})")
OFFSETS_TOPIC = "__consumer_offsets"
Key = tuple[UUID, int]


class Contents(NamedTuple):
    """The records of one partition by offset, and the offset behind the last batch."""

    topic: str
    start: int
    end: int
    records: dict[int, Record]


def read_partitions(files: Mapping[str, bytes], data: str) -> dict[Key, Contents]:
    """All partitions that have an id, by topic id and index; directories of other names (deleted ones) are left out."""
    found: dict[Key, Contents] = {}
    directories: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        parts = path.removeprefix(f"{data}/").split("/")
        if len(parts) == 2 and PARTITION_DIRECTORY.fullmatch(parts[0]):
            directories.setdefault(parts[0], {})[parts[1]] = content
    for directory, inside in sorted(directories.items()):
        topic, _, index = directory.rpartition("-")
        identity = IDENTITY.fullmatch(inside.get("partition.metadata", b"").decode(errors="replace").strip())
        if identity is not None:
            found[uuid_from_base64(identity[1]), int(index)] = _contents(topic, inside)
    return found


def _contents(topic: str, inside: Mapping[str, bytes]) -> Contents:
    segments = sorted((int(name[:-4]), content) for name, content in inside.items() if name.endswith(".log"))
    start = end = segments[0][0] if segments else 0
    records: dict[int, Record] = {}
    for base, content in segments:
        if base != end:
            break
        whole = 0
        # A torn tail may be anything: what reads as no batch is the end.
        with contextlib.suppress(KafkaError):
            for header, batch in iter_batches(content):
                if header.base_offset != end or not crc_is_right(batch, header):
                    break
                if not header.is_control:
                    records |= {record.offset: record for record in iter_records(batch, header)}
                end = header.next_offset
                whole += header.size
        if whole != len(content):
            break
    return Contents(topic, start, end, records)


def committed_offsets(partitions: Mapping[Key, Contents]) -> dict[tuple[str, str, int], int]:
    """The last committed offset by group, topic and partition."""
    found: dict[tuple[str, str, int], int] = {}
    for contents in partitions.values():
        if contents.topic != OFFSETS_TOPIC:
            continue
        for _, record in sorted(contents.records.items()):
            assert record.key is not None
            if record.key[:2] != b"\x00\x01":
                continue
            key = codec.decode(OffsetCommitKey, 0, record.key, 2)
            name = (key.group, key.topic, key.partition)
            if record.value is None:
                found.pop(name, None)
            else:
                version = int.from_bytes(record.value[:2], "big")
                found[name] = codec.decode(OffsetCommitValue, version, record.value, 2).offset
    return found


def checkpoint(files: Mapping[str, bytes], path: str) -> dict[tuple[str, int], int]:
    """The offsets in one of Kafka's checkpoint files; none when it is absent or incomplete."""
    lines = files.get(path, b"").decode().splitlines()[2:]
    return {(topic, int(index)): int(offset) for topic, index, offset in (line.split() for line in lines)}
