"""Logs read from disks as they are written: what came, what was cut off, what began anew."""

from uuid import UUID

from broker.clock.simulated import SimulatedClock
from broker.protocol.types import uuid_to_base64
from broker.record.builder import build_batch
from broker.storage.port import File
from broker.storage.simulated import SimulatedStorage
from simulation.replicas import Change, Disk

TOPIC = UUID(int=7)
KEY = (TOPIC, 0)
DIRECTORY = "/data/t-0"


class Lab:
    """A disk with one partition."""

    def __init__(self) -> None:
        self.storage = SimulatedStorage(SimulatedClock())
        self.make(TOPIC)
        self.disk = Disk(self.storage)

    def make(self, topic_id: UUID) -> None:
        self.storage.make_directory(DIRECTORY)
        content = f"version: 0\ntopic_id: {uuid_to_base64(topic_id)}".encode()
        self.storage.write_atomically(f"{DIRECTORY}/partition.metadata", content)

    def segment(self, base: int) -> File:
        return self.storage.open(f"{DIRECTORY}/{base:020d}.log")

    def append(self, segment: int, offset: int, *values: bytes, epoch: int = 0) -> None:
        data = build_batch([(None, value) for value in values], 1000, base_offset=offset, leader_epoch=epoch)
        self.segment(segment).append([data])

    def look(self) -> list[tuple[list[int], int | None]]:
        """Where the batches stand that came, and where it was cut."""
        changes: list[Change] = []
        self.disk.look(changes.append)
        return [([batch.base for batch in change.came], change.cut_to) for change in changes]


def test_what_was_read_once_is_not_told_again() -> None:
    lab = Lab()
    lab.append(0, 0, b"a", b"b")
    assert lab.look() == [([0], None)]
    assert lab.look() == []
    lab.append(0, 2, b"c", epoch=3)
    lab.append(3, 3, b"d")
    assert lab.look() == [([2, 3], None)]
    log = lab.disk.logs[KEY]
    assert (log.start, log.end, log.records) == (0, 4, {0: b"a", 1: b"b", 2: b"c", 3: b"d"})
    assert [batch.epoch for batch in log.between(0, 4)] == [0, 3, 0]


def test_a_cut_is_told_also_when_as_much_was_written_again() -> None:
    lab = Lab()
    lab.append(0, 0, b"a")
    size = lab.segment(0).size
    lab.append(0, 1, b"b")
    lab.look()
    lab.segment(0).truncate(size)
    lab.append(0, 1, b"B", epoch=1)
    assert lab.look() == [([1], 1)]
    assert lab.disk.logs[KEY].records == {0: b"a", 1: b"B"}


def test_a_segment_is_found_whatever_else_is_in_the_directory() -> None:
    """As many files as before, and another one among them."""
    lab = Lab()
    lab.storage.open(f"{DIRECTORY}/00000000000000000000.index")
    assert lab.look() == []
    lab.storage.remove(f"{DIRECTORY}/00000000000000000000.index")
    lab.append(0, 0, b"a")
    assert lab.look() == [([0], None)]
    lab.storage.open(f"{DIRECTORY}/00000000000000000000.index")
    assert lab.look() == []
    lab.storage.remove(f"{DIRECTORY}/00000000000000000000.index")
    lab.append(1, 1, b"b")
    assert lab.look() == [([1], None)]


def test_a_torn_tail_is_no_part_of_a_log() -> None:
    lab = Lab()
    lab.append(0, 0, b"a")
    lab.segment(0).append([bytes(200)])
    assert lab.look() == [([0], None)]
    assert lab.disk.logs[KEY].end == 1


def test_a_log_that_begins_anew_and_one_that_loses_its_beginning() -> None:
    lab = Lab()
    lab.append(0, 0, b"a")
    lab.append(1, 1, b"b")
    lab.look()
    lab.storage.remove(f"{DIRECTORY}/{0:020d}.log")
    lab.look()
    log = lab.disk.logs[KEY]
    assert (log.start, log.end, log.restarts) == (1, 2, 0)
    lab.storage.remove(f"{DIRECTORY}/{1:020d}.log")
    lab.append(9, 9, b"z")
    assert lab.look() == [([9], None)]
    assert (log.start, log.end, log.restarts) == (9, 10, 1)


def test_a_topic_that_is_made_again_has_a_log_of_its_own() -> None:
    lab = Lab()
    lab.append(0, 0, b"a")
    lab.look()
    lab.storage.rename(DIRECTORY, f"{DIRECTORY}.{TOPIC.hex}-delete")
    lab.make(UUID(int=8))
    lab.look()
    assert {key: log.end for key, log in lab.disk.logs.items()} == {(UUID(int=8), 0): 0}
