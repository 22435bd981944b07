"""The log directory: identity, lock, partitions made, deleted and made again, strays, checkpoints, the clean marker."""

import errno
import json
import logging
import random
import uuid
from collections.abc import Callable

import pytest
from broker.clock.simulated import SimulatedClock
from broker.log.checkpoints import encode_offsets
from broker.log.failure import LogDirFailure
from broker.log.log_manager import CLEAN_SHUTDOWN, HIGH_WATERMARKS, LOG_STARTS, METADATA_TOPIC, RECOVERY_POINTS, LogManager
from broker.log.partition_log import PartitionLog
from broker.log.properties import DirectoryError, MetaProperties
from broker.protocol.errors import KafkaError
from broker.storage.simulated import SimulatedStorage

from .disk import Config, append, records

ROOT = "/node/data"
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
META = MetaProperties("4L6g3nShT-eMCtK--X86sw", 1, uuid.UUID(int=9))


class Node:
    """A disk, and the manager of its directory in each of the node's lives."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.storage = SimulatedStorage(self.clock)
        self.storage.make_directory("/node")
        self.storage.fsync_directory("/")
        self.failures: list[LogDirFailure] = []

    def start(self) -> LogManager:
        logs = LogManager(self.storage, self.clock, ROOT, self.failures.append)
        logs.claim()
        if logs.meta is None:
            logs.format(META)
        logs.open()
        return logs

    def settle(self, milliseconds: int = 1000) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def names(self) -> list[str]:
        return self.storage.list_directory(ROOT)

    def partitions(self) -> list[str]:
        return [name for name in self.names() if "-0" in name or "-1" in name]

    def crash(self, seed: int | None = None) -> None:
        self.storage.crash(random.Random(seed), "process" if seed is None else "torn")


def create(logs: LogManager, topic: str = "t", partition: int = 0, topic_id: uuid.UUID = ONE) -> PartitionLog:
    return logs.get_or_create(topic, partition, topic_id, Config())


def test_one_node_at_a_time() -> None:
    node = Node()
    first = node.start()
    with pytest.raises(DirectoryError, match=rf"log\.dirs={ROOT} is used by another process"):
        node.start()
    first.release()
    node.start()


def test_whose_directory_it_is() -> None:
    node = Node()
    node.start()
    node.crash()
    assert node.start().meta == META


def test_a_partition_is_a_directory_with_its_topic_id() -> None:
    node = Node()
    logs = node.start()
    log = create(logs)
    assert create(logs) is log
    content = node.storage.read(f"{ROOT}/t-0/partition.metadata")
    assert content == b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"


def test_a_clean_stop_is_remembered_once() -> None:
    node = Node()
    logs = node.start()
    append(create(logs), 3)
    logs.close(clean=True, broker_epoch=7)
    assert json.loads(node.storage.read(f"{ROOT}/{CLEAN_SHUTDOWN}")) == {"version": 0, "brokerEpoch": 7}
    assert node.storage.read(f"{ROOT}/{RECOVERY_POINTS}") == b"0\n1\nt 0 3\n"
    again = node.start()
    assert again.clean
    assert not node.storage.exists(f"{ROOT}/{CLEAN_SHUTDOWN}")
    node.crash()
    assert not node.start().clean


@pytest.mark.parametrize("seed", range(8))
def test_a_power_cut_does_not_bring_the_marker_back(seed: int) -> None:
    """The next start would trust what that power cut has torn."""
    node = Node()
    node.start().close(clean=True)
    node.start()
    node.crash(seed)
    assert not node.start().clean


def test_a_clean_stop_leaves_nothing_to_a_power_cut() -> None:
    """Not even the topic id of a partition that was never flushed: with a torn one it would be a stray."""
    node = Node()
    logs = node.start()
    append(create(logs), producer_id=5, producer_epoch=0, base_sequence=0)
    logs.close(clean=True)
    files, surviving = node.storage.files(), node.storage.files(surviving=True)
    assert {f"{ROOT}/t-0/partition.metadata", f"{ROOT}/t-0/00000000000000000001.snapshot"} < files.keys()
    assert {path for path in files if files[path] != surviving.get(path)} <= {f"{ROOT}/.lock"}


def test_an_unclean_stop_leaves_no_marker() -> None:
    node = Node()
    logs = node.start()
    append(create(logs))
    logs.close(clean=False)
    assert CLEAN_SHUTDOWN not in node.names()
    assert len(records(create(node.start()))) == 1


def test_a_clean_stop_on_a_full_disk_is_none(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    logs = node.start()
    append(create(logs), 3)
    append(create(logs, "u"), 3)
    node.storage.capacity_bytes = node.storage.used_bytes
    with caplog.at_level(logging.ERROR):
        logs.close(clean=True)
    assert "could not be closed cleanly" in caplog.text
    assert CLEAN_SHUTDOWN not in node.names()
    node.storage.capacity_bytes = None
    again = node.start()
    assert [len(records(create(again, topic))) for topic in ("t", "u")] == [3, 3]


def test_everything_is_flushed_and_noted() -> None:
    node = Node()
    logs = node.start()
    for topic in ("a", "b"):
        append(create(logs, topic), 2)
    logs.flush_soon()
    node.settle()
    assert node.storage.read(f"{ROOT}/{RECOVERY_POINTS}") == b"0\n2\na 0 2\nb 0 2\n"
    for seed in range(40):
        node.crash(seed)
        logs = node.start()
        assert [len(records(create(logs, topic))) for topic in ("a", "b")] == [2, 2], f"seed {seed}"


def test_what_is_made_after_a_clean_stop_is_durable_with_its_first_records() -> None:
    """Also its directory and its topic id, which were not there when the node stopped."""
    for seed in range(60):
        node = Node()
        node.start().close(clean=True)
        logs = node.start()
        assert logs.clean
        append(create(logs), 4)
        logs.flush_soon()
        node.settle()
        node.crash(seed)
        assert len(records(create(node.start()))) == 4, f"seed {seed}"


def test_a_log_that_was_empty_at_a_clean_stop_is_durable_with_its_first_records() -> None:
    """The clean stop has left it alone, and its topic id with it."""
    for seed in range(60):
        node = Node()
        logs = node.start()
        create(logs)
        logs.close(clean=True)
        logs = node.start()
        append(create(logs), 4)
        logs.flush_soon()
        node.settle()
        node.crash(seed)
        assert len(records(create(node.start()))) == 4, f"seed {seed}"


def test_what_was_fsynced_once_survives_a_power_cut() -> None:
    """Also the very first records of a partition: its directory, its topic id and its files are durable with them."""
    for seed in range(60):
        node = Node()
        logs = node.start()
        log = create(logs)
        append(log, 4, epoch=3)
        done: list[OSError | None] = []
        log.flush_soon(done.append)
        node.settle()
        assert done == [None]
        append(log, 4, epoch=5)
        create(logs, "u", topic_id=TWO)
        node.crash(seed)
        again = create(node.start())
        assert len(records(again)) >= 4, f"seed {seed}"
        assert again.epochs.epoch_at(0) == 3


def tear_topic_id(node: Node, content: bytes | None) -> None:
    path = f"{ROOT}/t-0/partition.metadata"
    if content is None:
        node.storage.remove(path)
    else:
        node.storage.open(path).truncate(0)
        node.storage.open(path).append([content])


TORN_IDS = pytest.mark.parametrize("content", [b"", b"version: 0\ntopic_id: AAAA", b"\xff\0", None])


@TORN_IDS
def test_records_behind_a_torn_topic_id_are_nobodys(content: bytes | None) -> None:
    """They may be those of a topic of this name that was deleted since; nothing was promised of them, for nothing was fsynced."""
    node = Node()
    logs = node.start()
    append(create(logs), 3)
    logs.close(clean=False)
    tear_topic_id(node, content)
    assert records(create(node.start(), topic_id=TWO)) == []
    assert node.partitions() == ["t-0", f"t-0.{0:032x}-stray"]


@TORN_IDS
def test_an_empty_log_with_a_torn_topic_id_is_made_again(content: bytes | None) -> None:
    node = Node()
    logs = node.start()
    create(logs)
    logs.close(clean=False)
    tear_topic_id(node, content)
    assert records(create(node.start())) == []
    assert node.partitions() == ["t-0"]
    assert node.storage.read(f"{ROOT}/t-0/partition.metadata").endswith(b"topic_id: AAAAAAAAAAAAAAAAAAAAAQ")


def test_the_metadata_log_stays_with_the_votes_beside_it() -> None:
    node = Node()
    logs = node.start()
    append(create(logs, METADATA_TOPIC), 3)
    logs.close(clean=False)
    node.storage.open(f"{ROOT}/{METADATA_TOPIC}-0/partition.metadata").truncate(0)
    assert len(records(create(node.start(), METADATA_TOPIC))) == 3
    assert node.partitions() == [f"{METADATA_TOPIC}-0"]


def test_a_partition_that_is_unknown_and_has_a_torn_id_is_set_aside() -> None:
    node = Node()
    logs = node.start()
    append(create(logs), 3)
    logs.close(clean=False)
    tear_topic_id(node, b"")
    node.start().set_strays_aside()
    assert node.partitions() == [f"t-0.{0:032x}-stray"]


def test_deleting_renames_at_once_and_removes_later() -> None:
    node = Node()
    logs = node.start()
    append(create(logs))
    logs.delete("t", 0, 60_000)
    assert node.partitions() == [f"t-0.{ONE.hex}-delete"]
    node.settle(59_000)
    assert node.partitions() != []
    node.settle(2000)
    assert node.partitions() == []


def test_deleting_the_longest_name() -> None:
    node = Node()
    logs = node.start()
    create(logs, "x" * 249)
    logs.delete("x" * 249, 0, 0)
    assert all(len(name) <= 255 for name in node.names())
    assert not node.storage.exists(f"{ROOT}/{'x' * 249}-0")


def test_what_waits_for_its_removal_is_removed_by_the_next_start() -> None:
    node = Node()
    logs = node.start()
    create(logs)
    logs.delete("t", 0, 60_000)
    node.crash()
    node.start()
    assert node.partitions() == []
    node.settle(100_000)


def test_a_topic_made_again_is_empty() -> None:
    node = Node()
    logs = node.start()
    append(create(logs), 5)
    logs.delete("t", 0, 60_000)
    again = create(logs, topic_id=TWO)
    assert (again.log_end_offset, records(again)) == (0, [])
    append(again, 2)
    node.crash()
    assert len(records(create(node.start(), topic_id=TWO))) == 2


def test_a_topic_made_again_does_not_inherit_checkpoints() -> None:
    """Old offsets under the same name would hide its records, or keep its segments from being checked."""
    node = Node()
    logs = node.start()
    append(create(logs), 5)
    logs.flush_soon()
    logs.write_high_watermarks({("t", 0): 5})
    node.settle()
    logs.delete("t", 0, 60_000)
    append(create(logs, topic_id=TWO), 3)
    node.settle(0)
    assert node.storage.read(f"{ROOT}/{RECOVERY_POINTS}") == b"0\n1\nt 0 0\n"
    node.crash()
    assert node.start().high_watermarks == {}, "nothing of the new one was committed"


def test_checkpoints_of_a_directory_that_is_not_there_are_forgotten() -> None:
    node = Node()
    logs = node.start()
    logs.close(clean=False)
    for name in (LOG_STARTS, RECOVERY_POINTS, HIGH_WATERMARKS):
        node.storage.open(f"{ROOT}/{name}").append([encode_offsets({("t", 0): 4})])
    logs = node.start()
    log = create(logs)
    append(log, 6)
    assert (log.log_start_offset, log.recovery_point, logs.high_watermarks) == (0, 0, {})
    node.settle(0)
    node.crash()
    assert node.start().high_watermarks == {}


def test_a_log_begins_where_the_checkpoint_says() -> None:
    """Apache Kafka's DeleteRecords leaves this behind."""
    node = Node()
    logs = node.start()
    append(create(logs), 2)
    append(create(logs), 2)
    logs.close(clean=True)
    node.storage.open(f"{ROOT}/{LOG_STARTS}").truncate(0)
    node.storage.open(f"{ROOT}/{LOG_STARTS}").append([encode_offsets({("t", 0): 2})])
    again = node.start()
    assert create(again).log_start_offset == 2
    again.close(clean=True)
    assert node.storage.read(f"{ROOT}/{LOG_STARTS}") == b"0\n1\nt 0 2\n"


