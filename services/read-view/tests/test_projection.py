"""What events and origins make of an article's document: only what is newer is taken, in whatever order it comes."""

import random
from typing import Any

from board_events import History, deliveries, histories
from events.envelope import Envelope, format_time
from hypothesis import given
from hypothesis import strategies as st
from read_view import projection
from servicekit.consuming.store import Document


def document(events: list[Envelope]) -> Document:
    found: Document | None = None
    for event in events:
        found = projection.apply(found, event)
    assert found is not None
    return found


def ask(history: History, document: Document | None) -> Document:
    """The document after the origins' answers at this point of the history, as `origins` takes them over."""
    content = [event.data for event in history.article_events if "title" in event.data][-1]
    after = projection.take_content(document, content)
    after = projection.take_likes(after, history.like_count, history.like_version)
    return projection.take_comments(after, history.comment_count, history.comment_version)


@given(st.data())
def test_order_between_topics_and_repetition_do_not_matter(data: st.DataObject) -> None:
    history = data.draw(histories())
    assert document(data.draw(deliveries(history))) == document(history.events)


@given(histories(), st.randoms(use_true_random=False))
def test_not_even_order_within_a_topic_matters(history: History, rng: random.Random) -> None:
    shuffled = history.events * 2
    rng.shuffle(shuffled)
    assert document(shuffled) == document(history.events)


@given(st.data())
def test_answers_of_origins_in_between_change_nothing_in_the_end(data: st.DataObject) -> None:
    """Taken when the article stood somewhere in its history, and written at any moment before or after."""
    steps = data.draw(st.lists(st.sampled_from(["update", "like", "comment"]), max_size=8))
    history = History("100")
    history.create()
    answers = [ask(history, None)]
    for step in steps:
        getattr(history, step)()
        answers.append(ask(history, None))
    if data.draw(st.booleans()):
        history.delete()
    found: Document | None = None
    for event in data.draw(deliveries(history)):
        if data.draw(st.booleans()):
            found = _merge(found, data.draw(st.sampled_from(answers)))
        found = projection.apply(found, event)
    assert _merge(found, data.draw(st.sampled_from(answers))) == document(history.events)


def _merge(document: Document | None, answer: Document) -> Document:
    for part, content in answer.items():
        document = projection.take(document, part, content)
    assert document is not None
    return document


@given(histories())
def test_the_view_is_the_last_of_everything(history: History) -> None:
    found = document(history.events)
    assert projection.is_deleted(found) == history.deleted
    if not history.deleted:
        assert projection.view("100", found) == {
            "id": "100",
            "board_id": "1",
            "title": history.title,
            "content": "본문",
            "writer_id": "5",
            "created_at": format_time(history.created_at),
            "modified_at": [e.data["modified_at"] for e in history.article_events if "title" in e.data][-1],
            "version": history.version,
            "like_count": history.like_count,
            "comment_count": history.comment_count,
        }


def test_a_deletion_leaves_its_version_and_nothing_older_brings_the_article_back() -> None:
    history = History("100")
    history.create()
    history.update()
    stale = ask(history, None)
    history.delete()
    found = document(history.events)
    assert found["content"] == {"version": 3, "deleted": True, "board_id": "1"}
    for event in history.article_events[:2]:
        assert projection.apply(found, event) == found
    assert _merge(found, stale)["content"] == found["content"]


def test_a_deleted_article_has_no_place_in_its_board() -> None:
    history = History("100")
    history.create()
    assert projection.change(document(history.events)).places == {"board:1": 0}
    history.delete()
    assert projection.change(document(history.events)).places == {"board:1": None}


def test_counts_may_come_before_their_article() -> None:
    history = History("100")
    history.create()
    history.comment()
    early: dict[str, Any] = document(history.comment_events)
    assert not projection.is_known(early)
    assert projection.change(early).places == {}
    assert projection.view("100", projection.apply(early, history.article_events[0]))["comment_count"] == 1
