"""The projection's store, on a real Valkey: documents and positions change together or not at all."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from peers.valkey import ValkeyServer
from servicekit.consuming.positions import DependencyDown, PositionMoved, Step
from servicekit.consuming.store import Change, Document, ProjectionStore, connect

TOPIC = "article-topic"
P0 = (TOPIC, 0)


def step(offset: int, partition: int = 0) -> Step:
    return Step(TOPIC, partition, offset, offset + 1)


def put(value: object, places: dict[str, float | None] | None = None) -> Callable[[Document | None], Change]:
    return lambda document: Change({"value": value}, places or {})


def count(document: Document | None) -> Change:
    return Change({"count": (document or {"count": 0})["count"] + 1})


def test_partitions_begin_at_0_and_stay_where_they_are(store: ProjectionStore) -> None:
    assert store.positions([P0]) == {P0: None}
    assert store.begin([P0, (TOPIC, 1)]) == {P0: 0, (TOPIC, 1): 0}
    store.skip(step(0))
    assert store.begin([P0, (TOPIC, 1)]) == {P0: 1, (TOPIC, 1): 0}
    assert store.positions([P0, (TOPIC, 1)]) == {P0: 1, (TOPIC, 1): 0}
    assert store.positions([]) == {}


def test_an_effect_and_its_position_come_together(store: ProjectionStore) -> None:
    store.begin([P0])
    store.apply(step(0), "7", count, 1000)
    assert store.documents(["7", "8"]) == [{"count": 1}, None]
    assert store.begin([P0]) == {P0: 1}


@pytest.mark.parametrize("expected", [0, 2])
def test_from_another_position_nothing_is_applied(store: ProjectionStore, expected: int) -> None:
    """Neither a record that was taken before nor one behind a gap."""
    store.begin([P0])
    store.apply(step(0), "7", count, 1000)
    for act in (lambda: store.apply(step(expected), "7", count, 1000), lambda: store.skip(step(expected))):
        with pytest.raises(PositionMoved):
            act()
    assert store.documents(["7"]) == [{"count": 1}]
    assert store.begin([P0]) == {P0: 1}


def test_without_a_position_nothing_is_applied(store: ProjectionStore) -> None:
    """As after FLUSHALL: whoever went on would leave out all that was before."""
    with pytest.raises(PositionMoved):
        store.apply(step(0), "7", count, 1000)
    assert store.documents(["7"]) == [None]


def test_no_change_still_takes_the_step(store: ProjectionStore) -> None:
    store.begin([P0])
    store.apply(step(0), "7", lambda document: None, 1000)
    assert store.documents(["7"]) == [None]
    assert store.begin([P0]) == {P0: 1}


def test_a_failing_decision_changes_nothing(store: ProjectionStore) -> None:
    def fail(document: Document | None) -> Change:
        raise ZeroDivisionError

    store.begin([P0])
    with pytest.raises(ZeroDivisionError):
        store.apply(step(0), "7", fail, 1000)
    assert store.begin([P0]) == {P0: 0}


def test_one_record_in_two_consumers_has_one_effect(store: ProjectionStore) -> None:
    """A member that was thought dead and its successor apply the same records at the same time."""
    store.begin([P0])
    refused = []

    def consume() -> None:
        for offset in range(50):
            try:
                store.apply(step(offset), "7", count, 1000)
            except PositionMoved:
                refused.append(offset)

    threads = [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    applied = store.documents(["7"])[0]
    assert applied is not None
    assert applied["count"] == store.begin([P0])[P0] == 100 - len(refused)


def test_changes_apart_from_records_lose_nothing(store: ProjectionStore) -> None:
    """An origin's answer and events meet on one document: neither overwrites the other."""
    store.begin([P0])

    def merge() -> None:
        for _ in range(50):
            store.merge("7", count)

    thread = threading.Thread(target=merge)
    thread.start()
    for offset in range(50):
        store.apply(step(offset), "7", count, 1000)
    thread.join()
    assert store.documents(["7"]) == [{"count": 100}]
    assert store.begin([P0]) == {P0: 50}


def test_a_merge_answers_what_is_there_afterwards(store: ProjectionStore) -> None:
    assert store.merge("7", lambda document: None) is None
    assert store.merge("7", put(1)) == {"value": 1}
    assert store.merge("7", lambda document: None) == {"value": 1}


def test_a_document_has_one_form(store: ProjectionStore, valkey_server: ValkeyServer, name: str) -> None:
    """Whatever order its parts came in: rebuilt and live ones are compared byte by byte."""
    store.merge("7", lambda document: Change({"b": 1, "a": {"d": "글", "c": 2}}))
    store.merge("8", lambda document: Change({"a": {"c": 2, "d": "글"}, "b": 1}))
    with valkey_server.client() as client:
        texts = [client.get(f"{name}:1:document:{one}") for one in ("7", "8")]
    assert texts[0] == texts[1] == '{"a":{"c":2,"d":"글"},"b":1}'
    assert json.loads(texts[0]) == store.documents(["7"])[0]


def test_indexes_list_the_newest_first_page_by_page(store: ProjectionStore) -> None:
    """Ids of any length, in the order of numbers."""
    for one in ("9", "10", "999", "1000", "9223372036854775807"):
        store.merge(one, put(1, {"board:1": 0}))
    assert store.newest("board:1", before=None, limit=2) == ["9223372036854775807", "1000"]
    assert store.newest("board:1", before="1000", limit=2) == ["999", "10"]
    assert store.newest("board:1", before="10", limit=2) == ["9"]
    store.merge("999", put(2, {"board:1": None}))
    assert store.newest("board:1", before="1000", limit=2) == ["10", "9"]
    assert store.newest("board:2", before=None, limit=2) == []