def test_a_directory_of_another_topic_id_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    """Kafka keeps records that belong to nobody under another name; so do we."""
    node = Node()
    logs = node.start()
    append(create(logs), 5)
    node.crash()
    assert records(create(node.start(), topic_id=TWO)) == []
    assert node.partitions() == ["t-0", f"t-0.{ONE.hex}-stray"]
    assert "the cluster does not know t-0 with this topic id" in caplog.text


def test_partitions_that_the_cluster_does_not_know_are_set_aside() -> None:
    node = Node()
    logs = node.start()
    for topic in ("known", "unknown", "un-known"):
        append(create(logs, topic))
    node.crash()
    for name in ("notes-1", "lost+found"):
        node.storage.make_directory(f"{ROOT}/{name}")
    logs = node.start()
    create(logs, "known")
    logs.set_strays_aside()
    logs.set_strays_aside()
    assert node.partitions() == ["known-0", "notes-1", f"un-known-0.{ONE.hex}-stray", f"unknown-0.{ONE.hex}-stray"]


def test_partitions_that_are_known_and_not_open_are_left_alone() -> None:
    """The disk was too full to open them: their records are needed again when there is room."""
    node = Node()
    logs = node.start()
    for topic in ("full", "unknown"):
        append(create(logs, topic))
    node.crash()
    node.start().set_strays_aside({("full", 0)})
    assert node.partitions() == ["full-0", f"unknown-0.{ONE.hex}-stray"]


