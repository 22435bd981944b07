"""Health: /livez says that the process runs, /readyz that it can do its work, and if not, what is missing.

Web processes serve both through Django; workers, which have no web server, through a small one of their own.
"""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.conf import settings
from django.db import Error, connection, connections
from django.http import HttpRequest, JsonResponse
from redis import Redis, RedisError

log = logging.getLogger(__name__)
CHECK_TIMEOUT_SECONDS = 1.0
# What is wrong, by part; empty when all is well.
Problems = dict[str, str]


def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    problems = check_database() | ({} if settings.HAS_DATABASE else check_valkey())
    return JsonResponse(_report(problems), status=503 if problems else 200)


def check_database() -> Problems:
    """Whether the service's database answers; services without one have no problem."""
    if not settings.HAS_DATABASE:
        return {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return {"database": str(error)}
    return {}


def check_valkey() -> Problems:
    """Whether Valkey answers."""
    client = Redis.from_url(
        settings.VALKEY_URL, socket_timeout=CHECK_TIMEOUT_SECONDS, socket_connect_timeout=CHECK_TIMEOUT_SECONDS
    )
    try:
        client.ping()
    except RedisError as error:
        return {"valkey": str(error)}
    finally:
        client.close()
    return {}


def _report(problems: Problems) -> dict[str, object]:
    return {"status": "unavailable" if problems else "ok", "problems": problems}


class HealthServer:
    """A worker's /livez and /readyz, in a thread of its own."""

    def __init__(self, host: str, port: int, check: Callable[[], Problems]) -> None:
        handler = _handler(check)
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _checked(check: Callable[[], Problems]) -> Problems:
    try:
        return check()
    except Exception as error:
        log.exception("the health check failed")
        return {"health": repr(error)}
    finally:
        # Each request has a thread of its own, which takes no connection with it when it ends.
        connections.close_all()


def _handler(check: Callable[[], Problems]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, {"status": "ok"})
            elif self.path == "/readyz":
                problems = _checked(check)
                self._answer(503 if problems else 200, _report(problems))
            else:
                self._answer(404, {"status": "there are /livez and /readyz"})

        def _answer(self, status: int, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    return Handler
