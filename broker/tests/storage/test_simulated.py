"""The simulated twin: what a crash leaves, faults, and that everything follows from the seed."""

import contextlib
import errno
import random
from collections.abc import Callable
from typing import Any

import pytest
from broker.clock.simulated import SimulatedClock
from broker.storage.simulated import FSYNC_DELAY_MS, NodeDied, SimulatedStorage

SEEDS = range(200)


def disk(**faults: Any) -> tuple[SimulatedClock, SimulatedStorage]:
    clock = SimulatedClock()
    storage = SimulatedStorage(clock, **faults)
    storage.make_directory("/d")
    storage.fsync_directory("/")
    return clock, storage


def after_torn_crash(seed: int, act: Callable[[SimulatedStorage], None]) -> SimulatedStorage:
    _, storage = disk()
    act(storage)
    storage.crash(random.Random(seed), "torn")
    return storage


def test_the_death_of_the_process_keeps_what_was_written() -> None:
    _, storage = disk()
    storage.open("/d/log").append([b"never fsynced"])
    storage.crash(random.Random(1), "process")
    assert storage.read("/d/log") == b"never fsynced"


def test_a_power_cut_keeps_what_was_fsynced_and_a_prefix_of_the_rest() -> None:
    def act(storage: SimulatedStorage) -> None:
        file = storage.open("/d/log")
        file.append([b"durable"])
        file.fsync()
        storage.fsync_directory("/d")
        file.append([b"ABCDEFGH"])

    found = [after_torn_crash(seed, act).read("/d/log") for seed in SEEDS]
    assert all(data.startswith(b"durable") for data in found)
    assert all(len(data) <= len(b"durableABCDEFGH") for data in found)
    prefixes = {data for data in found if b"durableABCDEFGH".startswith(data)}
    assert prefixes == {b"durableABCDEFGH"[:end] for end in range(7, 16)}
    assert any(data.endswith(b"\0") for data in found), "a tail of zeros"
    assert any(data not in prefixes and not data.endswith(b"\0") for data in found), "a tail of garbage"


def test_a_file_whose_name_was_not_fsynced_may_be_gone() -> None:
    def act(storage: SimulatedStorage) -> None:
        for name in ("a", "b", "c"):
            file = storage.open(f"/d/{name}")
            file.append([b"x"])
            file.fsync()

    found = {tuple(after_torn_crash(seed, act).list_directory("/d")) for seed in SEEDS}
    assert found == {(), ("a",), ("a", "b"), ("a", "b", "c")}


def test_a_rename_happens_as_one_step_or_not() -> None:
    def act(storage: SimulatedStorage) -> None:
        for name, data in (("old", b"old"), ("new", b"new")):
            file = storage.open(f"/d/{name}")
            file.append([data])
            file.fsync()
        storage.fsync_directory("/d")
        storage.rename("/d/new", "/d/old")

    for seed in SEEDS:
        storage = after_torn_crash(seed, act)
        state = [(name, storage.read(f"/d/{name}")) for name in storage.list_directory("/d")]
        assert state in ([("new", b"new"), ("old", b"old")], [("old", b"new")])


def test_a_durable_replacement_survives_and_an_undurable_one_is_whole_or_the_old() -> None:
    def durable(storage: SimulatedStorage) -> None:
        storage.write_atomically("/d/f", b"old")
        storage.write_atomically("/d/f", b"new")

    def undurable(storage: SimulatedStorage) -> None:
        storage.write_atomically("/d/f", b"old")
        storage.write_atomically("/d/f", b"new", durable=False)

    assert {after_torn_crash(seed, durable).read("/d/f") for seed in SEEDS} == {b"new"}
    found = {after_torn_crash(seed, undurable).read("/d/f") for seed in SEEDS}
    assert {b"old", b"new"} < found
    assert any(len(data) < 3 for data in found), "renamed before its bytes reached the disk"


def test_a_truncation_may_come_undone() -> None:
    def act(storage: SimulatedStorage) -> None:
        file = storage.open("/d/log")
        file.append([b"0123456789"])
        file.fsync()
        storage.fsync_directory("/d")
        file.truncate(4)

    found = {after_torn_crash(seed, act).read("/d/log") for seed in SEEDS}
    assert found == {b"0123", b"0123456789"}


def test_what_survived_a_crash_survives_the_next() -> None:
    for seed in SEEDS:
        rng = random.Random(seed)
        _, storage = disk()
        storage.open("/d/log").append([bytes(range(100))])
        storage.crash(rng, "torn")
        first = {name: storage.read(f"/d/{name}") for name in storage.list_directory("/d")}
        storage.crash(rng, "torn")
        assert {name: storage.read(f"/d/{name}") for name in storage.list_directory("/d")} == first


