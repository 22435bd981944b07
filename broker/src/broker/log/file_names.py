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
OFFSET_DIGITS = 20


def segment_path(directory: str, base_offset: int, suffix: str) -> str:
    return f"{directory}/{base_offset:0{OFFSET_DIGITS}d}{suffix}"


def offset_in_name(name: str, suffix: str) -> int | None:
    """The offset in the name of such a file; None when it is another file."""
    stem = name.removesuffix(suffix)
    return int(stem) if name.endswith(suffix) and len(stem) == OFFSET_DIGITS and stem.isdigit() else None
