"""A worker number has one holder at a time."""

import uuid

import pytest
from at_once import at_once
from service_suite import Database
from servicekit.ids import leases
from servicekit.ids.models import WorkerLease

NOW_MS = 1_800_000_000_000
pytestmark = pytest.mark.usefixtures("database")


def test_holders_get_different_numbers_from_the_lowest() -> None:
    assert [leases.take(uuid.uuid4(), NOW_MS) for _ in range(3)] == [0, 1, 2]


def test_a_number_is_free_again_only_after_its_lease() -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    assert leases.take(first, NOW_MS) == 0
    assert leases.take(second, NOW_MS + leases.LEASE_MS) == 1
    assert leases.take(uuid.uuid4(), NOW_MS + leases.LEASE_MS + 1) == 0
    assert not leases.renew(0, first, NOW_MS + leases.LEASE_MS + 2)


def test_a_lease_is_renewed_while_it_holds() -> None:
    holder = uuid.uuid4()
    assert leases.take(holder, NOW_MS) == 0
    assert leases.renew(0, holder, NOW_MS + leases.LEASE_MS)
    assert leases.take(uuid.uuid4(), NOW_MS + leases.LEASE_MS * 2) == 1


def test_a_lease_that_is_over_is_not_renewed_even_if_nobody_took_it() -> None:
    holder = uuid.uuid4()
    assert leases.take(holder, NOW_MS) == 0
    assert not leases.renew(0, holder, NOW_MS + leases.LEASE_MS + 1)


def test_another_holder_renews_nothing() -> None:
    assert leases.take(uuid.uuid4(), NOW_MS) == 0
    assert not leases.renew(0, uuid.uuid4(), NOW_MS)


def test_when_all_are_taken_there_is_none() -> None:
    WorkerLease.objects.bulk_create(
        WorkerLease(number=number, holder=uuid.uuid4(), expires_ms=NOW_MS) for number in range(leases.NUMBERS)
    )
    assert leases.take(uuid.uuid4(), NOW_MS) is None
    assert leases.take(uuid.uuid4(), NOW_MS + 1) == 0


@pytest.mark.parametrize("expired", [0, 3, 12])
def test_many_at_once_never_share(expired: int, database: Database) -> None:
    WorkerLease.objects.bulk_create(
        WorkerLease(number=number, holder=uuid.uuid4(), expires_ms=NOW_MS - 1) for number in range(expired)
    )
    taken: list[int | None] = []
    at_once([lambda: taken.append(leases.take(uuid.uuid4(), NOW_MS))] * 8)
    assert len(taken) == 8
    assert None not in taken
    assert len(set(taken)) == 8
