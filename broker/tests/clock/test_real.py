"""The real clock on a real loop: callbacks come, in order, not before their time."""

import asyncio
import time

from broker.clock.real import RealClock


def test_callbacks_come_in_their_order_and_not_early() -> None:
    async def run() -> list[tuple[str, bool]]:
        clock = RealClock(asyncio.get_running_loop())
        ran: list[tuple[str, bool]] = []
        over = asyncio.Event()
        start = clock.monotonic_ms()

        def note(name: str, due: int) -> None:
            # A loop may wake a clock tick early; a millisecond is rounded down on both sides.
            ran.append((name, clock.monotonic_ms() >= due - 1))

        clock.call_at(start + 30, lambda: (note("later", start + 30), over.set()))
        clock.call_at(start + 10, lambda: note("sooner", start + 10))
        clock.call_at(start - 1000, lambda: note("past", start))
        clock.call_at(start + 20, lambda: note("cancelled", 0)).cancel()
        clock.call_soon(lambda: note("soon", start))
        assert ran == []
        await asyncio.wait_for(over.wait(), 30)
        return ran

    assert sorted(asyncio.run(run())[:2]) == [("past", True), ("soon", True)]
    assert asyncio.run(run())[2:] == [("sooner", True), ("later", True)]


def test_both_times_are_milliseconds_of_this_machine() -> None:
    async def run() -> None:
        clock = RealClock(asyncio.get_running_loop())
        before = time.time_ns() // 1_000_000
        assert before <= clock.wall_ms() <= time.time_ns() // 1_000_000
        readings = [clock.monotonic_ms() for _ in range(1000)]
        assert readings == sorted(readings)
        assert all(isinstance(reading, int) for reading in readings)

    asyncio.run(run())
