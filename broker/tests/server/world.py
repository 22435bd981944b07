"""A whole broker without sockets: the real parts on a virtual clock and a disk in memory, asked through its handlers.

`Node.ask` is what a connection does after decoding and before encoding; every answer is encoded and decoded once, so that a
test also sees what the version of the request can say.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from broker.clock.randomness import Randomness
from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.network.port import ProtocolFactory
from broker.node.broker import Broker, World
from broker.protocol import codec
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request, Response
from broker.protocol.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from broker.record.builder import build_batch
from broker.record.records import Record
from broker.replication.partition import Partition
from broker.server.api_table import BY_KEY
from broker.server.services import DEFERRED, NO_RESPONSE, RequestContext
from broker.storage.simulated import SimulatedStorage

SETTINGS = {
    "listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
    "advertised.listeners": "PLAINTEXT://broker.example:9092",
    "controller.quorum.voters": "1@127.0.0.1:9093",
    "log.dirs": "/data",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "5",
}
START_MS = 60_000
R = TypeVar("R", bound=Response)


@dataclass
class Listening:
    """A listener that nobody can reach."""

    host: str
    port: int

    def accept(self) -> None: ...

    def close(self) -> None: ...


class NoNetwork:
    """Addresses are taken, nothing comes."""

    def listen(self, host: str, port: int, protocol_factory: ProtocolFactory) -> Listening:
        return Listening(host, port)

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        raise AssertionError("nobody connects in these tests")


@dataclass
class Asked:
    """A request that may be answered later."""

    context: RequestContext
    answers: list[Response]
    silent: bool = False


class Node:
    """One started broker."""

    def __init__(self, **overrides: str) -> None:
        self.clock = SimulatedClock()
        settings = SETTINGS | {name.replace("_", "."): value for name, value in overrides.items()}
        self.config = BrokerConfig(SHIPPED | settings)
        self.fatal: list[str] = []
        world = World(self.clock, Randomness(1), SimulatedStorage(self.clock), NoNetwork())
        self.broker = Broker(self.config, world, self.fatal.append)
        ready: list[bool] = []
        self.broker.start(lambda: ready.append(True))
        self.until(lambda: bool(ready))

    @property
    def services(self) -> Any:
        return self.broker.services

    def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass until something holds."""
        deadline = self.clock.now_ms + START_MS
        while not holds():
            assert self.clock.now_ms <= deadline, "it does not happen"
            assert self.clock.step(), "nothing will ever happen"

    def pass_time(self, milliseconds: int) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def stop(self) -> None:
        stopped: list[bool] = []
        self.broker.stop(lambda: stopped.append(True))
        self.until(lambda: bool(stopped))

    # Asking.

    def send(
        self,
        request: Request,
        version: int | None = None,
        *,
        listener: str = "PLAINTEXT",
        client_id: str = "test",
        peers: list[int] | None = None,
    ) -> Asked:
        """Hand a request to its handler as a connection would; the answer may come later. `peers`: nodes that made themselves
        known by it."""
        api = BY_KEY[request.API_KEY]
        chosen = api.last if version is None else version
        answers: list[Response] = []

        def answer(response: Response) -> None:
            encoded = b"".join(codec.encode(response, chosen))
            answers.append(codec.decode(type(response), chosen, encoded))

        known = peers if peers is not None else []
        asked = Asked(RequestContext(chosen, client_id, "127.0.0.1", listener, answer, is_peer=known.append), answers)
        data = b"".join(codec.encode(request, chosen))
        reply = api.handler(codec.decode(type(request), chosen, data), asked.context, self.services)
        if reply is NO_RESPONSE:
            asked.silent = True
        elif reply is not DEFERRED:
            answer(reply)
        return asked

    def ask(self, request: Request, version: int | None = None, *, listener: str = "PLAINTEXT", client_id: str = "test") -> Any:
        """Send a request and wait for its answer."""
        asked = self.send(request, version, listener=listener, client_id=client_id)
        self.until(lambda: bool(asked.answers))
        assert len(asked.answers) == 1
        return asked.answers[0]

    # What most tests need.

    def topic(self, name: str, partitions: int = 1, **configs: str) -> str:
        settings = [CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()]
        topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=settings)
        response: CreateTopicsResponse = self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000))
        assert response.topics[0].error_code == ErrorCode.NONE, response
        return name

    def topic_id(self, name: str) -> Any:
        return self.services.metadata.image.topics[name].topic_id

    def partition(self, name: str, index: int = 0) -> Partition:
        found = self.services.replicas.find(name, index)
        assert isinstance(found, Partition)
        return found

    def produce(self, topic: str, *values: bytes, index: int = 0, timestamp: int = 1000) -> int:
        """Append one batch; its base offset."""
        answer = self.produce_batch(topic, batch(*values, timestamp=timestamp), index=index)
        assert answer.error_code == ErrorCode.NONE, answer
        return int(answer.base_offset)

    def produce_batch(self, topic: str, records: bytes | None, *, index: int = 0, acks: int = -1, version: int = 12) -> Any:
        response: ProduceResponse = self.ask(produce_request(topic, records, index=index, acks=acks), version)
        return response.responses[0].partition_responses[0]


def batch(*values: bytes, timestamp: int = 1000, **options: Any) -> bytes:
    return build_batch([Record(0, timestamp + number, b"k", value) for number, value in enumerate(values or (b"v",))], **options)


def produce_request(topic: str, records: bytes | None, *, index: int = 0, acks: int = -1) -> ProduceRequest:
    data = PartitionProduceData(index=index, records=records)
    return ProduceRequest(acks=acks, timeout_ms=1000, topic_data=[TopicProduceData(name=topic, partition_data=[data])])


def codes(items: Sequence[Any]) -> list[str]:
    """The names of error codes, in order."""
    return [ErrorCode(item.error_code).name for item in items]


@contextmanager
def running(**overrides: str) -> Iterator[Node]:
    node = Node(**overrides)
    yield node
    assert node.fatal == []
