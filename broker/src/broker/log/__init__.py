"""Bytes on disk: a partition's log in Kafka's file format, its indexes, producer state, recovery and retention."""