def test_a_crash_follows_from_its_seed() -> None:
    def act(storage: SimulatedStorage) -> None:
        for number in range(10):
            storage.open(f"/d/{number}").append([bytes([number]) * 100])

    def state(seed: int) -> list[tuple[str, bytes]]:
        storage = after_torn_crash(seed, act)
        return [(name, storage.read(f"/d/{name}")) for name in storage.list_directory("/d")]

    assert [state(seed) for seed in range(20)] == [state(seed) for seed in range(20)]
    assert len({str(state(seed)) for seed in range(20)}) > 10


def test_handles_callbacks_and_locks_die_with_the_node() -> None:
    clock, storage = disk()
    file = storage.open("/d/log")
    file.append([b"x"])
    storage.lock("/d/.lock")
    answers: list[OSError | None] = []
    storage.fsync_soon([file], answers.append)
    storage.crash(random.Random(1))
    clock.run_until(1000)
    assert answers == []
    for use in (lambda: file.append([b"y"]), lambda: file.pread(1, 0), file.fsync, lambda: file.truncate(0)):
        with pytest.raises(OSError, match="crashed") as caught:
            use()
        assert caught.value.errno == errno.EBADF
    storage.lock("/d/.lock")
    assert storage.open("/d/log").pread(1, 0) == b"x"


def test_fsyncing_covers_what_was_written_before_the_call_and_takes_its_time() -> None:
    clock, storage = disk(fsync_delay_ms=7)
    file = storage.open("/d/log")
    storage.fsync_directory("/d")
    file.append([b"covered"])
    done: list[int] = []
    storage.fsync_soon([file], lambda error: done.append(clock.monotonic_ms()))
    file.append([b" not covered"])
    clock.run_until(6)
    assert done == []
    clock.run_until(7)
    assert done == [7]
    lost = set()
    for seed in SEEDS:
        clock, storage = disk()
        file = storage.open("/d/log")
        storage.fsync_directory("/d")
        file.append([b"covered"])
        storage.fsync_soon([file], lambda error: None)
        file.append([b" not covered"])
        clock.run_until(FSYNC_DELAY_MS)
        storage.crash(random.Random(seed), "torn")
        assert storage.read("/d/log").startswith(b"covered")
        lost.add(len(storage.read("/d/log")))
    assert min(lost) == len(b"covered")


def test_a_full_disk() -> None:
    _, storage = disk(capacity_bytes=10)
    file = storage.open("/d/log")
    file.append([b"123456"])
    with pytest.raises(OSError, match="no space") as caught:
        file.append([b"78901"])
    assert caught.value.errno == errno.ENOSPC
    assert file.pread(100, 0) == b"123456"
    assert storage.space("/d")[1] == 4
    file.append([b"7890"])
    assert storage.space("/d")[1] == 0
    with pytest.raises(OSError, match="no space"):
        storage.write_atomically("/d/checkpoint", b"x")
    assert storage.list_directory("/d") == ["log"]
    file.truncate(2)
    storage.write_atomically("/d/checkpoint", b"x" * 3)
    storage.write_atomically("/d/checkpoint", b"y" * 5)
    assert storage.space("/d")[1] == 3
    storage.remove("/d/checkpoint")
    storage.remove_tree("/d")
    storage.make_directory("/d")
    assert storage.space("/d")[1] == 10


def test_space_is_counted_again_after_a_crash() -> None:
    for seed in range(20):
        _, storage = disk(capacity_bytes=1000)
        storage.open("/d/a").append([bytes(300)])
        storage.crash(random.Random(seed), "torn")
        sizes = sum(storage.size(f"/d/{name}") for name in storage.list_directory("/d"))
        assert storage.space("/d")[1] == 1000 - sizes


def test_failing_writes_and_fsyncs() -> None:
    clock, storage = disk()
    file = storage.open("/d/log")
    storage.fail_writes = True
    with pytest.raises(OSError, match="write error") as caught:
        file.append([b"x"])
    assert caught.value.errno == errno.EIO
    assert file.size == 0
    storage.fail_writes = False
    file.append([b"x"])
    storage.fail_fsync = True
    answers: list[OSError | None] = []
    storage.fsync_soon([file], answers.append)
    clock.run_until(100)
    assert answers[0] is not None
    assert (answers[0].errno, answers[0].filename) == (errno.EIO, "/d/log")
    with pytest.raises(OSError, match="fsync error"):
        file.fsync()
    with pytest.raises(OSError, match="fsync error"):
        storage.write_atomically("/d/checkpoint", b"x")
    storage.fail_fsync = False
    lost = set()
    for seed in SEEDS:
        _, other = disk()
        failing = other.open("/d/log")
        other.fsync_directory("/d")
        failing.append([b"x"])
        other.fail_fsync = True
        with pytest.raises(OSError, match="fsync error"):
            failing.fsync()
        other.crash(random.Random(seed), "torn")
        lost.add(other.read("/d/log"))
    assert b"" in lost, "a failed fsync makes nothing durable"


