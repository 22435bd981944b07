"""`manage.py rebuild` against a broker: rebuilt in any later week, the projection is the same byte by byte."""

from io import StringIO

import pytest
from board_events import BEGIN, History
from django.core.management import CommandError, call_command
from popular.consumers import make_consumer
from reading_suite import consuming, contents, wait_until_taken


def test_the_rebuilt_projection_equals_the_live_one(client, store, settings, bootstrap_servers: str, publish) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = bootstrap_servers
    histories = [History(str(100 + number)) for number in range(15)]
    for number, history in enumerate(histories):
        history.create(BEGIN, title=f"글 {number}")
        for _ in range(number):
            history.like()
            history.comment()
    histories[3].delete()
    histories[4].unlike()
    events = [event for history in histories for event in history.events]
    with consuming(make_consumer()):
        # Comments first: the live projection met them in another order than the rebuilt one will.
        publish(*(event for history in histories for event in history.comment_events))
        publish(*(event for history in histories for event in history.article_events))
        wait_until_taken(store, len(events))
    live = contents(client, "popular:1")
    output = StringIO()
    call_command("rebuild", stdout=output)
    assert output.getvalue().strip() == f"rebuilt popular from {len(events)} records"
    built = contents(client, "popular:2")
    assert int(str(built.pop(":last-event-ms"))) > 0
    live.pop(":last-event-ms")
    assert built == live
    assert len(built[":index:day:2026-03-01"]) == 13
    assert contents(client, "popular:1") == {}
    with consuming(make_consumer()):
        publish(histories[0].like(BEGIN))
        wait_until_taken(store, len(events) + 1)
    assert ("100", 3) in store.best("day:2026-03-01", 100)


def test_without_a_broker_it_says_so_and_leaves_the_live_one(client, feed, monkeypatch, settings) -> None:
    from servicekit.consuming import rebuild

    monkeypatch.setattr(rebuild, "TIMEOUT_SECONDS", 1.0)
    feed.deliver(History("100").create())
    before = contents(client, "popular:1")
    settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:1"
    with pytest.raises(CommandError):
        call_command("rebuild")
    assert contents(client, "popular:1") == before
