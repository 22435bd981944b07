"""Asking the services that own the data, for what the projection lacks: within a time, and once at a time per article."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from urllib.parse import urlencode

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from servicekit import crash_points
from servicekit.consuming.store import Change, Document, ProjectionStore
from servicekit.correlation import HEADER, require_id
from servicekit.problems import Unavailable

from read_view import projection

# For one connection or one piece of an answer, and for all that a caller waits for.
TIMEOUT_SECONDS, PATIENCE_SECONDS = 2.0, 5.0
CONNECTIONS = 16
NOT_FOUND = 404
Flight = Future[Document | None]


class Origins:
    """The article and comment services, and the projection that what they say is written to."""

    def __init__(self, store: ProjectionStore) -> None:
        self._store = store
        self._session = requests.Session()
        # The origins are neighbours: no proxy of the environment lies between.
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0, pool_maxsize=CONNECTIONS))
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="origin")
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def articles(self, article_ids: Sequence[str]) -> list[Document | None]:
        """The documents after the origins were asked; None where there is no such article. Unavailable, DependencyDown."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        flights = [self._flight(one) for one in article_ids]
        try:
            return [flight.result(max(0.0, deadline - time.monotonic())) for flight in flights]
        except TimeoutError as error:
            raise Unavailable(f"the origins did not answer within {PATIENCE_SECONDS} s") from error

    def _flight(self, article_id: str) -> Flight:
        """The question that is on its way, or a new one: whoever asks meanwhile waits for the same answer."""
        with self._lock:
            flight = self._flights.get(article_id)
            if flight is None:
                # The correlation id goes along.
                flight = self._pool.submit(copy_context().run, self._fetch, article_id)
                self._flights[article_id] = flight
                flight.add_done_callback(lambda _: self._flights.pop(article_id, None))
            return flight

    def _fetch(self, article_id: str) -> Document | None:
        article = self._get(f"{settings.ARTICLE_URL}/v1/articles/{article_id}")
        if article is None:
            return None
        likes = self._get(f"{settings.ARTICLE_URL}/v1/articles/{article_id}/likes")
        comments = self._get(f"{settings.COMMENT_URL}/v1/articles/{article_id}/comment-count")
        crash_points.reach("projection.after-origin-before-write")

        def decide(document: Document | None) -> Change:
            after = projection.take_content(document, article)
            if likes is not None:
                after = projection.take_likes(after, likes["like_count"], likes["like_version"])
            if comments is not None:
                after = projection.take_comments(after, comments["comment_count"], comments["comment_version"])
            return projection.change(after)

        return self._store.merge(article_id, decide)

    def board(self, board_id: str, *, page_size: int, cursor: str | None) -> dict[str, Any]:
        """A page of a board's articles as the article service lists them. Unavailable."""
        query = {"board_id": board_id, "page_size": page_size} | ({"cursor": cursor} if cursor else {})
        found = self._get(f"{settings.ARTICLE_URL}/v1/articles?{urlencode(query)}")
        return found if found is not None else {"items": [], "next_cursor": None}

    def _get(self, url: str) -> dict[str, Any] | None:
        try:
            answer = self._session.get(url, timeout=TIMEOUT_SECONDS, headers={HEADER: require_id()})
            if answer.status_code == NOT_FOUND:
                return None
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(f"the origin does not answer: {type(error).__name__} at {url}") from error
        return found
