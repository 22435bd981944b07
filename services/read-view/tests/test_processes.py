"""The web process and the worker as they are started for real."""

from pathlib import Path

import requests
from board_events import History
from service_suite import ServiceProcess
from waiting import wait_until

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"
NOBODY = "http://127.0.0.1:1"


def test_an_event_is_shown_with_the_origins_down(bootstrap_servers: str, publish, valkey_server, tmp_path) -> None:
    history = History("200", board_id="9")
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "VALKEY_URL": valkey_server.url,
        "ARTICLE_URL": NOBODY,
        "COMMENT_URL": NOBODY,
    }
    with (
        ServiceProcess(MANAGE, "worker", tmp_path / "worker", **environment) as worker,
        ServiceProcess(MANAGE, "web", tmp_path / "web", **environment) as web,
    ):
        wait_until(lambda: worker.ready().ok, "the worker ready")
        assert web.ready().ok
        publish(history.create(), history.comment(), history.like())

        def shown() -> bool:
            answer = requests.get(f"{web.url}/v1/articles/200", timeout=30)
            found = answer.json()
            return answer.ok and (found["like_count"], found["comment_count"]) == (1, 1)

        wait_until(shown, "the article with its counts")
        answer = requests.get(f"{web.url}/v1/articles?board_id=9", timeout=30)
        assert answer.headers["X-Source"] == "projection"
        assert [item["id"] for item in answer.json()["items"]] == ["200"]
