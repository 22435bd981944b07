"""`manage.py rebuild` against a broker: the rebuilt projection equals the live one byte by byte."""

from io import StringIO

from board_events import History
from django.core.management import call_command
from read_view.consumers import make_consumer
from reading_suite import consuming, contents, wait_until_taken


def test_the_rebuilt_projection_equals_the_live_one(client, store, settings, bootstrap_servers: str, publish) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = bootstrap_servers
    histories = [History(str(100 + number), board_id=str(number % 3 + 1)) for number in range(15)]
    for number, history in enumerate(histories):
        history.create(title=f"글 {number}")
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
        live = contents(client, "read_view:1")
        output = StringIO()
        # The consumer goes on meanwhile, and on the new one afterwards.
        call_command("rebuild", stdout=output)
        assert output.getvalue().strip() == f"rebuilt read_view from {len(events)} records"
        built = contents(client, "read_view:2")
        assert int(str(built.pop(":last-event-ms"))) > 0
        live.pop(":last-event-ms")
        assert built == live
        assert contents(client, "read_view:1") == {}
        publish(histories[0].like())
        wait_until_taken(store, len(events) + 1)
    assert store.documents(["100"])[0]["likes"] == {"version": 1, "count": 1}
