"""The board's REST API as the demo's commands use it: one session per thread, every call with a time-out.

Owns URLs and the reading of answers. A refusal raises `Refused` with the service's own words; what got no answer raises
`NoAnswer`: whether it took effect is then unknown, and callers must not claim either.
"""

from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from demo.layout import Layout

TIMEOUT_SECONDS = 10.0
PAGE_SIZE = 100
Json = dict[str, Any]


class Refused(Exception):
    """A status of 400 or above."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{status} {what}")
        self.status = status


class NoAnswer(Exception):
    """No complete answer arrived within the time-out."""


class Board:
    """The four services of one board."""

    def __init__(self, urls: dict[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.urls = urls
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        # No silent retries: the ledger must know of every attempt.
        self._session.mount("http://", HTTPAdapter(max_retries=0, pool_maxsize=4))

    @classmethod
    def of(cls, layout: Layout) -> "Board":
        return cls({service: layout.url(service) for service in ("article", "comment", "popular", "read-view")})

    def close(self) -> None:
        self._session.close()

    def call(self, service: str, method: str, path: str, body: Json | None = None, **query: str) -> requests.Response:
        """One request; raises Refused or NoAnswer."""
        url = f"{self.urls[service]}/v1/{path}"
        try:
            answer = self._session.request(method, url, json=body, params=query, timeout=self._timeout_seconds)
        except requests.RequestException as error:
            raise NoAnswer(f"{method} {url}: {type(error).__name__}") from error
        if answer.status_code >= requests.codes.bad_request:
            raise Refused(answer.status_code, f"{method} {url}: {answer.text[:300]}")
        return answer

    def find(self, service: str, path: str, **query: str) -> requests.Response | None:
        """GET; None when there is no such thing."""
        try:
            return self.call(service, "GET", path, None, **query)
        except Refused as refusal:
            if refusal.status == requests.codes.not_found:
                return None
            raise

    def pages(self, service: str, path: str, **query: str) -> Iterator[Json]:
        """All items of a list, page by page."""
        cursor = ""
        while True:
            position = {"cursor": cursor} if cursor else {}
            page = self.call(service, "GET", path, None, **query, **position, page_size=str(PAGE_SIZE)).json()
            yield from page["items"]
            cursor = page["next_cursor"] or ""
            if not cursor:
                return

    def create_article(self, board_id: str, title: str, content: str, writer_id: str) -> Json:
        body = {"board_id": board_id, "title": title, "content": content, "writer_id": writer_id}
        return dict(self.call("article", "POST", "articles", body).json())

    def update_article(self, article_id: str, changes: Json) -> Json:
        return dict(self.call("article", "PATCH", f"articles/{article_id}", changes).json())

    def delete_article(self, article_id: str) -> None:
        self.call("article", "DELETE", f"articles/{article_id}")

    def like(self, article_id: str, user_id: str, *, liked: bool) -> None:
        self.call("article", "PUT" if liked else "DELETE", f"articles/{article_id}/likes/{user_id}")

    def create_comment(self, article_id: str, content: str, writer_id: str, parent_id: str | None = None) -> Json:
        body: Json = {"article_id": article_id, "content": content, "writer_id": writer_id}
        if parent_id is not None:
            body["parent_id"] = parent_id
        return dict(self.call("comment", "POST", "comments", body).json())

    def delete_comment(self, comment_id: str) -> None:
        self.call("comment", "DELETE", f"comments/{comment_id}")
