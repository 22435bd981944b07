"""The read-view service in this process, on a real Valkey, with origins that answer as a test wants."""

import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from reading_suite import Feed, bootstrap_servers, client, publish, store, valkey_server
from service_suite import prepare

__all__ = ["bootstrap_servers", "client", "publish", "store", "valkey_server"]

prepare("read_view.settings")


class Origin:
    """A real HTTP server in the place of the article and comment services."""

    def __init__(self) -> None:
        # Path -> body; what is not there is a 404.
        self.answers: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.delay_seconds = 0.0
        # Called before each answer, with its path.
        self.before: Callable[[str], object] = lambda path: None
        self.requests: list[str] = []
        self.correlation_ids: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def knows(self, history: Any) -> None:
        """What the services say of an article at this point of its history."""
        content = [event.data for event in history.article_events if "title" in event.data][-1]
        one = f"/v1/articles/{history.article_id}"
        self.answers[one] = {"id": history.article_id, **{k: v for k, v in content.items() if k != "article_id"}}
        self.answers[f"{one}/likes"] = {"like_count": history.like_count, "like_version": history.like_version}
        self.answers[f"{one}/comment-count"] = {
            "comment_count": history.comment_count,
            "comment_version": history.comment_version,
        }

    def lists(self, *histories: Any, board_id: str = "1", query: str = "&page_size=20", next_cursor: str | None = None) -> None:
        for history in histories:
            self.knows(history)
        items = [self.answers[f"/v1/articles/{history.article_id}"] for history in histories]
        self.answers[f"/v1/articles?board_id={board_id}{query}"] = {"items": items, "next_cursor": next_cursor}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(origin: Origin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            origin.requests.append(self.path)
            origin.correlation_ids.append(self.headers.get("X-Correlation-Id"))
            origin.before(self.path)
            time.sleep(origin.delay_seconds)
            found = origin.answers.get(self.path)
            self._answer(404 if found is None else origin.status, json.dumps(found).encode())

        def _answer(self, status: int, body: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                pass  # The one who asked has given up.

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def origin(settings: Any) -> Iterator[Origin]:
    """Both services; nothing is known there at first."""
    found = Origin()
    settings.ARTICLE_URL = settings.COMMENT_URL = found.url
    yield found
    found.stop()


@pytest.fixture
def no_origin(settings: Any) -> None:
    """Nobody listens where the services should be."""
    settings.ARTICLE_URL = settings.COMMENT_URL = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _fresh_store(client: Any) -> Iterator[None]:
    """The store that the selectors hold is that of this test's settings."""
    selectors = importlib.import_module("read_view.selectors")
    for held in (selectors._store, selectors._origins):
        held.cache_clear()
    yield
    for held in (selectors._store, selectors._origins):
        held.cache_clear()


@pytest.fixture
def feed(store: Any) -> Feed:
    return Feed(importlib.import_module("read_view.consumers").ReadViewProjection(store))
