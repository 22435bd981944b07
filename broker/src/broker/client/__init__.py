"""The wire client: what the command line tools ask a cluster with, and what brokers ask each other with.

- `frames`            bytes into frames
- `exchange`          one connection without its socket: versions, correlation, order, deadlines
- `connection`        an `exchange` on the network and clock ports (the tools have a blocking one of their own, `cli.wire`)
- `retriable`         which errors go away by waiting
- `partitioner`       the partition of a key, as Kafka's clients choose it
- `consumer_protocol` subscriptions, assignments and the range assignor of a classic group

Not here: which broker to ask (`cli.cluster`), and retries.
"""
