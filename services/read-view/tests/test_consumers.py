"""Events become documents and places in Valkey, each in one transaction with its position."""

from board_events import History, deliveries, histories
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from read_view.consumers import ReadViewProjection, live_store, make_consumer
from reading_suite import Feed, contents


def test_an_event_makes_a_document_and_a_place(client, feed, store) -> None:
    history = History("100", board_id="7")
    feed.deliver(history.create(), history.like(), history.comment())
    found = contents(client, "read_view:1")
    assert found[":index:board:7"] == [("0000000000000000100", 0.0)]
    assert (found[":position:article-topic:0"], found[":position:comment-topic:0"]) == ("2", "1")
    assert store.documents(["100"])[0]["likes"] == {"version": 1, "count": 1}
    assert int(found[":last-event-ms"]) == int(history.now.timestamp() * 1000)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_gives_the_same_bytes(client, store, data: st.DataObject) -> None:
    written = []
    history = data.draw(histories())
    for events in (history.events, data.draw(deliveries(history))):
        client.flushall()
        Feed(ReadViewProjection(live_store())).deliver(*events)
        found = contents(client, "read_view:1")
        written.append({key: value for key, value in found.items() if key.startswith((":document", ":index"))})
    assert written[0] == written[1]


def test_the_consumer_has_the_services_group() -> None:
    assert make_consumer().name == "consumer of read-view"
