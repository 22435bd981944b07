"""Virtual time: order of callbacks, ties, cancelling, and time that moves only when it is told to."""

import random

from broker.clock.simulated import WALL_START_MS, NodeClock, SimulatedClock


def test_callbacks_run_by_time_then_by_the_order_of_asking() -> None:
    clock, ran = SimulatedClock(), []
    for name, when in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20), ("a2", 10)):
        clock.call_at(when, lambda name=name: ran.append((name, clock.monotonic_ms())))
    clock.run_until(25)
    assert ran == [("a", 10), ("a2", 10), ("b1", 20), ("b2", 20)]
    assert clock.monotonic_ms() == 25
    clock.run_until(30)
    assert ran[-1] == ("c", 30)


def test_soon_is_after_what_is_due_now() -> None:
    clock, ran = SimulatedClock(), []
    clock.call_at(5, lambda: (ran.append("first"), clock.call_soon(lambda: ran.append("soon"))))
    clock.call_at(5, lambda: ran.append("second"))
    clock.call_at(6, lambda: ran.append("later"))
    clock.run_until(6)
    assert ran == ["first", "second", "soon", "later"]


def test_a_deadline_in_the_past_is_now() -> None:
    clock, ran = SimulatedClock(), []
    clock.run_until(100)
    clock.call_at(50, lambda: ran.append(clock.monotonic_ms()))
    assert ran == []
    assert clock.step()
    assert ran == [100]


def test_cancelled_callbacks_do_not_run() -> None:
    clock, ran = SimulatedClock(), []
    first = clock.call_at(1, lambda: ran.append("first"))
    second = clock.call_at(2, lambda: ran.append("second"))
    first.cancel()
    first.cancel()
    clock.run_until(10)
    second.cancel()
    assert ran == ["second"]


def test_a_callback_may_cancel_another_that_is_due() -> None:
    clock, ran = SimulatedClock(), []
    clock.call_at(1, lambda: later.cancel())  # noqa: PLW0108 - it is not there yet
    later = clock.call_at(1, lambda: ran.append("later"))
    clock.run_until(1)
    assert ran == []


def test_running_until_a_time_never_goes_beyond_it() -> None:
    """Also when what is due in time was cancelled and the next callback lies behind."""
    clock, ran = SimulatedClock(), []
    clock.call_at(1, lambda: ran.append("cancelled")).cancel()
    clock.call_at(100, lambda: ran.append(clock.monotonic_ms()))
    clock.run_until(10)
    assert ran == []
    assert clock.monotonic_ms() == 10
    clock.run_until(100)
    assert ran == [100]


def test_steps() -> None:
    clock, ran = SimulatedClock(), []
    clock.call_at(1, lambda: ran.append(1)).cancel()
    assert not clock.step()
    assert clock.monotonic_ms() == 0
    clock.call_at(7, lambda: ran.append(7))
    assert clock.step()
    assert not clock.step()
    assert (ran, clock.monotonic_ms()) == ([7], 7)


def test_time_never_goes_back() -> None:
    rng, clock, seen = random.Random(1), SimulatedClock(), []

    def note() -> None:
        seen.append(clock.monotonic_ms())
        if len(seen) < 500:
            clock.call_at(clock.monotonic_ms() + rng.randint(-5, 20), note)
            clock.call_soon(lambda: seen.append(clock.monotonic_ms()))

    clock.call_at(0, note)
    clock.run_until(100_000)
    assert seen == sorted(seen)
    clock.run_until(5)
    assert clock.monotonic_ms() == 100_000


def test_wall_time_moves_with_it() -> None:
    clock = SimulatedClock()
    assert clock.wall_ms() == WALL_START_MS
    clock.run_until(1234)
    assert clock.wall_ms() == WALL_START_MS + 1234


def test_the_next_callback_is_known_and_cancelled_ones_do_not_count() -> None:
    clock = SimulatedClock()
    assert clock.next_ms() is None
    clock.call_at(5, lambda: None).cancel()
    assert clock.next_ms() is None
    clock.call_at(7, lambda: None)
    assert clock.next_ms() == 7


def test_nodes_share_the_time_and_have_a_wall_clock_each() -> None:
    clock = SimulatedClock()
    first, second = NodeClock(clock), NodeClock(clock, wall_offset_ms=-500)
    clock.run_until(1000)
    assert first.monotonic_ms() == second.monotonic_ms() == 1000
    assert first.wall_ms() == clock.wall_ms()
    assert second.wall_ms() == clock.wall_ms() - 500
    second.wall_offset_ms = 60_000
    assert second.wall_ms() == clock.wall_ms() + 60_000


def test_what_a_dead_node_asked_for_is_never_called() -> None:
    clock, ran = SimulatedClock(), []
    dies, lives = NodeClock(clock), NodeClock(clock)
    for name, node in (("dies", dies), ("lives", lives)):
        node.call_at(10, lambda name=name: ran.append((name, 10)))
        node.call_soon(lambda name=name: ran.append((name, 0)))
    dies.call_at(5, lambda: ran.append("cancelled")).cancel()
    clock.run_until(5)
    dies.crash()
    dies.call_at(20, lambda: ran.append(("the next life", 20)))
    clock.run_until(30)
    assert ran == [("dies", 0), ("lives", 0), ("lives", 10), ("the next life", 20)]


def test_a_paused_node_goes_on_with_what_was_due_meanwhile() -> None:
    clock, ran = SimulatedClock(), []
    node, other = NodeClock(clock), NodeClock(clock)
    node.call_at(10, lambda: ran.append(("node", clock.now_ms)))
    late = node.call_at(20, lambda: ran.append("cancelled by the first, late as it is"))
    node.call_at(15, late.cancel)
    other.call_at(12, lambda: ran.append(("other", clock.now_ms)))
    node.pause()
    node.pause()
    clock.run_until(50)
    assert ran == [("other", 12)]
    assert node.monotonic_ms() == 50
    node.resume()
    clock.run_until(60)
    assert ran == [("other", 12), ("node", 50)]


def test_a_node_that_dies_while_it_is_paused_does_nothing_more() -> None:
    clock, ran = SimulatedClock(), []
    node = NodeClock(clock)
    node.call_at(10, lambda: ran.append("a former life"))
    node.pause()
    clock.run_until(20)
    node.crash()
    node.resume()
    node.call_at(30, lambda: ran.append("the next life"))
    clock.run_until(40)
    assert ran == ["the next life"]
