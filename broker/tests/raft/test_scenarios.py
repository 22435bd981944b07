"""The stories in `testdata`: what the replicas of a quorum say to each other, message by message; `alone*`: a quorum of one."""

from pathlib import Path

import pytest

from ..scenarios import run_scenario, scenario_files
from .stage import Stage
from .voter_stage import VoterStage


@pytest.mark.parametrize("path", scenario_files(__file__), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_scenario(path, VoterStage() if path.stem.startswith("alone") else Stage(), rewrite=rewrite)
