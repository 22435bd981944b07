"""Building a projection anew beside the live one: the same documents, byte by byte, and a swap without a gap."""

import pytest
from board_events import posts
from servicekit.consuming.rebuild import RebuildFailed, rebuild
from servicekit.consuming.runner import GroupConsumer
from servicekit.consuming.store import ProjectionStore
from waiting import wait_until


def contents(client, name: str, generation: int) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Every key of a generation, as it is in Valkey."""
    prefix = f"{name}:{generation}:"
    return {key.removeprefix(prefix): client.get(key) for key in client.scan_iter(f"{prefix}*", count=1000)}


def test_the_rebuilt_projection_equals_the_live_one(kafka, topic, name, diary, store, running, valkey_server) -> None:
    """Bad and unknown records are passed over again."""
    events = posts(30)
    kafka.send(topic, *events[:100])
    kafka.send_raw(topic, b"no event")
    kafka.send(topic, *events[100:])
    partitions = [(topic, number) for number in range(3)]
    with running(GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)):
        wait_until(lambda: sum(offset or 0 for offset in store.positions(partitions).values()) == len(events) + 1, "all taken")
        wait_until(lambda: store.has_seen_end(partitions), "the ends")
    with valkey_server.client() as client:
        live = contents(client, name, 1)
        assert rebuild(kafka.bootstrap_servers, [topic], store, type(diary)) == len(events) + 1
        # Which of the partitions' last events came last may differ; nothing else may.
        live.pop("last-event-ms")
        built = contents(client, name, 2)
        assert int(built.pop("last-event-ms")) > 0
        assert built == live
        assert contents(client, name, 1) == {}
    assert store.live_generation() == 2
    assert "rebuild" not in _groups(kafka)


def test_it_can_be_swapped_in_under_load(kafka, topic, name, diary, store, running) -> None:
    """The live consumer goes on behind it: no event is lost or twice."""
    events = posts(60)
    subjects = {event.subject for event in events}
    with running(GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)):
        for begin in range(0, len(events), 90):
            kafka.send(topic, *events[begin : begin + 90])
            rebuild(kafka.bootstrap_servers, [topic], store, type(diary))
        for subject in subjects:
            expected = [event.id for event in events if event.subject == subject]
            wait_until(lambda s=subject, e=expected: diary.events(s) == e, f"the events of {subject}")  # type: ignore[misc]
    assert store.live_generation() == 1 + len(events) // 90


def test_an_empty_log_gives_an_empty_projection(kafka, topic, diary, store) -> None:
    store.merge("7", lambda document: None)
    assert rebuild(kafka.bootstrap_servers, [topic], store, type(diary)) == 0
    assert store.has_seen_end([(topic, number) for number in range(3)])


def test_a_rebuild_that_fails_leaves_the_live_one_as_it_is(kafka, topic, name, diary, store, running) -> None:
    event = posts(1)[0]
    kafka.send(topic, event)
    with running(GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)):
        wait_until(lambda: diary.events(event.subject) == [event.id], "the effect")

    class Broken(type(diary)):  # type: ignore[misc]
        def apply(self, step, envelope):  # type: ignore[no-untyped-def]
            raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        rebuild(kafka.bootstrap_servers, [topic], store, Broken)
    with pytest.raises(RebuildFailed, match="there is no topic"):
        rebuild(kafka.bootstrap_servers, [f"{topic}-unheard"], store, type(diary))
    assert store.live_generation() == 1
    assert diary.events(event.subject) == [event.id]


def test_two_rebuilds_at_once_do_not_mix(kafka, topic, diary, store) -> None:
    """The second takes the generation over; the first finds that out and stops."""
    kafka.send(topic, *posts(2))
    made = []

    def make(built: ProjectionStore):  # type: ignore[no-untyped-def]
        projection = type(diary)(built)
        if not made:
            made.append(projection)
            projection.before = lambda envelope: None if len(made) > 1 else made.append(_other())
        return projection

    def _other() -> int:
        return rebuild(kafka.bootstrap_servers, [topic], store, type(diary))

    with pytest.raises(RebuildFailed, match="another rebuild"):
        rebuild(kafka.bootstrap_servers, [topic], store, make)
    assert made[1] == 24


def _groups(kafka) -> set[str]:  # type: ignore[no-untyped-def]
    return {group.group_id for group in kafka.admin.list_consumer_groups().result(30).valid}
