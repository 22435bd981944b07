"""Whether seeds find a bug that was planted in the broker: each by an invariant that knows nothing of it."""

import re
from collections.abc import Iterable

from simulation.ledger import InvariantBroken
from simulation.scenario import run
from simulation.trace import replay_command


def assert_found(kind: str, seeds: Iterable[int], invariant: str) -> None:
    """The first of the seeds that finds anything says what `invariant` (a pattern) expects, and how to see it again."""
    found, seed = next(((broken, seed) for seed in seeds if (broken := _what_is_broken(kind, seed))), ("", -1))
    assert re.search(invariant, found.partition("\n")[0]), found or f"none of the {kind} seeds found it"
    assert f"replay it: {replay_command(kind, seed)}" in found


def _what_is_broken(kind: str, seed: int) -> str:
    """What the run says; empty when everything fits."""
    try:
        run(seed, kind)
    except InvariantBroken as error:
        return str(error)
    return ""
