"""The judge of data directories: it finds every kind of planted damage, and nothing in what Apache Kafka and ours write."""

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broker.testing import BrokerProcess
from peers.apache_kafka import ApacheKafka

from .dump_log import dump_log_problems, record_counts

pytestmark = [pytest.mark.usefixtures("kafka_jars"), pytest.mark.timeout(300)]
# The smallest segments that both brokers allow, so that a partition has several.
OVERRIDES = {"offsets.topic.num.partitions": "1", "log.segment.bytes": "1048576"}
RECORDS = 3600
VALUE = bytes(1000)
PARTITION = "alpha-0"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
Damage = Callable[[Path], None]


def fill(bootstrap_servers: str) -> None:
    """A topic with several segments of idempotent batches, one topic per codec, and a group with offsets."""
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    topics = [NewTopic("alpha", 1, 1), *(NewTopic(f"codec-{codec}", 1, 1) for codec in CODECS)]
    for future in admin.create_topics(topics).values():
        future.result(30)
    for codec in CODECS:
        settings = {"compression.type": codec, "acks": "all", "enable.idempotence": codec != "none"}
        producer = Producer({"bootstrap.servers": bootstrap_servers, **settings})
        producer.produce(f"codec-{codec}", VALUE, b"key", headers={"h": b"1"})
        producer.flush(60)
    # Batches much smaller than a segment and larger than the index interval.
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "batch.num.messages": 20})
    for number in range(RECORDS):
        producer.produce("alpha", VALUE, b"%d" % number, timestamp=1_700_000_000_000 + number)
        if number % 20 == 19:
            assert producer.flush(60) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["alpha"])
    while consumer.poll(30) is None:
        pass
    consumer.commit(asynchronous=False)
    consumer.close()


