"""`./board load`: mixed reads and writes at a steady rate, with a ledger of every write that got a 2xx.

Each thread owns the articles it wrote, so that the ledger's order per article is the order of the writes. The delay from
event to view is measured on a sample of the writes: from the answer of the write until the projection shows it. Only an
answer with `X-Source: projection` counts as shown. Ctrl-C ends the load as the end of its time does; what was promised
until then is in the ledger.
"""

import argparse
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import requests
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from demo.api import Board, Json, NoAnswer, Refused
from demo.layout import DemoError, Layout
from demo.ledger import Entry, Ledger
from demo.state import require_running
from demo.terminal import Terminal

THREADS = 8
ARTICLES_PER_THREAD_MAX = 200
SAMPLE_SHARE = 0.2
VIEW_POLL_SECONDS = 0.01
SERVER_ERROR = 500
VIEW_TIMEOUT_SECONDS = 60.0
BOARDS = tuple(str(number) for number in range(1, 6))
# (action, weight): three reads for two writes.
ACTIONS = (
    ("read", 35), ("list", 15), ("popular", 10),
    ("create", 10), ("update", 6), ("like", 12), ("unlike", 3), ("comment", 7), ("uncomment", 1), ("delete", 1),
)  # fmt: skip


@dataclass
class Figures:
    """What the threads counted."""

    requests: int = 0
    reads: int = 0
    writes: int = 0
    refused: int = 0
    unanswered: int = 0
    unseen: int = 0
    delays_ms: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def error(self, kind: str, text: str) -> None:
        with self.lock:
            setattr(self, kind, getattr(self, kind) + 1)
            key = text[:160]
            if key in self.errors or len(self.errors) < 20:
                self.errors[key] = self.errors.get(key, 0) + 1


@dataclass
class Article:
    """An article this thread wrote, with what it knows of it."""

    article_id: str
    version: int
    likes: set[str] = field(default_factory=set)
    comments: list[str] = field(default_factory=list)
    # An unanswered write leaves the counts unknown: no delay is measured on it any more.
    certain: bool = True


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    terminal = Terminal()
    figures = Figures()
    stop, hurry = threading.Event(), threading.Event()

    def end_now(number: int, frame: object) -> None:
        stop.set()
        hurry.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end_now)
    seed = arguments.seed if arguments.seed is not None else time.time_ns() % 1_000_000
    try:
        ledger = Ledger(layout.ledger_directory / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}.jsonl")
    except OSError as error:
        raise DemoError(f"the ledger cannot be written: {error}") from error
    rate = arguments.rate / THREADS
    workers = [Worker(layout, figures, ledger, stop, hurry, seed=f"{seed}-{number}", rate=rate) for number in range(THREADS)]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    _watch(terminal, arguments.seconds, figures, stop)
    seconds = time.monotonic() - began
    stop.set()
    for thread in threads:
        thread.join()
    _print(terminal, figures, ledger, seconds)
    try:
        ledger.close()
    except OSError as error:
        raise DemoError(
            f"the ledger could not be written: {error}; it lacks the last writes, so remove {ledger.path} before ./board verify"
        ) from error
    return 0 if figures.refused == 0 and figures.unseen == 0 else 1


def _watch(terminal: Terminal, seconds: float, figures: Figures, stop: threading.Event) -> None:
    columns = (*Progress.get_default_columns(), TimeElapsedColumn(), TextColumn("{task.fields[counts]}"))
    with terminal.progress(*columns) as progress:
        task = progress.add_task("load", total=seconds, counts="")
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds and not stop.wait(0.2):
            counts = f"{figures.requests} requests, {figures.refused + figures.unanswered} errors"
            progress.update(task, completed=passed, counts=counts)


