"""The two processes of a service: the web server and the worker, and how they end.

A worker runs components, each in a thread of its own. SIGTERM and SIGINT ask all of them to stop; what does not stop within
STOP_TIMEOUT_SECONDS is left behind, which loses nothing: everything a component does can be done again. A component that
fails ends the whole worker, and whoever started it starts it again.
"""

import logging
import signal
import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string
from waitress.server import create_server

from servicekit.environment import PORT_MAX
from servicekit.health import HealthServer, Problems, check_database
from servicekit.settings import REQUEST_BYTES_MAX

log = logging.getLogger(__name__)
STOP_TIMEOUT_SECONDS = 6.0
WEB_THREADS = 8
WEB_CONNECTIONS_MAX = 500
WEB_BACKLOG = 512
# Above Django's own bound, which answers in our words; beyond this one the server answers in its.
WEB_BODY_BYTES_MAX = 16 * REQUEST_BYTES_MAX


class Component(Protocol):
    """One part of a worker: a relay, a consumer."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""

    def problem(self) -> str | None:
        """Why it cannot do its work right now; None when it can."""


class CannotListen(Exception):
    """The address is taken, or not ours."""


def port_number(text: str) -> int:
    """A port on a command line; 0 is any free one."""
    if not (text.isascii() and text.isdigit()) or int(text[:6]) > PORT_MAX:
        raise ArgumentTypeError(f"a port from 0 to {PORT_MAX} is needed, found {text!r}")
    return int(text)


@contextmanager
def _bound(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error}") from error


def serve_web(host: str, port: int) -> None:
    """Serve the Django application until SIGTERM or SIGINT; requests that have begun are finished."""
    application = get_wsgi_application()
    with _bound(host, port):
        server = create_server(
            application,
            host=host,
            port=port,
            threads=WEB_THREADS,
            connection_limit=WEB_CONNECTIONS_MAX,
            backlog=WEB_BACKLOG,
            max_request_body_size=WEB_BODY_BYTES_MAX,
            ident=None,
        )

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    log.info("%s serves http://%s:%d", settings.SERVICE, host, port)
    server.run()


class Worker:
    """All components of a service's worker."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = components
        self._stop = threading.Event()
        self._failed = False
        self._threads = [
            threading.Thread(target=self._run, args=(component,), name=component.name, daemon=True) for component in components
        ]

    def run(self, host: str, port: int) -> int:
        """Until SIGTERM, SIGINT, or the failure of a component; the exit status."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        with _bound(host, port):
            health = HealthServer(host, port, self.problems)
        health.start()
        for thread in self._threads:
            thread.start()
        log.info("the worker of %s runs %s", settings.SERVICE, ", ".join(c.name for c in self._components))
        self._stop.wait()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_SECONDS)
            if thread.is_alive():
                log.warning("%s did not stop within %s s and is left behind", thread.name, STOP_TIMEOUT_SECONDS)
        health.stop()
        return 1 if self._failed else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _run(self, component: Component) -> None:
        try:
            component.run(self._stop)
        except Exception:
            log.exception("%s failed; the worker ends", component.name)
            self._failed = True
        finally:
            self._stop.set()

    def problems(self) -> Problems:
        """What hinders the worker, by part."""
        found = {component.name: component.problem() for component in self._components}
        return {name: text for name, text in found.items() if text is not None} | check_database()


def make_worker() -> Worker:
    """The worker of this service, from WORKER_COMPONENTS."""
    return Worker([import_string(path)() for path in settings.WORKER_COMPONENTS])
