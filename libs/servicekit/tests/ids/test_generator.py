"""Ids: unique over threads and processes, growing, and none when it is not certain that they are."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from itertools import count

import pytest
from at_once import at_once
from django.db import DatabaseError, OperationalError
from service_suite import Database
from servicekit.ids import leases
from servicekit.ids.generator import (
    EPOCH_MS,
    SEQUENCE_MAX,
    ClockWentBack,
    Generator,
    IdsUnavailable,
    LeaseLost,
    next_id,
)
from servicekit.ids.models import WorkerLease
from servicekit.problems import Unavailable

START_MS = EPOCH_MS + 1_000_000


class Leases:
    """Numbers that are given out as told; renewing fails as told."""

    def __init__(self) -> None:
        self.free: Iterator[int | None] = count(5)
        self.renews = True
        self.down: DatabaseError | None = None
        self.renewed_at: list[int] = []

    def take(self, holder: uuid.UUID, now_ms: int) -> int | None:
        if self.down is not None:
            raise self.down
        return next(self.free)

    def renew(self, number: int, holder: uuid.UUID, now_ms: int) -> bool:
        if self.down is not None:
            raise self.down
        self.renewed_at.append(now_ms)
        return self.renews


class Clock:
    def __init__(self) -> None:
        self.now = START_MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def numbers() -> Leases:
    return Leases()


@pytest.fixture
def generator(clock: Clock, numbers: Leases) -> Generator:
    return Generator(clock, numbers.take, numbers.renew)


def parts(made: int) -> tuple[int, int, int]:
    """(milliseconds, worker number, sequence)."""
    return (made >> 22) + EPOCH_MS, made >> 12 & 1023, made & SEQUENCE_MAX


def test_an_id_says_when_and_by_whom_it_was_made(generator: Generator, clock: Clock) -> None:
    assert parts(generator.next_id()) == (START_MS, 5, 0)
    assert parts(generator.next_id()) == (START_MS, 5, 1)
    clock.now += 1
    assert parts(generator.next_id()) == (START_MS + 1, 5, 0)


def test_a_clock_that_goes_back_stops_it_until_it_has_caught_up(generator: Generator, clock: Clock) -> None:
    last = generator.next_id()
    clock.now -= 40
    for _ in range(3):
        with pytest.raises(ClockWentBack, match="went back by 40 ms"):
            generator.next_id()
    clock.now += 40
    assert generator.next_id() > last


def test_a_full_millisecond_is_waited_out(numbers: Leases) -> None:
    times = iter([*[START_MS] * (SEQUENCE_MAX + 1), START_MS, START_MS, START_MS, START_MS + 1])
    generator = Generator(lambda: next(times), numbers.take, numbers.renew)
    made = [generator.next_id() for _ in range(SEQUENCE_MAX + 2)]
    assert parts(made[-2]) == (START_MS, 5, SEQUENCE_MAX)
    assert parts(made[-1]) == (START_MS + 1, 5, 0)
    assert made == sorted(set(made))


def test_a_clock_that_goes_back_within_a_full_millisecond_stops_it_too(numbers: Leases) -> None:
    times = iter([*[START_MS] * (SEQUENCE_MAX + 2), START_MS - 7, START_MS])
    generator = Generator(lambda: next(times), numbers.take, numbers.renew)
    for _ in range(SEQUENCE_MAX + 1):
        generator.next_id()
    with pytest.raises(ClockWentBack):
        generator.next_id()


def test_the_lease_is_renewed_long_before_it_ends(generator: Generator, clock: Clock, numbers: Leases) -> None:
    for _ in range(10):
        generator.next_id()
        clock.now += leases.LEASE_MS // 6
    assert numbers.renewed_at
    assert max(later - earlier for earlier, later in zip([START_MS, *numbers.renewed_at], numbers.renewed_at, strict=False)) < (
        leases.LEASE_MS // 2
    )


def test_a_lost_lease_means_another_number(generator: Generator, clock: Clock, numbers: Leases) -> None:
    assert parts(generator.next_id())[1] == 5
    numbers.renews = False
    clock.now += leases.LEASE_MS
    assert parts(generator.next_id())[1] == 6


def test_without_the_database_it_goes_on_until_the_lease_ends(generator: Generator, clock: Clock, numbers: Leases) -> None:
    generator.next_id()
    numbers.down = OperationalError("no route to host")
    clock.now += leases.LEASE_MS - 1
    generator.next_id()
    clock.now += 1
    with pytest.raises(LeaseLost, match="no route to host"):
        generator.next_id()
    numbers.down = None
    numbers.renews = False
    assert parts(generator.next_id())[1] == 6


def test_when_all_numbers_are_leased_there_are_no_ids(generator: Generator, numbers: Leases) -> None:
    numbers.free = iter([None])
    with pytest.raises(LeaseLost, match="all 1024 worker numbers are leased"):
        generator.next_id()


def test_the_caller_may_ask_again() -> None:
    assert issubclass(ClockWentBack, IdsUnavailable)
    assert issubclass(LeaseLost, IdsUnavailable)
    assert issubclass(IdsUnavailable, Unavailable)


def test_threads_get_different_ids_and_each_its_own_in_order(database: Database) -> None:
    per_thread: list[list[int]] = [[] for _ in range(8)]

    def make(mine: list[int]) -> None:
        mine.extend(next_id() for _ in range(2000))

    at_once([lambda mine=mine: make(mine) for mine in per_thread])
    made = [one for mine in per_thread for one in mine]
    assert len(made) == len(set(made)) == 16_000
    assert all(mine == sorted(mine) for mine in per_thread)
    assert WorkerLease.objects.count() == 1


def test_processes_get_different_ids(database: Database) -> None:
    program = (
        "import django; django.setup()\nfrom servicekit.ids.generator import next_id\nfor _ in range(3000): print(next_id())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    outputs = [process.communicate(timeout=100)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    made = [int(text) for output in outputs for text in output]
    assert len(made) == len(set(made)) == 12_000
    assert {parts(one)[1] for one in made} == set(WorkerLease.objects.values_list("number", flat=True))
    assert WorkerLease.objects.count() == 4