def test_two_strays_of_one_name() -> None:
    node = Node()
    for _ in range(2):
        logs = node.start()
        create(logs)
        node.crash()
        node.start().set_strays_aside()
        node.crash()
    assert node.partitions() == [f"t-0.{ONE.hex}-stray", f"t-0.{TWO.hex}-stray"]


def test_the_first_failure_is_told_once() -> None:
    node = Node()
    logs = node.start()
    one, two = create(logs, "a"), create(logs, "b")
    append(one)
    append(two)
    node.storage.fail_fsync = True
    logs.flush_soon()
    node.settle()
    assert [failure.errno for failure in node.failures] == [errno.EIO]


def test_retention_leaves_the_metadata_log_alone() -> None:
    node = Node()
    logs = node.start()
    made = [create(logs, topic) for topic in ("t", "__cluster_metadata")]
    for log in made:
        log.configure(Config(retention_ms=1))
        append(log, timestamp=5)
    logs.apply_retention(lambda key: 1)
    assert [log.log_start_offset for log in made] == [1, 0]


def test_idle_producers_are_forgotten() -> None:
    node = Node()
    logs = node.start()
    log = create(logs)
    append(log, producer_id=1, producer_epoch=0, base_sequence=0)
    logs.expire_producers(10**15)
    assert len(log.producers) == 1
    node.settle(5000)
    logs.expire_producers(4000)
    assert len(log.producers) == 0


