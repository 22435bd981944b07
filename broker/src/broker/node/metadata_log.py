"""The settings of the metadata log, `__cluster_metadata`: time removes nothing from it, snapshots do (`raft`)."""

import uuid
from dataclasses import dataclass

from broker.config import BrokerConfig

METADATA_TOPIC_ID = uuid.UUID(int=1)


@dataclass
class MetadataLogConfig:
    """See `log.log_config`."""

    segment_bytes: int = 2**30
    segment_ms: int = 2**63 - 1
    segment_index_bytes: int = 10 * 2**20
    index_interval_bytes: int = 4096
    max_message_bytes: int = 2**31 - 1
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 2**63 - 1
    retention_ms: int = -1
    retention_bytes: int = -1
    file_delete_delay_ms: int = 60_000
    cleanup_policy: str = "delete"

    @classmethod
    def of(cls, config: BrokerConfig) -> "MetadataLogConfig":
        return cls(segment_bytes=config.value("metadata.log.segment.bytes"), segment_ms=config.value("metadata.log.segment.ms"))
