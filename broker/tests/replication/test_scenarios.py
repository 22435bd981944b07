"""Replication's stories in testdata: those of one broker, and those of several (`replicas_…`)."""

from pathlib import Path

import pytest

from ..scenarios import run_scenario, scenario_files
from .cluster_stage import ClusterStage
from .stage import ReplicationStage


@pytest.mark.parametrize("path", scenario_files(__file__), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    stage = ClusterStage() if path.stem.startswith("replicas_") else ReplicationStage()
    run_scenario(path, stage, rewrite=rewrite)
