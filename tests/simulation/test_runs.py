"""A whole broker with clients under faults, seed by seed: everything that was promised holds (`ledger`)."""

import logging

import pytest
from simulation.faults import MACHINE_DEATHS
from simulation.scenario import run

SEEDS = {"process": 8, "pipelined": 6, "machine": 10, "disk": 8, "everything": 12}
RUNS = [pytest.param(kind, seed, id=f"{kind}-{seed}") for kind, count in SEEDS.items() for seed in range(count)]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The trace says what happened; the broker's log of a failing disk is not wanted."""
    caplog.set_level(logging.CRITICAL, "broker")


@pytest.mark.parametrize(("kind", "seed"), RUNS)
def test_what_was_promised_holds(kind: str, seed: int) -> None:
    outcome = run(seed, kind)
    # It was a run worth the name.
    assert sum(outcome.struck.values()) >= 4
    assert outcome.lives >= 3
    assert outcome.acknowledged >= 200
    assert outcome.commits >= 20
    assert outcome.looks >= 4
    assert outcome.topics >= 3
    if not set(outcome.struck) & set(MACHINE_DEATHS):
        assert outcome.lost == 0
