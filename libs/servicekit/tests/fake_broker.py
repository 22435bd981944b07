"""A broker in a list, and producers that behave as confluent-kafka's: reports come in `poll`, purged records get an error."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

Report = Callable[[KafkaError | None, Any], None]


@dataclass(frozen=True)
class Sent:
    """One record as the broker took it."""

    topic: str
    key: str
    value: bytes


@dataclass
class FakeBroker:
    """`refuse`: the error for a record, None to take it. `silent`: records are taken and nobody hears of it."""

    log: list[Sent] = field(default_factory=list)
    refuse: Callable[[Sent], KafkaError | None] = lambda sent: None
    silent: bool = False
    producers: list["FakeProducer"] = field(default_factory=list)

    def make_producer(self) -> "FakeProducer":
        self.producers.append(FakeProducer(self))
        return self.producers[-1]

    def values(self, key: str) -> list[str]:
        return [sent.value.decode() for sent in self.log if sent.key == key]


class FakeProducer:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._waiting: list[tuple[Sent, Report]] = []
        self.purged = False

    def produce(self, topic: str, *, key: bytes, value: bytes, on_delivery: Report) -> None:
        assert not self.purged, "a producer that was thrown away is used"
        self._waiting.append((Sent(topic, key.decode(), value), on_delivery))

    def poll(self, timeout: float) -> int:
        waiting, self._waiting = self._waiting, []
        for sent, report in waiting:
            error = self._broker.refuse(sent)
            if error is None:
                self._broker.log.append(sent)
            if not self._broker.silent:
                report(error, None)
        return len(waiting)

    def purge(self) -> None:
        self.purged = True
        for _, report in self._waiting:
            report(KafkaError(KafkaError._PURGE_QUEUE), None)
        self._waiting.clear()

    def flush(self, timeout: float) -> int:
        return 0
