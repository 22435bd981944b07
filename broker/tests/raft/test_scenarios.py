"""The quorum's stories in testdata: those whose names begin with `core` are about one voter among several."""

from pathlib import Path

import pytest

from ..scenarios import run_scenario, scenario_files
from .stage import CoreStage, VoterStage


@pytest.mark.parametrize("path", scenario_files(__file__), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_scenario(path, CoreStage() if path.stem.startswith("core") else VoterStage(), rewrite=rewrite)
