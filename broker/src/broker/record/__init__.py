"""One record batch: header, checksum, compression, records. Only format version 2, the one that Kafka 4 writes."""