@pytest.fixture(scope="module")
def written(kafka_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that Apache Kafka wrote and closed."""
    with ApacheKafka(overrides=OVERRIDES) as kafka:
        fill(kafka.bootstrap_servers)
        kafka.stop(1)
        target = tmp_path_factory.mktemp("apache-kafka") / "data"
        shutil.copytree(kafka.data_directory(), target)
    return target


@pytest.fixture(scope="module")
def ours(kafka_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that our broker wrote and closed."""
    home = tmp_path_factory.mktemp("ours")
    with BrokerProcess(overrides=OVERRIDES, directory=home) as broker:
        fill(broker.bootstrap_servers)
    yield broker.data
    shutil.rmtree(home)


def expected_counts() -> dict[tuple[str, int], int]:
    return {("alpha", 0): RECORDS, **{(f"codec-{codec}", 0): 1 for codec in CODECS}}


def test_what_apache_kafka_wrote_is_clean(written: Path) -> None:
    assert len(list((written / PARTITION).glob("*.log"))) > 2
    assert dump_log_problems(written) == []


def test_what_our_broker_wrote_is_clean(ours: Path) -> None:
    assert len(list((ours / PARTITION).glob("*.log"))) > 2
    assert dump_log_problems(ours) == []


def test_what_our_broker_wrote_before_it_was_killed_is_clean(kafka_jars: str, tmp_path: Path) -> None:
    """At once, not after a restart has mended it: everything acknowledged is there, and every index is right."""
    broker = BrokerProcess(overrides=OVERRIDES, directory=tmp_path).start()
    fill(broker.bootstrap_servers)
    broker.kill()
    assert dump_log_problems(broker.data) == []
    assert expected_counts().items() <= record_counts(broker.data).items()


@pytest.mark.parametrize("maker", ["written", "ours"])
def test_records_are_counted(maker: str, request: pytest.FixtureRequest) -> None:
    counts = record_counts(request.getfixturevalue(maker))
    assert expected_counts().items() <= counts.items()
    assert counts["__consumer_offsets", 0] > 0
    assert counts["__cluster_metadata", 0] > 0


def first(directory: Path, pattern: str, number: int = 0) -> Path:
    return sorted((directory / PARTITION).glob(pattern))[number]


def patch(path: Path, position: int, data: bytes) -> None:
    """Write over some bytes; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    start = position if position >= 0 else len(content) + position
    assert 0 <= start <= len(content) - len(data)
    assert content[start : start + len(data)] != data, "this would change nothing"
    content[start : start + len(data)] = data
    path.write_bytes(content)


def flip_record_byte(directory: Path) -> None:
    log = first(directory, "*.log")
    patch(log, 500, bytes([log.read_bytes()[500] ^ 0x20]))


def flip_byte_of_the_last_batch(directory: Path) -> None:
    log = first(directory, "*.log", -1)
    patch(log, -1, bytes([log.read_bytes()[-1] ^ 1]))


def cut_the_tail(directory: Path) -> None:
    log = first(directory, "*.log", -1)
    log.write_bytes(log.read_bytes()[:-7])


def append_zeros(directory: Path) -> None:
    log = first(directory, "*.log", -1)
    log.write_bytes(log.read_bytes() + bytes(100))


def lose_a_batch(directory: Path) -> None:
    log = first(directory, "*.log")
    data = log.read_bytes()
    size = 12 + int.from_bytes(data[8:12], "big")
    second = size + 12 + int.from_bytes(data[size + 8 : size + 12], "big")
    log.write_bytes(data[:size] + data[second:])
    for name in ("*.index", "*.timeindex"):
        first(directory, name).write_bytes(b"")


def double_a_segment(directory: Path) -> None:
    for path in sorted((directory / PARTITION).glob("00000000000000000000.*")):
        shutil.copy(path, path.with_name(path.name.replace("0000.", "0010.", 1)))


def lie_about_the_count(directory: Path) -> None:
    """A batch with one record less than it declares and a right checksum."""
    from broker.record.batch import checksum, pack_header, read_header

    log = first(directory, "*.log", -1)
    data = log.read_bytes()
    header = read_header(data)
    lying = header._replace(records_count=header.records_count - 1)
    batch = pack_header(lying) + data[61 : header.size]
    log.write_bytes(pack_header(lying._replace(crc=checksum(batch))) + data[61:])


def break_index_offset(directory: Path) -> None:
    index = first(directory, "*.index")
    offset, position = struct.unpack(">ii", index.read_bytes()[8:16])
    patch(index, 8, struct.pack(">ii", offset + 1, position))


def break_index_position(directory: Path) -> None:
    index = first(directory, "*.index")
    offset, position = struct.unpack(">ii", index.read_bytes()[8:16])
    patch(index, 8, struct.pack(">ii", offset, position + 1))


def point_the_index_beyond_the_log(directory: Path) -> None:
    index = first(directory, "*.index")
    offset, _ = struct.unpack(">ii", index.read_bytes()[-8:])
    patch(index, -8, struct.pack(">ii", offset, 2**30))


def empty_an_index_entry(directory: Path) -> None:
    """The tool stops there and says nothing."""
    patch(first(directory, "*.index"), 8, bytes(8))


def cut_the_index(directory: Path) -> None:
    index = first(directory, "*.index")
    index.write_bytes(index.read_bytes()[:-3])


def turn_time_back(directory: Path) -> None:
    index = first(directory, "*.timeindex")
    data = index.read_bytes()
    index.write_bytes(data[:12] + data[24:36] + data[12:24] + data[36:])


def break_a_time(directory: Path) -> None:
    index = first(directory, "*.timeindex")
    timestamp, offset = struct.unpack(">qi", index.read_bytes()[:12])
    patch(index, 0, struct.pack(">qi", timestamp - 1, offset))


def break_an_offset_of_the_time_index(directory: Path) -> None:
    index = first(directory, "*.timeindex")
    timestamp, offset = struct.unpack(">qi", index.read_bytes()[:12])
    patch(index, 0, struct.pack(">qi", timestamp, offset - 1))


def break_the_producer_snapshot(directory: Path) -> None:
    snapshot = first(directory, "*.snapshot", -1)
    patch(snapshot, -1, bytes([snapshot.read_bytes()[-1] ^ 1]))


def cut_the_producer_snapshot(directory: Path) -> None:
    snapshot = first(directory, "*.snapshot", -1)
    snapshot.write_bytes(snapshot.read_bytes()[:-1])


def break_the_epochs(directory: Path) -> None:
    (directory / PARTITION / "leader-epoch-checkpoint").write_text("0\n1\n5 0\n")


def disorder_the_epochs(directory: Path) -> None:
    (directory / PARTITION / "leader-epoch-checkpoint").write_text("0\n2\n0 0\n0 9999\n")


def miscount_the_epochs(directory: Path) -> None:
    (directory / PARTITION / "leader-epoch-checkpoint").write_text("0\n2\n0 0\n")


def lose_the_epochs(directory: Path) -> None:
    (directory / PARTITION / "leader-epoch-checkpoint").unlink()


def break_a_metadata_record(directory: Path) -> None:
    """The number of a record that does not exist, with a right checksum."""
    from broker.record.batch import check_crc, checksum, iter_batches, pack_header

    log = directory / "__cluster_metadata-0" / "00000000000000000000.log"
    data = bytearray(log.read_bytes())
    position = 0
    for header, batch in iter_batches(bytes(data)):
        name = bytes(batch).find(b"\x01\x02\x00\x06alpha")
        if name >= 0:
            changed = bytearray(batch)
            changed[name + 1] = 99
            changed[:61] = pack_header(header._replace(crc=checksum(changed)))
            check_crc(changed, header._replace(crc=checksum(changed)))
            data[position : position + header.size] = changed
            break
        position += header.size
    else:
        pytest.fail("the topic's record is not there")
    log.write_bytes(data)


DAMAGES: list[tuple[Damage, str]] = [
    (flip_record_byte, "isvalid: false"),
    (flip_byte_of_the_last_batch, "isvalid: false"),
    (cut_the_tail, "invalid bytes at the end"),
    (append_zeros, "dump-log ended with"),
    (lose_a_batch, "is followed by"),
    (double_a_segment, "segment before it ends"),
    (lie_about_the_count, "dump-log ended with"),
    (break_index_offset, "Mismatches in"),
    (break_index_position, "dump-log ended with"),
    (point_the_index_beyond_the_log, "dump-log ended with"),
    (empty_an_index_entry, "does not ascend"),
    (cut_the_index, "no whole number of entries"),
    (turn_time_back, "out of order"),
    (break_a_time, "timestamp mismatch"),
    (break_an_offset_of_the_time_index, "not found in"),
    (break_the_producer_snapshot, "napshot"),
    (cut_the_producer_snapshot, "napshot"),
    (break_the_epochs, "it gives epoch 5 for offset 0"),
    (disorder_the_epochs, "epoch 0 from 9999 follows epoch 0 from 0"),
    (miscount_the_epochs, "it declares 2 entries and has 1"),
    (lose_the_epochs, "it is missing"),
    (break_a_metadata_record, "Error at"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_planted_damage_is_found(written: Path, tmp_path: Path, damage: Damage, said: str) -> None:
    copy = tmp_path / "data"
    for name in (PARTITION, "__cluster_metadata-0"):
        shutil.copytree(written / name, copy / name)
    damage(copy)
    problems = dump_log_problems(copy)
    assert any(said in problem for problem in problems), problems


def test_damage_in_one_file_hides_nothing_in_others(written: Path, tmp_path: Path) -> None:
    """A file that ends the tool does not end the judgement."""
    copy = tmp_path / "data"
    for name in (PARTITION, "__cluster_metadata-0"):
        shutil.copytree(written / name, copy / name)
    point_the_index_beyond_the_log(copy)
    flip_byte_of_the_last_batch(copy)
    break_index_offset(copy)
    break_the_producer_snapshot(copy)
    problems = "\n".join(dump_log_problems(copy))
    for said in ("dump-log ended with", "isvalid: false", "napshot"):
        assert said in problems