def test_high_watermarks_come_back() -> None:
    node = Node()
    logs = node.start()
    create(logs)
    logs.write_high_watermarks({("t", 0): 17})
    node.settle()
    node.crash()
    assert node.start().high_watermarks == {("t", 0): 17}


def test_a_thousand_partitions_need_few_files() -> None:
    node = Node()
    logs = node.start()
    made = [create(logs, "many", number) for number in range(1000)]
    for log in made:
        append(log)
    logs.flush_soon()
    node.settle(10_000)
    assert len(logs._files) <= 512
    assert all(log.recovery_point == 1 for log in made)
    logs.close(clean=True)
    again = node.start()
    assert sum(len(records(create(again, "many", number))) for number in range(1000)) == 1000


def test_a_full_disk_is_no_failure() -> None:
    node = Node()
    logs = node.start()
    log = create(logs)
    append(log)
    node.storage.capacity_bytes = node.storage.used_bytes
    actions: list[Callable[[], None]] = [
        logs.flush_soon,
        lambda: logs.write_high_watermarks({("t", 0): 1}),
        lambda: logs.apply_retention(lambda key: 1),
        lambda: logs.delete("t", 0, 0),
    ]
    for action in actions:
        action()
        node.settle()
    assert node.failures == []


def test_a_full_disk_is_told_of_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    partition = create(node.start())
    append(partition)
    node.storage.capacity_bytes = node.storage.used_bytes

    def refused() -> int:
        """How often it was said by now, after ten more writes."""
        for _ in range(10):
            with pytest.raises(KafkaError):
                append(partition)
        return caplog.text.count("no space left")

    assert refused() == 1
    assert "/node/data: " in caplog.text
    assert refused() == 1
    node.settle(10_000)
    assert refused() == 2
    assert node.failures == []
