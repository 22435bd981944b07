"""The names of a partition's files. Source: ``LogFileUtils``."""

LOG = ".log"
OFFSET_INDEX = ".index"
TIME_INDEX = ".timeindex"
TXN_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"
DELETED = ".deleted"
SEGMENT_SUFFIXES = (LOG, OFFSET_INDEX, TIME_INDEX)
INDEX_SUFFIXES = (OFFSET_INDEX, TIME_INDEX, TXN_INDEX)
# Left by a crash in the middle of something, and worth nothing.
LEFTOVER_SUFFIXES = (DELETED, ".tmp", ".cleaned")
# Left by a crash of Kafka's own compaction: the only copy of its segment.
SWAP = ".swap"
LEADER_EPOCHS = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"
# Directories of partitions that are no longer part of the log: deleted by the cluster, and unknown to it.
DELETE_DIRECTORY, STRAY_DIRECTORY = "-delete", "-stray"
NAME_BYTES_MAX = 255
OFFSET_DIGITS = 20


def segment_path(directory: str, base_offset: int, suffix: str) -> str:
    return f"{directory}/{base_offset:0{OFFSET_DIGITS}d}{suffix}"


def offset_in_name(name: str, suffix: str) -> int | None:
    """The offset in the name of such a file; None when it is another file."""
    stem = name.removesuffix(suffix)
    return int(stem) if name.endswith(suffix) and len(stem) == OFFSET_DIGITS and stem.isdigit() else None


def partition_in_name(name: str) -> tuple[str, int] | None:
    """Topic and partition of a partition's directory; None when it is another one."""
    topic, separator, number = name.rpartition("-")
    return (topic, int(number)) if separator and topic and number.isdigit() else None


def set_aside_name(topic: str, partition: int, unique: str, suffix: str) -> str:
    """Where a partition's directory goes: `topic-0.<unique>-delete`, its topic cut to what a file system takes."""
    rest = f"-{partition}.{unique}{suffix}"
    return topic[: NAME_BYTES_MAX - len(rest)] + rest