def test_renaming_is_within_one_directory() -> None:
    _, storage = disk()
    storage.make_directory("/e")
    storage.open("/d/f").close()
    with pytest.raises(OSError, match="within one directory"):
        storage.rename("/d/f", "/e/f")


def test_modification_times_are_the_clocks() -> None:
    clock, storage = disk()
    clock.run_until(5000)
    file = storage.open("/d/log")
    first = storage.modified_ms("/d/log")
    clock.run_until(9000)
    file.append([b"x"])
    assert storage.modified_ms("/d/log") - first == 4000


def work(storage: SimulatedStorage) -> None:
    """A little of everything that changes something."""
    storage.make_directory("/d/sub")
    file = storage.open("/d/log")
    file.append([b"first"])
    file.fsync()
    file.append([b"second"])
    file.truncate(7)
    storage.fsync_soon([file], lambda error: None, ["/d"])
    storage.write_atomically("/d/checkpoint", b"old")
    storage.write_atomically("/d/checkpoint", b"new", durable=False)
    storage.rename("/d/log", "/d/log.deleted")
    storage.remove("/d/log.deleted")
    storage.remove_tree("/d/sub")
    storage.fsync_directory("/d")


def test_a_node_may_die_in_any_operation() -> None:
    """Each operation has happened or not, or a part of its bytes was written; nothing behind it has."""
    states = set()
    for seed in range(40):
        for operations in range(1000):
            _, storage = disk()
            storage.die_after(operations, random.Random(seed))
            try:
                work(storage)
            except NodeDied:
                storage.crash(random.Random(seed), "process")
                names = storage.list_directory("/d")
                states.add((*names, storage.read("/d/log") if "log" in names else b""))
            else:
                break
        assert 15 < operations < 30
    logs = {state[-1] for state in states}
    assert {b"", b"fir", b"first", b"firstsec", b"firstsecond", b"firstse"} <= logs
    assert all(b"firstsecond".startswith(data) for data in logs)
    assert any("checkpoint.tmp" in state for state in states)


def test_no_handler_of_errors_survives_its_own_death() -> None:
    _, storage = disk()
    storage.die_after(0, random.Random(1))

    def open_and_handle() -> None:
        with contextlib.suppress(Exception):
            storage.open("/d/log")

    with pytest.raises(NodeDied):
        open_and_handle()
    assert not issubclass(NodeDied, Exception)
    storage.crash(random.Random(1))
    storage.open("/d/log")


def test_what_survives_any_crash_is_known_before_it() -> None:
    kept = set()
    for seed in SEEDS:
        clock, storage = disk()
        rng = random.Random(seed)
        storage.die_after(rng.randrange(20), rng)
        with contextlib.suppress(NodeDied):
            work(storage)
        clock.run_until(rng.randrange(5))
        assert storage.files().keys() >= {f"/d/{name}" for name in storage.list_directory("/d") if name != "sub"}
        surviving = storage.files(surviving=True)
        storage.crash(rng, "torn")
        for path, data in surviving.items():
            assert storage.read(path).startswith(data)
            kept.add((path, data))
    assert {("/d/checkpoint", b"old"), ("/d/log", b"first")} <= kept


def test_fsyncs_come_back_in_order_however_long_each_takes() -> None:
    clock, storage = disk(fsync_delay_ms=50)
    file = storage.open("/d/log")
    done: list[str] = []
    storage.fsync_soon([file], lambda error: done.append("slow"))
    storage.fsync_delay_ms = 1
    storage.fsync_soon([file], lambda error: done.append("quick"))
    clock.run_until(49)
    assert done == []
    clock.run_until(60)
    assert done == ["slow", "quick"]


def test_who_looks_on_sees_what_was_appended_and_whether_anything_was_cut() -> None:
    _, storage = disk()
    file = storage.open("/d/log")
    seen = storage.inside("/d")["log"]
    file.append([b"12345"])
    assert (seen.content, seen.cuts) == (b"12345", 0)  # type: ignore[union-attr]
    file.truncate(3)
    file.append([b"45"])
    assert (seen.content, seen.cuts) == (b"12345", 1)  # type: ignore[union-attr]
    assert storage.inside("/d")["log"] is seen
    assert storage.inside("/nowhere") == {}