def test_the_best_come_first_and_of_equals_the_newer(store: ProjectionStore) -> None:
    for one, score in (("9", 5), ("10", 5), ("11", 2), ("12", 7)):
        store.merge(one, put(1, {"day": score}))
    assert store.best("day", 10) == [("12", 7), ("10", 5), ("9", 5), ("11", 2)]
    assert store.best("day", 2) == [("12", 7), ("10", 5)]
    store.merge("12", put(1, {"day": None}))
    assert store.best("day", 2) == [("10", 5), ("9", 5)]


def test_the_end_is_seen_when_all_partitions_have_been(store: ProjectionStore) -> None:
    both = [P0, (TOPIC, 1)]
    assert not store.has_seen_end(both)
    store.mark_end(P0)
    assert not store.has_seen_end(both)
    store.mark_end((TOPIC, 1))
    assert store.has_seen_end(both)


def test_the_age_is_that_of_the_last_applied_event(store: ProjectionStore) -> None:
    assert store.age_ms() is None
    store.begin([P0])
    now = time.time_ns() // 1_000_000
    store.apply(step(0), "7", count, now - 90_000)
    age = store.age_ms()
    assert age is not None
    assert 90_000 <= age < 90_000 + 60_000
    # A record without effect leaves it; one from a clock ahead of ours has no negative age.
    store.skip(step(1))
    assert (store.age_ms() or 0) >= 90_000
    store.apply(step(2), "7", count, now + 90_000)
    assert store.age_ms() == 0


def test_a_new_generation_is_apart_until_it_is_swapped_in(store: ProjectionStore) -> None:
    store.begin([P0])
    store.apply(step(0), "7", put("live", {"board:1": 0}), 1000)
    built = store.next_generation()
    built.begin([P0])
    built.apply(step(0), "7", put("built", {"board:1": 0}), 1000)
    built.skip(step(1))
    assert store.documents(["7"]) == [{"value": "live"}]
    before = built.swap()
    assert store.documents(["7"]) == [{"value": "built"}]
    assert store.begin([P0]) == {P0: 2}
    store.generation(before).clear()
    assert store.documents(["7"]) == [{"value": "built"}]
    assert store.generation(before).documents(["7"]) == [None]


def test_after_a_swap_the_live_consumer_hears_that_it_stands_elsewhere(store: ProjectionStore) -> None:
    store.begin([P0])
    store.apply(step(0), "7", count, 1000)
    built = store.next_generation()
    built.begin([P0])
    built.swap()
    with pytest.raises(PositionMoved):
        store.apply(step(1), "7", count, 1000)


def test_a_swap_in_the_middle_of_a_transaction_sends_it_to_the_new_one(store: ProjectionStore) -> None:
    """What was decided on the old generation is decided again on the new one."""
    store.begin([P0])
    built = store.next_generation()
    built.begin([P0])
    built.merge("7", lambda document: Change({"count": 40}))
    swapped = False

    def swap_while_deciding(document: Document | None) -> Change:
        nonlocal swapped
        if not swapped:
            swapped = True
            built.swap()
        return count(document)

    store.apply(step(0), "7", swap_while_deciding, 1000)
    assert store.documents(["7"]) == [{"count": 41}]
    assert store.generation(1).documents(["7"]) == [None]


def test_a_generation_that_was_left_half_built_is_no_part_of_the_next(store: ProjectionStore) -> None:
    left = store.next_generation()
    left.begin([P0])
    left.merge("7", put("left"))
    built = store.next_generation()
    assert built.documents(["7"]) == [None]
    assert built.positions([P0]) == {P0: None}


def test_clearing_takes_all_of_a_generation_and_nothing_else(
    store: ProjectionStore, valkey_server: ValkeyServer, name: str
) -> None:
    store.merge("7", put("live"))
    built = store.next_generation()
    for number in range(1200):
        built.merge(str(number + 1), put(number, {"board:1": 0}))
    built.clear()
    with valkey_server.client() as client:
        assert sorted(client.scan_iter(f"{name}:*", count=1000)) == [f"{name}:1:document:7"]


def test_a_valkey_that_is_gone_is_a_dependency_that_is_down(own_valkey: ValkeyServer, name: str) -> None:
    store = ProjectionStore(connect(own_valkey.url), name)
    store.begin([P0])
    own_valkey.kill()
    acts: list[Callable[[], object]] = [
        lambda: store.begin([P0]),
        lambda: store.positions([P0]),
        lambda: store.apply(step(0), "7", count, 1000),
        lambda: store.skip(step(0)),
        lambda: store.merge("7", count),
        lambda: store.documents(["7"]),
        lambda: store.newest("board:1", before=None, limit=1),
        lambda: store.best("day", 1),
        lambda: store.has_seen_end([P0]),
        lambda: store.mark_end(P0),
        store.age_ms,
        store.live_generation,
    ]
    for act in acts:
        with pytest.raises(DependencyDown):
            act()
    own_valkey.start()
    store.apply(step(0), "7", count, 1000)
    assert store.documents(["7"]) == [{"count": 1}]
