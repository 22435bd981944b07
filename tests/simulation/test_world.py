"""The world the simulations are made of: several hosts with disks, addresses and clocks of their own, deaths and returns."""

import logging
from collections.abc import Callable

import pytest
from broker.storage.simulated import CrashMode
from simulation.admin import Admin
from simulation.alone import SETTINGS
from simulation.ledger import Ledger
from simulation.script import Script, all_of
from simulation.trace import LINES_SHOWN, Trace
from simulation.world import Host, Simulation


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "broker")


class Witness:
    """Notes what hosts do."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, host: Host) -> None:
        self.seen.append((host.name, "started"))

    def stopped(self, host: Host) -> None:
        self.seen.append((host.name, "stopped"))

    def crashes(self, host: Host, mode: CrashMode) -> None:
        self.seen.append((host.name, mode))


def two_hosts() -> tuple[Simulation, Witness, Host, Host]:
    simulation, witness = Simulation(1), Witness()
    simulation.watchers.append(witness)
    first, second = (simulation.add_host(f"broker-{number}", number, SETTINGS) for number in (1, 2))
    first.start()
    second.start()
    simulation.run_until(1000)
    return simulation, witness, first, second


def test_hosts_live_and_die_by_themselves() -> None:
    simulation, witness, first, second = two_hosts()
    assert witness.seen == [("broker-1", "started"), ("broker-2", "started")]
    first.restart_after_ms = None
    first.crash("torn")
    simulation.run_until(5000)
    assert (first.broker, second.ready) == (None, True)
    first.start()
    second.stop()
    simulation.run_until(10_000)
    assert [what for name, what in witness.seen if name == "broker-1"] == ["started", "torn", "started"]
    assert [what for name, what in witness.seen if name == "broker-2"] == ["started", "stopped", "process", "started"]
    assert (first.lives, second.lives) == (2, 2)
    assert first.storage.files().keys() & second.storage.files().keys()


def test_a_death_within_an_operation_is_that_of_its_host() -> None:
    simulation, witness, first, second = two_hosts()
    second.die_within(0, "torn")
    simulation.later(1, second.stop)
    simulation.later(1, first.stop)
    simulation.run_until(10_000)
    assert ("broker-2", "torn") in witness.seen
    assert ("broker-2", "stopped") not in witness.seen
    assert ("broker-1", "stopped") in witness.seen
    assert second.death == "process"
    assert (first.ready, second.ready) == (True, True)


def test_hosts_have_wall_clocks_of_their_own() -> None:
    simulation, _, first, second = two_hosts()
    first.clock.wall_offset_ms = 3_600_000
    assert first.clock.wall_ms() - second.clock.wall_ms() == 3_600_000
    assert first.clock.monotonic_ms() == second.clock.monotonic_ms() == simulation.clock.now_ms


def test_a_host_that_does_not_start_says_why_and_tries_again() -> None:
    simulation, _, first, second = two_hosts()
    first.stop()
    simulation.run_until(1200)
    assert first.broker is None
    first.storage.fail_writes = True
    simulation.run_until(3000)
    assert not first.ready
    assert "simulated write error" in first.not_started[0]
    assert (len(first.not_started) > 1, first.fatal) == (True, [])
    first.storage.fail_writes = False
    simulation.run_until(6000)
    assert first.ready
    assert second.lives == 1


def test_clients_talk_to_the_host_they_mean() -> None:
    simulation, _, _, second = two_hosts()
    ledger = Ledger(simulation.note)
    made = []

    def make(admin: Admin, name: str) -> Script:
        made.append((yield from admin.create_topic(name, 1, {})))

    for number in (1, 2):
        admin = Admin(simulation, ledger, f"admin-{number}", f"broker-{number}")
        admin.spawn(make(admin, f"topic-{number}"))
    simulation.run_until(2000)
    assert len(made) == 2
    assert second.broker is not None
    assert set(second.broker.metadata.image.topics) == {"topic-2"}


def test_a_condition_ends_a_run() -> None:
    simulation = Simulation(1)
    ran: list[int] = []
    for when in (10, 20, 30):
        simulation.later(when, lambda when=when: ran.append(when))  # type: ignore[misc]
    assert simulation.run_until(100, lambda: len(ran) == 2)
    assert (ran, simulation.clock.now_ms) == ([10, 20], 20)
    assert not simulation.run_until(25, lambda: len(ran) == 3)
    assert simulation.clock.now_ms == 25


def test_all_of_gives_the_outcomes_in_their_order() -> None:
    found: list[object] = []
    resumes: list[Callable[[object], None]] = []
    all_of([resumes.append, lambda resume: resume("second"), resumes.append])(found.append)
    assert found == []
    resumes[1]("third")
    resumes[0]("first")
    assert found == [["first", "second", "third"]]


def test_every_line_counts_and_the_last_are_shown() -> None:
    first, second, third = Trace(), Trace(), Trace()
    second.keep_all()
    for number in range(LINES_SHOWN * 2):
        for trace in (first, second):
            trace.add(number, "who", "what")
        third.add(number, "who", "what" if number != 3 else "something else")
    assert first.digest == second.digest != third.digest
    assert (len(first.lines), len(second.lines)) == (LINES_SHOWN, LINES_SHOWN * 2)
    assert first.lines[-1] == "    0.119 who: what"
    assert first.tail == second.tail == "\n".join(first.lines)
