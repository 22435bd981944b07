"""Breaking clusters with a clock: how long nothing is acknowledged, and what a thousand partitions cost.

Every record that was acknowledged is read again at the end; one that is missing ends the run.
"""

import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from broker.cli.cluster import Cluster as Connections
from broker.cli.failures import Failure
from broker.protocol.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse, PartitionData, TopicData
from brokers import Breakable, cpu_seconds
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from measurements import Figures

TIMEOUT_SECONDS = 120.0
RATE = 200
QUIET_SECONDS = 1.0
PARTITIONS_OF_GROWTH = 1000
IDLE_SECONDS = 10.0
NODES = (1, 2, 3)
T = TypeVar("T")


def controller_of(broker: Breakable) -> int:
    """The leader of the quorum, from whoever answers."""

    def ask() -> int:
        with Connections(broker.bootstrap_servers, "bench") as connections:
            topics = [TopicData(topic_name="__cluster_metadata", partitions=[PartitionData(partition_index=0)])]
            answer = connections.any().ask(DescribeQuorumRequest(topics=topics), DescribeQuorumResponse)
            return answer.topics[0].partitions[0].leader_id

    return wait_for(ask, lambda leader: leader > 0)


def wait_for(look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What `look` finds once it is good; what fails meanwhile is tried again."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            found = look()
            if good(found):
                return found
        except (KafkaException, Failure):
            pass
        time.sleep(0.05)
    raise TimeoutError("the cluster did not settle")


def create_led_by(broker: Breakable, topic: str, leader: int) -> None:
    """A topic of one partition whose preferred leader is a given broker."""
    replicas = [leader, *(node for node in NODES if node != leader)]
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(topic, 1, replica_assignment=[replicas])]).values():
        future.result()
    wait_for(lambda: state_of(broker, topic), lambda state: state[0] == leader and len(state[1]) == len(NODES))


def state_of(broker: Breakable, topic: str) -> tuple[int, list[int]]:
    """Leader and ISR of a topic's first partition."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    partition = admin.list_topics(topic, timeout=5).topics[topic].partitions[0]
    return partition.leader, list(partition.isrs)


class Stream:
    """A producer that sends single records at a steady rate and notes when each was acknowledged."""

    def __init__(self, broker: Breakable, topic: str) -> None:
        self.acknowledged: dict[bytes, float] = {}
        self.failures: list[KafkaError] = []
        self._topic = topic
        self._stop = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "log_level": 0,
                # Connected to all from the start. Otherwise a client that happens to know only the broker that stands still asks
                # it once more when its requests have timed out, and that takes another 10 s.
                "enable.sparse.connections": False,
                "topic.metadata.refresh.fast.interval.ms": 20,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 100,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        due = time.monotonic()
        while not self._stop.is_set():
            value = number.to_bytes(8, "big") + os.urandom(92)
            self._producer.produce(self._topic, value, partition=0, on_delivery=self._delivered)
            number += 1
            due += 1 / RATE
            self._producer.poll(max(0.0, due - time.monotonic()))
        if self._producer.flush(TIMEOUT_SECONDS):
            raise RuntimeError("records were left")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged[message.value() or b""] = time.monotonic()
        else:
            self.failures.append(error)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def silence_after(self, moment: float) -> float:
        """Seconds from a moment to the next acknowledgement."""
        later = [at for at in list(self.acknowledged.values()) if at > moment]
        return min(later) - moment if later else float("inf")


def count_again(broker: Breakable, topic: str, expected: dict[bytes, float]) -> None:
    """Every acknowledged record is there. RuntimeError when one is not."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "again", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_SECONDS)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: set[bytes] = set()
        position = 0
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while position < end:
            # Asked for more than there is, it waits out its time.
            messages = consumer.consume(1000, timeout=QUIET_SECONDS)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{broker.name}: only {position} of {end} offsets could be read")
            for message in messages:
                if message.error() is None:
                    found.add(message.value() or b"")
                    position = (message.offset() or 0) + 1
        lost = expected.keys() - found
        if lost:
            raise RuntimeError(f"{broker.name}: {len(lost)} of {len(expected)} acknowledged records are lost")
    finally:
        consumer.close()


def break_leader(broker: Breakable, topic: str, *, controller: bool, pause: bool = False) -> float:
    """Seconds without an acknowledgement after the leader was killed, or stopped."""
    active = controller_of(broker)
    victim = active if controller else next(node for node in NODES if node != active)
    create_led_by(broker, topic, victim)
    stream = Stream(broker, topic)
    try:
        wait_for(lambda: len(stream.acknowledged), lambda count: count > RATE)
        moment = time.monotonic()
        (broker.pause if pause else broker.kill)(victim)
        wait_for(lambda: stream.silence_after(moment), lambda silence: silence < TIMEOUT_SECONDS)
        time.sleep(QUIET_SECONDS)
    finally:
        stream.end()
        (broker.resume if pause else broker.start)(victim)
    if stream.failures:
        raise RuntimeError(f"{broker.name}: {len(stream.failures)} records failed: {stream.failures[0]}")
    wait_for(lambda: state_of(broker, topic), lambda state: len(state[1]) == len(NODES))
    count_again(broker, topic, stream.acknowledged)
    # What was acknowledged just before the kill may be told just after it; silence counts from the last of these.
    times = sorted(at for at in stream.acknowledged.values() if at > moment - 0.1)
    return max((b - a for a, b in pairwise(times)), default=float("inf"))


def growth(broker: Breakable, number: int) -> Figures:
    """A thousand partitions: made, idle, and a third of them moved."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    topic = f"growth-{number}"
    began = time.monotonic()
    for future in admin.create_topics([NewTopic(topic, PARTITIONS_OF_GROWTH, 3)], operation_timeout=60).values():
        future.result(TIMEOUT_SECONDS)

    def led(lacking: int = 0) -> bool:
        partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions.values()
        return len(partitions) == PARTITIONS_OF_GROWTH and all(p.leader > 0 and p.leader != lacking for p in partitions)

    wait_for(led, bool)
    created = time.monotonic() - began
    time.sleep(QUIET_SECONDS * 3)
    cpu = cpu_seconds(broker.pids)
    time.sleep(IDLE_SECONDS)
    idle = (cpu_seconds(broker.pids) - cpu) / IDLE_SECONDS / len(broker.pids) * 100
    active = controller_of(broker)
    victim = next(node for node in NODES if node != active)
    moment = time.monotonic()
    broker.kill(victim)
    wait_for(lambda: led(victim), bool)
    moved = time.monotonic() - moment
    broker.start(victim)
    return {
        "1,000 partitions created, s": created,
        "1,000 partitions, idle CPU of a broker, % of a core": idle,
        "a third of 1,000 partitions moved, s": moved,
    }
