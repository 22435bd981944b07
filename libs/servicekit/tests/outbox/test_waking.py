"""The bell: heard at once through Valkey, and never in anybody's way without it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from fake_broker import FakeBroker
from peers.valkey import ValkeyServer, valkey
from servicekit.outbox import relay as relay_module
from servicekit.outbox import waking
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.relay import Relay
from servicekit.outbox.waking import RelayBell, wake_relay
from waiting import wait_until

LONG = 60.0


@pytest.fixture(autouse=True)
def fresh_waker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_waker", waking._Waker())


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[ValkeyServer]:
    with valkey(tmp_path) as started:
        settings.VALKEY_URL = started.url
        yield started


def listeners(server: ValkeyServer) -> int:
    with server.client() as client:
        return int(client.pubsub_numsub("outbox:sample_service")[0][1])


def test_who_waits_is_woken(server: ValkeyServer) -> None:
    bell = RelayBell()
    thread = threading.Thread(target=bell.wait, args=(LONG,))
    started = time.monotonic()
    thread.start()
    wait_until(lambda: listeners(server) == 1, "somebody to wait")
    wake_relay()
    thread.join(LONG)
    assert time.monotonic() - started < LONG / 2
    bell.close()


def test_many_rings_are_one(server: ValkeyServer) -> None:
    bell = RelayBell()
    bell.wait(0.01)
    for _ in range(50):
        wake_relay()
    started = time.monotonic()
    bell.wait(LONG)
    assert time.monotonic() - started < LONG / 2
    # What was rung before is heard; now it is quiet.
    started = time.monotonic()
    bell.wait(0.3)
    assert time.monotonic() - started >= 0.3
    bell.close()


def test_a_ring_between_two_waits_is_heard(server: ValkeyServer) -> None:
    bell = RelayBell()
    bell.wait(0.01)
    wake_relay()
    started = time.monotonic()
    bell.wait(LONG)
    assert time.monotonic() - started < LONG / 2
    bell.close()


def test_without_valkey_it_is_just_a_wait() -> None:
    bell = RelayBell()
    started = time.monotonic()
    bell.wait(0.3)
    assert 0.3 <= time.monotonic() - started < LONG / 2
    bell.close()


def test_without_valkey_nobody_is_kept_waiting(caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    for _ in range(1000):
        wake_relay()
    assert time.monotonic() - started < 10
    # After the first failure it is quiet for a while.
    assert 1 <= len([record for record in caplog.records if "it polls" in record.getMessage()]) <= 10


def test_a_valkey_that_hangs_keeps_nobody_for_long(server: ValkeyServer) -> None:
    wake_relay()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        wake_relay()
        wake_relay()
        assert time.monotonic() - started < LONG / 4
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_valkey_that_comes_back_is_found_again(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.0)
    bell = RelayBell()
    bell.wait(0.01)
    server.kill()
    bell.wait(0.01)
    wake_relay()
    server.start()
    thread = threading.Thread(target=bell.wait, args=(LONG,))
    started = time.monotonic()
    thread.start()
    wait_until(lambda: listeners(server) == 1, "the bell to be there again")
    wake_relay()
    thread.join(LONG)
    assert time.monotonic() - started < LONG / 2
    bell.close()


def test_a_commit_wakes_the_relay(database: object, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay would sleep far longer than this test waits."""
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 1000.0)
    broker, stop = FakeBroker(), threading.Event()
    thread = threading.Thread(target=Relay(broker.make_producer).run, args=(stop,), daemon=True)
    thread.start()
    wait_until(lambda: listeners(server) == 1, "the relay to wait")
    with transaction.atomic():
        OutboxEvent.objects.create(topic="article-topic", key="7", value=b"v")
        transaction.on_commit(wake_relay)
    wait_until(lambda: broker.log != [], "the event to be sent")
    stop.set()
    wake_relay()
    thread.join(LONG)
    assert not thread.is_alive()
