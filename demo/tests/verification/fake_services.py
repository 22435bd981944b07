"""The four services as dictionaries, for what only needs their answers. Everything agrees until a test changes it."""

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import requests
from demo.api import Board, Json, NoAnswer, Refused
from demo.verification import LogView
from demo.verification.log_view import ZONE

NOW = datetime.now(ZONE).isoformat()


def article(article_id: str, board_id: str = "1", version: int = 1) -> Json:
    return {"id": article_id, "board_id": board_id, "title": f"title {article_id}", "version": version, "created_at": NOW}


class FakeBoard(Board):
    """Three articles of one board, number 3 with two likes and a comment; all of them shown everywhere."""

    def __init__(self) -> None:
        self.articles = {number: article(number) for number in ("1", "2", "3")}
        self.likes: dict[str, set[str]] = {"3": {"7", "8"}}
        self.comments: dict[str, Json] = {"90": {"id": "90", "article_id": "3", "deleted": False}}
        self.views = {
            number: {**copy.deepcopy(one), "like_count": 2 * (number == "3"), "comment_count": int(number == "3")}
            for number, one in self.articles.items()
        }
        self.source = dict.fromkeys(self.views, "projection")
        self.view_lists = {"1": ["3", "2", "1"]}
        self.popular = [{"article_id": "3", "score": 8}]
        self.silent = False

    def log(self) -> LogView:
        """The events that made all this."""
        view = LogView()
        for number, one in sorted(self.articles.items()):
            data = {"board_id": one["board_id"], "created_at": one["created_at"]}
            self._event(view, "article.created", number, one["version"], **data)
        for number, users in self.likes.items():
            self._event(view, "article.liked", number, len(users), like_count=len(users))
        for number in {comment["article_id"] for comment in self.comments.values()}:
            count = sum(comment["article_id"] == number for comment in self.comments.values())
            self._event(view, "comment.created", number, count, comment_count=count)
        return view

    @staticmethod
    def _event(view: LogView, kind: str, subject: str, version: int, **data: Any) -> None:
        fields = {"type": kind, "time": NOW, "subject": subject, "aggregateversion": version, "data": data}
        view.add(json.dumps(fields).encode())

    def call(self, service: str, method: str, path: str, body: Json | None = None, **query: str) -> requests.Response:
        if self.silent:
            raise NoAnswer(f"{method} {path}")
        found = self._answer(service, path.split("/"), query)
        if found is None:
            raise Refused(404, path)
        answer = requests.Response()
        answer.status_code = 200
        answer._content = json.dumps(found).encode()
        if service == "read-view" and len(path.split("/")) == 2:
            answer.headers["X-Source"] = self.source[path.split("/")[1]]
        return answer

    def _answer(self, service: str, path: list[str], query: dict[str, str]) -> Any:
        match service, path:
            case "article", ["articles", number]:
                return self.articles.get(number)
            case "article", ["articles"]:
                listed = [number for number, one in self.articles.items() if one["board_id"] == query["board_id"]]
                return {"items": [{"id": number} for number in sorted(listed, reverse=True)], "next_cursor": None}
            case "article", ["articles", number, "likes"]:
                return {"like_count": len(self.likes.get(number, ()))}
            case "article", ["articles", number, "likes", user]:
                return {"liked": user in self.likes.get(number, ())}
            case "comment", ["articles", number, "comment-count"]:
                return {"comment_count": sum(comment["article_id"] == number for comment in self.comments.values())}
            case "comment", ["comments", number]:
                return self.comments.get(number)
            case "read-view", ["articles", number]:
                return self.views.get(number)
            case "read-view", ["articles"]:
                return {"items": [{"id": number} for number in self.view_lists[query["board_id"]]], "next_cursor": None}
            case "popular", ["popular"]:
                today = query["date"] == datetime.now(ZONE).date().isoformat()
                return {"items": self.popular if today else []}
        raise AssertionError(f"{service} has no {path}")

    def pages(self, service: str, path: str, **query: str) -> Iterator[Json]:
        yield from self.call(service, "GET", path, None, **query).json()["items"]
