"""The settings a log obeys: those of a topic (`config.TopicConfig`), or those of the metadata log."""

from typing import Protocol


class LogConfig(Protocol):
    """Times in milliseconds, sizes in bytes; -1 is no bound of retention."""

    segment_bytes: int
    segment_ms: int
    segment_index_bytes: int
    index_interval_bytes: int
    max_message_bytes: int
    message_timestamp_type: str
    message_timestamp_before_max_ms: int
    message_timestamp_after_max_ms: int
    retention_ms: int
    retention_bytes: int
    file_delete_delay_ms: int
    cleanup_policy: str
