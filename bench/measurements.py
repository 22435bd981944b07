"""What is measured, one function each; every function takes a running broker and returns named figures.

The client is confluent-kafka (librdkafka) on both sides, so the differences are the broker's. Values are random and not
compressed. Everything produced is counted again by the consumer.
"""

import os
import threading
import time
from collections.abc import Callable

from brokers import Broker, cpu_seconds, resident_mb
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

Figures = dict[str, float]
PARTITIONS = 3
RUN = 1000  # records in a row per partition
TIMEOUT_SECONDS = 120.0
SINGLE_RATE, SINGLE_BYTES = 250, 100
IDLE_SETTLE_SECONDS = 2.0


def first_record(broker: Broker) -> Figures:
    """Seconds from the start of the process to the first acknowledged record, with a client that retries quickly."""
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "acks": "all",
            "linger.ms": 0,
            "reconnect.backoff.ms": 5,
            "reconnect.backoff.max.ms": 20,
            "retry.backoff.ms": 5,
            "retry.backoff.max.ms": 20,
            "topic.metadata.refresh.fast.interval.ms": 10,
            "log_level": 0,
        }
    )
    failures: list[KafkaError] = []
    producer.produce("first", b"x", on_delivery=lambda error, _: failures.append(error) if error else None)
    if producer.flush(TIMEOUT_SECONDS) or failures:
        raise RuntimeError(f"{broker.name}: no record was acknowledged: {failures}")
    return {"start to first acknowledged record, s": time.monotonic() - broker.started_at}


def idle_memory(broker: Broker) -> Figures:
    time.sleep(IDLE_SETTLE_SECONDS)
    return {"memory idle, MB": resident_mb(broker.pids) / len(broker.pids)}


def memory_after_load(broker: Broker) -> Figures:
    return {"memory after load, MB": resident_mb(broker.pids) / len(broker.pids)}


def produce(broker: Broker, topic: str, record_bytes: int, total_bytes: int) -> Figures:
    """Throughput with 128 kB batches, acks=all, 1,000 records in a row per partition."""
    create_topic(broker, topic)
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "acks": "all",
            "linger.ms": 5,
            "batch.size": 131072,
            "batch.num.messages": 100000,
            "queue.buffering.max.messages": 500000,
            "queue.buffering.max.kbytes": 262144,
        }
    )
    count = total_bytes // record_bytes
    values = [os.urandom(record_bytes) for _ in range(64)]
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    cpu, began = cpu_seconds(broker.pids), time.monotonic()
    for index in range(count):
        while True:
            try:
                producer.produce(topic, values[index & 63], partition=index // RUN % PARTITIONS, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.01)
        if not index % RUN:
            producer.poll(0)
    left = producer.flush(TIMEOUT_SECONDS)
    seconds, used = time.monotonic() - began, cpu_seconds(broker.pids) - cpu
    if left or failures:
        raise RuntimeError(f"{broker.name}: {left} records left, {len(failures)} failed: {failures[:3]}")
    size = "1 kB" if record_bytes == 1000 else f"{record_bytes} B"
    gigabytes = count * record_bytes / 1e9
    return {f"produce {size}, MB/s": gigabytes * 1000 / seconds, f"produce {size}, CPU-s per GB": used / gigabytes}


def consume(broker: Broker, topic: str, expected: int, record_bytes: int) -> Figures:
    """Throughput from offset 0 by manual assignment; every record is counted."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 262144,
            "max.partition.fetch.bytes": 4 * 1024 * 1024,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
        }
    )
    cpu, began = cpu_seconds(broker.pids), time.monotonic()
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    seen = 0
    while seen < expected:
        messages = consumer.consume(10000, timeout=10)
        if not messages:
            raise RuntimeError(f"{broker.name}: only {seen} of {expected} records came back")
        seen += len(messages)
    seconds, used = time.monotonic() - began, cpu_seconds(broker.pids) - cpu
    consumer.close()
    gigabytes = expected * record_bytes / 1e9
    return {"consume 1 kB, MB/s": gigabytes * 1000 / seconds, "consume 1 kB, CPU-s per GB": used / gigabytes}


def single_records(broker: Broker, topic: str, seconds: float) -> Figures:
    """One record at a time, 250 a second: acknowledged, and produced to consumed."""
    create_topic(broker, topic)
    received: dict[bytes, float] = {}
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=_receive, args=(broker, topic, received, stop, ready), daemon=True)
    thread.start()
    ready.wait(TIMEOUT_SECONDS)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "linger.ms": 0})
    sent: dict[bytes, float] = {}
    acknowledged: list[float] = []
    due = time.monotonic()
    for index in range(int(seconds * SINGLE_RATE)):
        due += 1 / SINGLE_RATE
        value = index.to_bytes(8, "big") + os.urandom(SINGLE_BYTES - 8)
        sent[value] = began = time.monotonic()
        done: list[KafkaError | None] = []
        producer.produce(topic, value, partition=index % PARTITIONS, on_delivery=lambda error, _, done=done: done.append(error))
        while not done:
            producer.poll(1)
        if done[0] is not None:
            raise KafkaException(done[0])
        acknowledged.append((time.monotonic() - began) * 1000)
        time.sleep(max(0.0, due - time.monotonic()))
    deadline = time.monotonic() + 10
    while len(received) < len(sent) and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join()
    if len(received) < len(sent):
        raise RuntimeError(f"{broker.name}: {len(sent) - len(received)} single records were not consumed")
    consumed = [(received[value] - began) * 1000 for value, began in sent.items()]
    # The first second warms connections up.
    acknowledged, consumed = acknowledged[SINGLE_RATE:], consumed[SINGLE_RATE:]
    return {
        "acknowledged p50, ms": percentile(acknowledged, 0.5),
        "acknowledged p99, ms": percentile(acknowledged, 0.99),
        "produced to consumed p50, ms": percentile(consumed, 0.5),
        "produced to consumed p99, ms": percentile(consumed, 0.99),
    }


def _receive(broker: Broker, topic: str, received: dict[bytes, float], stop: threading.Event, ready: threading.Event) -> None:
    settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "bench-single", "enable.auto.commit": False}
    consumer = Consumer({**settings, "fetch.wait.max.ms": 500, "fetch.min.bytes": 1})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    consumer.poll(1)
    ready.set()
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            received[message.value() or b""] = time.monotonic()
    consumer.close()


def create_topic(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, broker.replication_factor)]).values():
        future.result()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


Measure = Callable[[Broker], Figures]
