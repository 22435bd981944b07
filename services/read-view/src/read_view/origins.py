"""Asking the services that own the data, for what the projection lacks: with a time-out, and once at a time per article."""

import threading
from concurrent.futures import Future
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

TIMEOUT_SECONDS = 2.0
CONNECTIONS = 16
NOT_FOUND = 404


class Origins:
    """The article and comment services, and the projection that what they say is written to."""

    def __init__(self, store: ProjectionStore) -> None:
        self._store = store
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=0, pool_maxsize=CONNECTIONS))
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Document | None]] = {}

    def article(self, article_id: str) -> Document | None:
        """The document after the origins were asked; None when there is no such article. Unavailable."""
        with self._lock:
            flight = self._flights.get(article_id)
            mine = flight is None
            if flight is None:
                flight = self._flights[article_id] = Future()
        if mine:
            try:
                flight.set_result(self._fetch(article_id))
            except BaseException as error:  # noqa: BLE001 - handed to those who wait for the same answer
                flight.set_exception(error)
            finally:
                with self._lock:
                    del self._flights[article_id]
        return flight.result(TIMEOUT_SECONDS * 4)

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
