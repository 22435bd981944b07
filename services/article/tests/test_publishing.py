"""From a committed row to the topic, with a real broker, a real relay, and where it matters real processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from article import services
from article.models import Article
from board_topics import Taken, by_key, create_topics, read_topic, without_repetition
from broker.testing import BrokerProcess
from django.db import connection
from events.topics import ARTICLE_TOPIC
from service_suite import Database, ServiceProcess
from servicekit import crash_points
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.relay import Relay
from waiting import wait_until

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"
POST = {"board_id": "1", "title": "제목", "content": "본문", "writer_id": "5"}
WRITE_SECONDS = 30.0
WRITERS = 4


@pytest.fixture
def broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerProcess]:
    with BrokerProcess() as started:
        create_topics(started.bootstrap_servers)
        settings.KAFKA_BOOTSTRAP_SERVERS = started.bootstrap_servers
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", started.bootstrap_servers)
        yield started


@contextmanager
def relay_running() -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Relay().run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def unsent() -> int:
    return OutboxEvent.objects.filter(sent_at__isnull=True).count()


def create(title: str = "t") -> Article:
    return services.article_create(board_id=1, title=title, content="c", writer_id=9)


def versions(taken: list[Taken]) -> dict[str, list[int]]:
    return {key: [event.aggregateversion for event in without_repetition(events)] for key, events in by_key(taken).items()}


def test_a_roll_back_gives_no_event(database: Database, broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(crash_points, "reach", fail)
        with pytest.raises(ZeroDivisionError):
            create("rolled back")
    kept = create("kept")
    with relay_running():
        wait_until(lambda: unsent() == 0, "the event to be sent")
    assert [(one.key, one.event.data["title"]) for one in read_topic(broker.bootstrap_servers, ARTICLE_TOPIC)] == [
        (str(kept.id), "kept")
    ]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_two_transactions_that_commit_in_reverse_id_order_keep_the_order_per_key(
    database: Database, broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A takes its id first and commits last. B, of another article, overtakes it; C, of the same article, cannot."""
    x, y = create("x"), create("y")
    a_is_written, a_may_commit = threading.Event(), threading.Event()
    reach = crash_points.reach

    def hold_a(name: str) -> None:
        if threading.current_thread().name == "A" and name == "article.before-commit":
            a_is_written.set()
            assert a_may_commit.wait(60)
        reach(name)

    def change_x() -> None:
        services.article_update(article_id=x.id, title=threading.current_thread().name, content=None)
        connection.close()

    monkeypatch.setattr(crash_points, "reach", hold_a)
    a, c = threading.Thread(target=change_x, name="A"), threading.Thread(target=change_x, name="C")
    with relay_running():
        a.start()
        assert a_is_written.wait(60)
        c.start()
        services.article_update(article_id=y.id, title="B", content=None)
        wait_until(lambda: unsent() == 0, "B's event to be sent")
        assert c.is_alive(), "C must wait for A, who has the article's lock"
        a_may_commit.set()
        a.join(60)
        c.join(60)
        wait_until(lambda: unsent() == 0, "all events to be sent")
    by_id = [bytes(row.value) for row in OutboxEvent.objects.order_by("id")]
    titles = [next(title for title in "xyABC" if f'"title":"{title}"'.encode() in value) for value in by_id]
    assert titles == ["x", "y", "A", "B", "C"]
    taken = read_topic(broker.bootstrap_servers, ARTICLE_TOPIC)
    assert versions(taken) == {str(x.id): [1, 2, 3], str(y.id): [1, 2]}
    assert [event.data["title"] for event in by_key(taken)[str(x.id)]] == ["x", "A", "C"]


def test_the_broker_is_down_while_people_post(database: Database, broker: BrokerProcess, tmp_path: Path) -> None:
    """Posts are taken, the worker says what is wrong, and the events arrive later, in order."""
    with (
        ServiceProcess(MANAGE, "web", tmp_path / "web.log") as web,
        ServiceProcess(MANAGE, "worker", tmp_path / "worker.log") as worker,
    ):
        posted = [post(web, f"before {number}") for number in range(5)]
        wait_until(lambda: unsent() == 0, "the first events to be sent")
        broker.kill()
        posted += [post(web, f"meanwhile {number}") for number in range(15)]
        for article_id in posted:
            change(web, article_id)
        assert web.ready().status_code == 200
        wait_until(lambda: worker.ready().status_code == 503, "the worker to say that it cannot send")
        assert "relay" in worker.ready().json()["problems"]
        assert unsent() == 35
        broker.start()
        wait_until(lambda: unsent() == 0, "all events to be sent")
        wait_until(lambda: worker.ready().status_code == 200, "the worker to be well")
        posted.append(post(web, "after"))
        wait_until(lambda: unsent() == 0, "the last event to be sent")
    taken = versions(read_topic(broker.bootstrap_servers, ARTICLE_TOPIC))
    assert taken == {article_id: [1, 2] for article_id in posted[:-1]} | {posted[-1]: [1]}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_web_and_relay_write_sqlite_at_once(database: Database, broker: BrokerProcess, tmp_path: Path) -> None:
    """For 30 s, several writers: nobody ever hears that the database is locked, and every event arrives."""
    written: list[str] = []
    with (
        ServiceProcess(MANAGE, "web", tmp_path / "web.log") as web,
        ServiceProcess(MANAGE, "worker", tmp_path / "worker.log") as worker,
    ):
        write_for_a_while(web, written)
        wait_until(lambda: unsent() == 0, "all events to be sent")
    for process in (web, worker):
        assert "locked" not in process.log_text()
        assert "answered 5" not in process.log_text()
    assert len(written) > 2 * WRITERS
    assert Article.objects.count() == len(written)
    taken = by_key(read_topic(broker.bootstrap_servers, ARTICLE_TOPIC))
    assert taken.keys() == set(written)
    for events in taken.values():
        assert [event.type for event in without_repetition(events)] == ["article.created", "article.liked", "article.updated"]


def write_for_a_while(web: ServiceProcess, written: list[str]) -> None:
    """Each writer posts, likes and changes; any answer but a good one ends the test."""
    until, failures = time.monotonic() + WRITE_SECONDS, list[BaseException]()

    def write() -> None:
        try:
            with requests.Session() as session:
                while time.monotonic() < until and not failures:
                    article_id = post(web, "t", session)
                    good(session.put(f"{web.url}/v1/articles/{article_id}/likes/7", timeout=60))
                    change(web, article_id, session)
                    written.append(article_id)
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def post(web: ServiceProcess, title: str, session: Any = requests) -> str:
    return str(good(session.post(f"{web.url}/v1/articles", json=POST | {"title": title}, timeout=60))["id"])


def change(web: ServiceProcess, article_id: str, session: Any = requests) -> None:
    good(session.patch(f"{web.url}/v1/articles/{article_id}", json={"title": "changed"}, timeout=60))


def good(answer: requests.Response) -> Any:
    assert answer.ok, f"{answer.status_code}: {answer.text}"
    return answer.json()
