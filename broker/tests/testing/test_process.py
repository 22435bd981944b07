"""A broker in a process of its own: it finds everything again, and its disk is filled and has room again."""

from broker.cli.cluster import Cluster as Connections
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from broker.record.builder import build_batch
from broker.testing.disk import BLOCK_BYTES
from broker.testing.process import BrokerProcess
from broker.testing.topics import create_topic

TIMEOUT_MS = 30_000


def produce(broker: BrokerProcess, topic: str) -> tuple[int, int]:
    """Error code and offset of a record that does not fit into what is left of a block."""
    with Connections(broker.bootstrap_servers, "tests") as connections:
        topic_id = connections.metadata([topic]).topics[0].topic_id
        data = PartitionProduceData(index=0, records=build_batch([(None, bytes(2 * BLOCK_BYTES))], 0))
        told = TopicProduceData(name=topic, topic_id=topic_id, partition_data=[data])
        request = ProduceRequest(acks=-1, timeout_ms=TIMEOUT_MS, topic_data=[told])
        (answer,) = connections.any().ask(request, ProduceResponse).responses[0].partition_responses
    return answer.error_code, answer.base_offset


def test_a_second_start_finds_port_and_records() -> None:
    with BrokerProcess() as broker:
        topic, port = create_topic(broker.bootstrap_servers, "t", 1, {}), broker.port
        assert produce(broker, topic) == (ErrorCode.NONE, 0)
        broker.kill()
        assert not broker.running
        broker.start()
        assert broker.port == port
        assert produce(broker, topic) == (ErrorCode.NONE, 1)


def test_a_full_disk_refuses_what_is_written_until_there_is_room() -> None:
    with BrokerProcess() as broker:
        topic = create_topic(broker.bootstrap_servers, "t", 1, {"retention_ms": 60_000})
        broker.fill_disk()
        assert produce(broker, topic) == (ErrorCode.KAFKA_STORAGE_ERROR, -1)
        assert "No space left on device; what is written is refused" in broker.log_tail()
        broker.free_disk()
        assert produce(broker, topic) == (ErrorCode.NONE, 0)
