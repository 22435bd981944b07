"""One relay per service at a time."""

import uuid

import pytest
from at_once import at_once
from servicekit.outbox import lease
from servicekit.outbox.models import RelayLease

pytestmark = pytest.mark.usefixtures("database")


class Clock:
    """Wall time for the lease, in milliseconds."""

    ms = 1_800_000_000_000

    def time_ns(self) -> int:
        return self.ms * 1_000_000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(lease, "time", made)
    return made


def test_one_holds_it_and_the_other_does_not() -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    assert lease.hold(first)
    assert not lease.hold(second)
    assert lease.hold(first)


def test_given_back_it_is_free_at_once() -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    assert lease.hold(first)
    lease.release(first)
    assert lease.hold(second)
    assert not lease.hold(first)


def test_the_lease_of_a_holder_that_died_ends(clock: Clock) -> None:
    assert lease.hold(uuid.uuid4())
    second = uuid.uuid4()
    clock.ms += lease.LEASE_MS
    assert not lease.hold(second)
    clock.ms += 1
    assert lease.hold(second)


def test_it_is_renewed_while_it_is_held(clock: Clock) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    for _ in range(20):
        assert lease.hold(first)
        assert not lease.hold(second)
        clock.ms += lease.RENEW_AFTER_MS


def test_a_holder_asks_the_database_only_now_and_then(clock: Clock) -> None:
    first = uuid.uuid4()
    assert lease.hold(first)
    before = RelayLease.objects.get().expires_ms
    clock.ms += lease.RENEW_AFTER_MS - 1
    assert lease.hold(first)
    assert RelayLease.objects.get().expires_ms == before
    clock.ms += 1
    assert lease.hold(first)
    assert RelayLease.objects.get().expires_ms == clock.ms + lease.LEASE_MS


def test_a_holder_that_slept_too_long_finds_out(clock: Clock) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    assert lease.hold(first)
    clock.ms += lease.LEASE_MS + 1
    assert lease.hold(second)
    assert not lease.hold(first)


def test_nobody_gives_back_what_is_anothers() -> None:
    first = uuid.uuid4()
    assert lease.hold(first)
    lease.release(uuid.uuid4())
    assert not lease.hold(uuid.uuid4())


def test_of_many_at_once_one_gets_it() -> None:
    got: list[bool] = []
    at_once([lambda: got.append(lease.hold(uuid.uuid4()))] * 6)
    assert sorted(got) == [False] * 5 + [True]
