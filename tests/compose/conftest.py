"""The board in containers, as a project of its own on free ports, gone with all it kept when the tests are over."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from broker.testing.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
BROKER_PORTS = ("BROKER_PORT", "BROKER_2_PORT", "BROKER_3_PORT")
PORTS = (*BROKER_PORTS, "ARTICLE_PORT", "COMMENT_PORT", "POPULAR_PORT", "READ_VIEW_PORT")
# Building installs every dependency once for each image.
COMMAND_TIMEOUT_SECONDS = 1500


@dataclass
class Project:
    """`docker compose` on our file under a name and ports that nobody else uses."""

    name: str = field(default_factory=lambda: f"board-test-{os.getpid()}")
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "--project-name", self.name, "--file", str(ROOT / "docker-compose.yml"), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **{name: str(port) for name, port in self.ports.items()}}

    def run(self, *arguments: str) -> str:
        """What it said; AssertionError with that and the containers' last words when it failed."""
        done = self._call(self.command(*arguments))
        logs = "" if done.returncode == 0 else self._call(self.command("logs", "--tail", "30", "--no-color")).stdout
        assert done.returncode == 0, f"docker compose {shlex.join(arguments)}:\n{done.stdout}{done.stderr}\n{logs}"
        return done.stdout

    def _call(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=False
        )

    def states(self) -> dict[str, str]:
        """Service -> `running healthy`, `exited 0` and the like."""
        lines = self.run("ps", "--all", "--format", "json").splitlines()
        found = [json.loads(line) for line in lines]
        return {one["Service"]: f"{one['State']} {one['Health'] or one['ExitCode']}" for one in found}

    def kept(self) -> list[str]:
        """Containers, volumes and networks of this project that exist."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        outputs = [self._call(["docker", *kind, "--quiet", "--filter", label]) for kind in kinds]
        assert all(output.returncode == 0 for output in outputs)
        return [line for output in outputs for line in output.stdout.split()]


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers, with Compose v2; skips with the reason when there is none."""
    for command in (["docker", "info", "--format", "{{.ServerVersion}}"], ["docker", "compose", "version", "--short"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError:
            pytest.skip("no Docker engine: there is no program docker")
        if done.returncode != 0:
            pytest.skip(f"no Docker engine: `{' '.join(command[:2])}` says {done.stderr.strip()[:200]}")


def volumes() -> set[str]:
    """Of the whole engine: those without a name belong to no project."""
    done = subprocess.run(["docker", "volume", "ls", "--quiet"], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="session")
def project(engine: None) -> Iterator[Project]:
    """Built and up."""
    project = Project()
    before = volumes()
    try:
        project.run("up", "--build", "--wait", "--quiet-pull")
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "15")
        assert project.kept() == []
        assert volumes() - before == set()