class Worker:
    """One thread of the load: paced requests, chosen by weight."""

    def __init__(
        self,
        layout: Layout,
        figures: Figures,
        ledger: Ledger,
        stop: threading.Event,
        hurry: threading.Event,
        *,
        seed: str,
        rate: float,
    ) -> None:
        self.board = Board.of(layout)
        self.figures = figures
        self.ledger = ledger
        self.stop = stop
        # Do not even wait for what was written to be shown.
        self.hurry = hurry
        self.rng = random.Random(seed)
        self.interval_seconds = 1.0 / rate
        self.articles: list[Article] = []
        self.user_id = str(self.rng.randint(1, 10**6))

    def run(self) -> None:
        names, weights = zip(*ACTIONS, strict=True)
        due = time.monotonic() + self.rng.random() * self.interval_seconds
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            # A late thread does not run after what it missed: the rate is an aim, printed as what it was.
            due = max(due + self.interval_seconds, time.monotonic() - self.interval_seconds)
            action = self.rng.choices(names, weights)[0] if self.articles else "create"
            self._do(action)

    def _do(self, action: str) -> None:
        with self.figures.lock:
            self.figures.requests += 1
        try:
            getattr(self, f"_{action}")()
        except Refused as refusal:
            self.figures.error("refused", str(refusal))
        except NoAnswer as error:
            self.figures.error("unanswered", str(error).split("?")[0])
        except OSError:  # of the ledger, which tells it when it is closed
            self.stop.set()
            self.hurry.set()

    def _read(self) -> None:
        self.board.find("read-view", f"articles/{self.rng.choice(self.articles).article_id}")
        self.figures.reads += 1

    def _list(self) -> None:
        self.board.call("read-view", "GET", "articles", board_id=self.rng.choice(BOARDS))
        self.figures.reads += 1

    def _popular(self) -> None:
        self.board.call("popular", "GET", "popular")
        self.figures.reads += 1

    def _create(self) -> None:
        number = self.rng.randint(1, 10**9)
        # An unanswered create has no id to remember: it may exist, and nothing was promised.
        board_id = self.rng.choice(BOARDS)
        made = self.board.create_article(board_id, f"글 {number} post", f"부하 시험 load {number}", self.user_id)
        article = Article(made["id"], int(made["version"]))
        self._promised(Entry("create", article.article_id, version=article.version))
        if len(self.articles) < ARTICLES_PER_THREAD_MAX:
            self.articles.append(article)
        self._sample(article, lambda view: int(view["version"]) >= article.version, lambda: self._newest(board_id, article))

    def _update(self) -> None:
        article = self.rng.choice(self.articles)
        changes = {"title": f"고친 글 {self.rng.randint(1, 10**9)} edited"}
        entry = Entry("update", article.article_id)
        made = self._write(article, entry, lambda: self.board.update_article(article.article_id, changes))
        article.version = int(made["version"])
        self._promised(Entry("update", article.article_id, version=article.version))
        self._sample(article, lambda view: int(view["version"]) >= article.version)

    def _delete(self) -> None:
        article = self.articles.pop(self.rng.randrange(len(self.articles)))
        self._write(article, Entry("delete", article.article_id), lambda: self.board.delete_article(article.article_id))
        self._promised(Entry("delete", article.article_id))

    def _like(self) -> None:
        article = self.rng.choice(self.articles)
        user_id = str(self.rng.randint(1, 500))
        entry = Entry("like", article.article_id, user_id=user_id)
        self._write(article, entry, lambda: self.board.like(article.article_id, user_id, liked=True))
        article.likes.add(user_id)
        self._promised(entry)
        self._sample(article, lambda view: int(view["like_count"]) == len(article.likes))

    def _unlike(self) -> None:
        article = self.rng.choice(self.articles)
        if not article.likes:
            return
        user_id = self.rng.choice(sorted(article.likes))
        entry = Entry("unlike", article.article_id, user_id=user_id)
        self._write(article, entry, lambda: self.board.like(article.article_id, user_id, liked=False))
        article.likes.discard(user_id)
        self._promised(entry)

    def _comment(self) -> None:
        article = self.rng.choice(self.articles)
        made = self._write(
            article, None, lambda: self.board.create_comment(article.article_id, f"댓글 {self.rng.random():.6f}", self.user_id)
        )
        article.comments.append(made["id"])
        self._promised(Entry("comment", article.article_id, comment_id=made["id"]))
        self._sample(article, lambda view: int(view["comment_count"]) == len(article.comments))

    def _uncomment(self) -> None:
        article = self.rng.choice(self.articles)
        if not article.comments:
            return
        comment_id = article.comments.pop()
        entry = Entry("uncomment", article.article_id, comment_id=comment_id)
        self._write(article, entry, lambda: self.board.delete_comment(comment_id))
        self._promised(entry)

    def _write(self, article: Article, entry: Entry | None, send: Callable[[], Json | None]) -> Json:
        """Send a write; one without an answer, or with one that says nothing of its effect, is put down as uncertain."""
        if entry is not None:
            self.ledger.sent(entry)
        try:
            return send() or {}
        except (NoAnswer, Refused) as error:
            no_effect = isinstance(error, Refused) and error.status < SERVER_ERROR
            article.certain = article.certain and no_effect
            if entry is not None:
                if no_effect:
                    self.ledger.refused(entry)
                else:
                    self.ledger.add(replace(entry, certain=False))
            raise

    def _promised(self, entry: Entry) -> None:
        self.ledger.add(entry)
        with self.figures.lock:
            self.figures.writes += 1

    def _newest(self, board_id: str, article: Article) -> Json | None:
        """A new article in the list of its board, where only its event brings it: by its id it is fetched from its origin."""
        page = _projected(self.board.call("read-view", "GET", "articles", board_id=board_id))
        return next((item for item in page.get("items", []) if item["id"] == article.article_id), None)

    def _known(self, article: Article) -> Json | None:
        answer = self.board.find("read-view", f"articles/{article.article_id}")
        return _projected(answer) if answer is not None else None

    def _sample(self, article: Article, shown: Callable[[Json], bool], look: Callable[[], Json | None] | None = None) -> None:
        """On a share of the writes: wait until the projection shows it, and note how long that took."""
        if not article.certain or self.rng.random() >= SAMPLE_SHARE:
            return
        began = time.monotonic()
        while time.monotonic() - began < VIEW_TIMEOUT_SECONDS:
            if self.hurry.is_set():
                return
            try:
                view = look() if look is not None else self._known(article)
            except (NoAnswer, Refused):
                view = None
            if view and shown(view):
                with self.figures.lock:
                    self.figures.delays_ms.append((time.monotonic() - began) * 1000)
                return
            time.sleep(VIEW_POLL_SECONDS)
        self.figures.error(
            "unseen", f"article {article.article_id} was not shown by the projection in {VIEW_TIMEOUT_SECONDS:.0f} s"
        )


def _projected(answer: requests.Response) -> Json:
    """The body of an answer that came from the projection; empty when it came from elsewhere."""
    return dict(answer.json()) if answer.headers.get("X-Source") == "projection" else {}


def _print(terminal: Terminal, figures: Figures, ledger: Ledger, seconds: float) -> None:
    terminal.say(
        f"{figures.requests} requests in {seconds:.1f} s ({figures.requests / seconds:.1f}/s): {figures.reads} reads, "
        f"{figures.writes} writes, {figures.refused} refused, {figures.unanswered} without an answer, {figures.unseen} never seen"
    )
    delays = sorted(figures.delays_ms)
    if delays:
        p50, p99 = delays[len(delays) // 2], delays[min(len(delays) - 1, int(len(delays) * 0.99))]
        terminal.say(f"event to view: p50 {p50:.0f} ms, p99 {p99:.0f} ms over {len(delays)} samples")
    for text, count in sorted(figures.errors.items(), key=lambda item: -item[1]):
        terminal.say(f"  {count} x {text}")
    terminal.say(f"{ledger.count} promises in the ledger {ledger.path}")
