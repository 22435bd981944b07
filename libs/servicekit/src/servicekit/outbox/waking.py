"""Waking the relay when something was committed: a message through Valkey, without which the relay finds out by polling."""

import logging
import threading
import time

from django.conf import settings
from redis import Redis, RedisError
from redis.client import PubSub

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 0.2
# After a failure nobody is woken for so long: a request must not wait for a Valkey that is gone.
QUIET_SECONDS = 2.0


def _client() -> Redis:
    return Redis.from_url(settings.VALKEY_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)


def _channel() -> str:
    return f"outbox:{settings.SERVICE}"


class _Waker:
    def __init__(self) -> None:
        self._client: Redis | None = None
        self._quiet_until = 0.0
        self._lock = threading.Lock()

    def wake(self) -> None:
        if time.monotonic() < self._quiet_until:
            return
        try:
            with self._lock:
                self._client = self._client or _client()
            self._client.publish(_channel(), b"")
        except RedisError as error:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            log.warning("the relay is not woken, it polls: %s", error)


_waker = _Waker()


def wake_relay() -> None:
    """Something was committed."""
    _waker.wake()


class RelayBell:
    """What the relay waits on."""

    def __init__(self) -> None:
        self._subscription: PubSub | None = None

    def wait(self, seconds: float) -> None:
        """Until somebody rings, at most so long. Without Valkey it is just a wait."""
        started = time.monotonic()
        try:
            if self._subscription is None:
                self._subscription = _client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                self._subscription.subscribe(_channel())
            while (left := seconds - (time.monotonic() - started)) > 0:
                if self._subscription.get_message(timeout=left) is not None:
                    self._quiet()
                    return
        except RedisError:
            self.close()
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))

    def _quiet(self) -> None:
        """One look at the outbox answers everybody who has rung by now."""
        while self._subscription is not None and self._subscription.get_message(timeout=0) is not None:
            pass

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
