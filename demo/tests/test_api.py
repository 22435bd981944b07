"""What the services answer, and what no answer is, over real HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from demo.api import Board, NoAnswer, Refused


class Handler(BaseHTTPRequestHandler):
    """Pages of three items; /v1/refused, /v1/none and /v1/silent do as they say."""

    seen: list[tuple[str, str, object]] = []  # noqa: RUF012 - one list for all requests

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.seen.append((self.command, self.path, body))
        path = self.path.partition("?")[0]
        if path == "/v1/silent":
            self.server.silence.wait()  # type: ignore[attr-defined]
            return
        status = {"/v1/refused": 400, "/v1/none": 404, "/v1/broken": 503}.get(path, 200)
        page = 2 if "cursor=next" in self.path else 1
        found = {"id": "5", "version": 1, "items": [{"id": str(page)}], "next_cursor": "next" if page == 1 else None}
        data = json.dumps(found if status == 200 else {"title": "why it is refused"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def board() -> Iterator[Board]:
    Handler.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.silence = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    board = Board(dict.fromkeys(("article", "comment", "popular", "read-view"), url), timeout_seconds=5.0)
    yield board
    board.close()
    server.silence.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_call_is_the_one_of_the_published_api(board: Board) -> None:
    assert board.create_article("1", "t", "c", "7")["id"] == "5"
    board.update_article("5", {"title": "x"})
    board.like("5", "7", liked=True)
    board.like("5", "7", liked=False)
    board.create_comment("5", "c", "7")
    board.create_comment("5", "c", "7", parent_id="6")
    board.delete_comment("6")
    board.delete_article("5")
    comment = {"article_id": "5", "content": "c", "writer_id": "7"}
    assert Handler.seen == [
        ("POST", "/v1/articles", {"board_id": "1", "title": "t", "content": "c", "writer_id": "7"}),
        ("PATCH", "/v1/articles/5", {"title": "x"}),
        ("PUT", "/v1/articles/5/likes/7", None),
        ("DELETE", "/v1/articles/5/likes/7", None),
        ("POST", "/v1/comments", comment),
        ("POST", "/v1/comments", {**comment, "parent_id": "6"}),
        ("DELETE", "/v1/comments/6", None),
        ("DELETE", "/v1/articles/5", None),
    ]


def test_a_list_is_read_to_its_last_page(board: Board) -> None:
    assert [item["id"] for item in board.pages("article", "articles", board_id="1")] == ["1", "2"]
    assert [path for _, path, _ in Handler.seen] == [
        "/v1/articles?board_id=1&page_size=100",
        "/v1/articles?board_id=1&cursor=next&page_size=100",
    ]


def test_a_refusal_is_told_in_the_services_words(board: Board) -> None:
    with pytest.raises(Refused, match=r"400 GET .*/v1/refused: .*why it is refused") as raised:
        board.call("article", "GET", "refused")
    assert raised.value.status == 400


def test_what_is_not_there_is_none_and_other_refusals_are_not(board: Board) -> None:
    assert board.find("article", "none") is None
    with pytest.raises(Refused):
        board.find("article", "broken")


def test_silence_is_no_answer_and_is_not_tried_again(board: Board) -> None:
    impatient = Board(board.urls, timeout_seconds=0.2)
    with pytest.raises(NoAnswer, match="ReadTimeout"):
        impatient.call("article", "POST", "silent", {})
    impatient.close()
    assert len(Handler.seen) == 1
    nobody = Board({"article": "http://127.0.0.1:1"})
    with pytest.raises(NoAnswer, match="ConnectionError"):
        nobody.call("article", "GET", "articles")
    nobody.close()
