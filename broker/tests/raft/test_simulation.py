"""Thousands of crashes, cuts and lost messages: what must always hold does, and planted bugs are found by it."""

import re

import pytest

from .simulation import Simulation, Violation

RUN_MS = 20_000
# Within so many seeds every planted bug is found; most are within ten.
SEEDS_MAX = 1500


@pytest.mark.parametrize(("size", "seeds"), [(3, 120), (5, 40)])
def test_the_quorum_keeps_its_promises(size: int, seeds: int) -> None:
    seen: dict[str, int] = {}
    for seed in range(seeds):
        simulation = Simulation(seed, size)
        try:
            simulation.run(RUN_MS)
        except Violation as violation:
            raise AssertionError(f"seed {seed} of {size} nodes: {violation}") from violation
        for name, count in simulation.seen.items():
            seen[name] = seen.get(name, 0) + count
    # Nothing is proved by runs in which nothing happens.
    assert min(seen["truncation"], seen["snapshot"]) > 10, seen
    assert min(seen["leader"], seen["crash"], seen["committed"]) > seeds, seen


@pytest.mark.parametrize("bug", Simulation.BUGS)
@pytest.mark.timeout(300)
def test_it_bites(bug: str) -> None:
    found = next(filter(None, (violation_of(seed, bug) for seed in range(SEEDS_MAX))), "nothing")
    assert re.search(r"voted for|without the committed|committed at|lead in epoch|went back", found), f"{bug}: found {found}"


def violation_of(seed: int, bug: str) -> str:
    try:
        Simulation(seed, 3, bug).run(RUN_MS)
    except Violation as violation:
        return str(violation)
    return ""
