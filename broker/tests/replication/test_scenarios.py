"""Replication's stories in testdata."""

from pathlib import Path

import pytest

from ..scenarios import run_scenario, scenario_files
from .stage import ReplicationStage


@pytest.mark.parametrize("path", scenario_files(__file__), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_scenario(path, ReplicationStage(), rewrite=rewrite)
