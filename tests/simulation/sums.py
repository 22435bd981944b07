"""What many runs came to, and which seeds were run: kept in one file, so that one can end and go on where one was.

Sums are kept per version of the code (a digest of the sources that a run depends on), so that a sum says what it is of. Each
seed of a kind is begun once over all versions; one that was begun and did not end is begun again. Not here: running them.
"""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.layout import ROOT, DemoError

FILE = "sums.json"
GIT_TIMEOUT_SECONDS = 10
SOURCES = ("broker/src/broker", "tests/simulation")
DIGITS = 12


@dataclass
class Sum:
    """Figures that add up. `simulated_ms`: of virtual time, failed runs as well."""

    runs: int = 0
    failures: int = 0
    beyond_budget: int = 0
    simulated_ms: int = 0
    acknowledged: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    occurrences: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Sum") -> None:
        for name, value in asdict(other).items():
            if isinstance(value, dict):
                mine = getattr(self, name)
                for key, count in value.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                setattr(self, name, getattr(self, name) + value)

    @classmethod
    def of(cls, several: "list[Sum]") -> "Sum":
        total = cls()
        for one in several:
            total.add(one)
        return total


@dataclass
class Failure:
    """A run that broke an invariant. `trace`: the file with what happened."""

    kind: str
    seed: int
    what: str
    trace: str


@dataclass
class Version:
    """What was run with one version of the code. `began` and `last`: dates."""

    digest: str
    commit: str
    began: str = ""
    last: str = ""
    kinds: dict[str, Sum] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def total(self) -> Sum:
        return Sum.of(list(self.kinds.values()))

    def add(self, kind: str, one: Sum) -> None:
        self.last = f"{datetime.now(UTC):%Y-%m-%d}"
        self.began = self.began or self.last
        self.kinds.setdefault(kind, Sum()).add(one)

    def __str__(self) -> str:
        return f"{self.digest} (commit {self.commit})" if self.commit else self.digest


@dataclass
class Seeds:
    """The seeds of one kind. `next`: none from here on was begun; `begun`: those that have not ended."""

    next: int = 0
    begun: list[int] = field(default_factory=list)
    # Of an earlier life, to be begun again.
    again: list[int] = field(default_factory=list)

    def begin(self) -> int:
        if self.again:
            seed = self.again.pop(0)
        else:
            seed, self.next = self.next, self.next + 1
        self.begun.append(seed)
        return seed

    def ended(self, seed: int) -> None:
        self.begun.remove(seed)


@dataclass
class Sums:
    """The file. Without a path nothing is kept."""

    path: Path | None
    version: Version
    others: list[Version] = field(default_factory=list)
    seeds: dict[str, Seeds] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, version: Version) -> "Sums":
        """DemoError when the file cannot be read, or is none that this version wrote."""
        try:
            raw = json.loads(path.read_text())
            versions = [_version(one) for one in raw["versions"]]
            seeds = {kind: Seeds(one["next"], again=[*one["begun"], *one["again"]]) for kind, one in raw["seeds"].items()}
        except FileNotFoundError:
            return cls(path, version)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DemoError(f"{path} cannot be read ({error!r}); begin anew with ./board simulate --fresh") from error
        same = [one for one in versions if one.digest == version.digest]
        return cls(path, same[0] if same else version, [one for one in versions if one not in same], seeds)

    def save(self) -> None:
        """In one step: whoever is killed leaves the file as it was, or as it is."""
        if self.path is None:
            return
        raw = {
            "versions": [asdict(one) for one in (*self.others, self.version) if one.kinds],
            "seeds": {kind: asdict(seeds) for kind, seeds in self.seeds.items()},
        }
        temporary = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(raw, indent=1) + "\n")
            temporary.replace(self.path)
        except OSError as error:
            raise DemoError(f"{self.path} cannot be written: {error.strerror}; choose another place with --data DIR") from error


def _version(raw: dict[str, Any]) -> Version:
    kinds = {kind: Sum(**one) for kind, one in raw.pop("kinds").items()}
    failures = [Failure(**one) for one in raw.pop("failures")]
    return Version(**raw, kinds=kinds, failures=failures)


def this_version(root: Path = ROOT) -> Version:
    """The version of the code in a checkout: a digest of what a run depends on, and the commit where there is one."""
    found = hashlib.sha256()
    for directory in SOURCES:
        for path in sorted((root / directory).rglob("*.py")):
            if not path.name.startswith("test_"):
                found.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    commit = _git(root, "rev-parse", "--short", "HEAD")
    if commit and _git(root, "status", "--porcelain", "--", *SOURCES):
        commit += " with changes"
    return Version(found.hexdigest()[:DIGITS], commit)


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing where there is none, or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
