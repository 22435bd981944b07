"""Sums add up, are kept per version of the code, and no seed is counted twice or forgotten."""

import json
import subprocess
from pathlib import Path

import pytest
from demo.layout import DemoError
from simulation.sums import Failure, Seeds, Sum, Sums, Version, this_version


def a_sum(failures: int = 0) -> Sum:
    faults, occurrences = {"kill": 2, "cut": 1}, {"election": 3}
    return Sum(1, failures, simulated_ms=60_000, acknowledged=500, faults=faults, occurrences=occurrences)


def test_figures_add_up_by_name() -> None:
    total = Sum.of([a_sum(), a_sum(1), Sum(runs=1, beyond_budget=1, faults={"kill": 5})])
    assert (total.runs, total.failures, total.beyond_budget) == (3, 1, 1)
    assert (total.simulated_ms, total.acknowledged) == (120_000, 1000)
    assert total.faults == {"kill": 9, "cut": 2}
    assert total.occurrences == {"election": 6}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sums.json"
    sums = Sums.load(path, Version("aaa", "1"))
    sums.version.add("process", a_sum(1))
    sums.version.add("process", a_sum())
    sums.version.failures.append(Failure("process", 0, "it broke", "where"))
    sums.seeds["process"] = Seeds(2)
    sums.save()
    again = Sums.load(path, Version("aaa", "1"))
    assert again == sums
    assert again.version.began == again.version.last != ""


def test_versions_of_the_code_are_counted_apart_and_seeds_go_on(tmp_path: Path) -> None:
    path = tmp_path / "sums.json"
    for digest in ("aaa", "bbb", "aaa"):
        sums = Sums.load(path, Version(digest, ""))
        seeds = sums.seeds.setdefault("process", Seeds())
        sums.version.add("process", a_sum())
        seeds.ended(seeds.begin())
        sums.save()
    assert sums.version.total.runs == 2
    assert [(one.digest, one.total.runs) for one in sums.others] == [("bbb", 1)]
    assert Sums.load(path, Version("ccc", "")).seeds["process"].begin() == 3


def test_a_seed_that_did_not_end_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "sums.json"
    sums = Sums(path, Version("aaa", ""), seeds={"process": Seeds()})
    assert [sums.seeds["process"].begin() for _ in range(4)] == [0, 1, 2, 3]
    sums.seeds["process"].ended(1)
    sums.save()
    again = Sums.load(path, Version("aaa", "")).seeds["process"]
    assert [again.begin() for _ in range(5)] == [0, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"versions": [{}], "seeds": {}}', '{"versions": [], "seeds": {"x": 3}}'])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sums.json"
    path.write_text(text)
    with pytest.raises(DemoError, match=r"sums.json cannot be read .*; begin anew with ./board simulate --fresh"):
        Sums.load(path, Version("aaa", ""))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match=r"cannot be written: .*; choose another place with --data DIR"):
        Sums(tmp_path / "file" / "sums.json", Version("aaa", "")).save()


def test_without_a_place_nothing_is_kept() -> None:
    Sums(None, Version("aaa", "")).save()


def test_a_version_is_what_a_run_depends_on(tmp_path: Path) -> None:
    broker, simulation = tmp_path / "broker/src/broker", tmp_path / "tests/simulation"
    for directory in (broker / "log", simulation):
        directory.mkdir(parents=True)
    (broker / "log" / "segment.py").write_text("one")
    first = this_version(tmp_path)
    (simulation / "test_runs.py").write_text("no part of a run")
    (broker / "notes.md").write_text("nor this")
    assert this_version(tmp_path) == first
    assert first.commit == ""
    (broker / "log" / "segment.py").write_text("two")
    second = this_version(tmp_path)
    (simulation / "world.py").write_text("three")
    assert len({first.digest, second.digest, this_version(tmp_path).digest}) == 3


def test_a_version_names_its_commit_and_changes(tmp_path: Path) -> None:
    source = tmp_path / "broker/src/broker/core.py"
    source.parent.mkdir(parents=True)
    (tmp_path / "tests/simulation").mkdir(parents=True)
    source.write_text("one")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    clean = this_version(tmp_path)
    assert len(clean.commit) >= 7
    assert str(clean) == f"{clean.digest} (commit {clean.commit})"
    source.write_text("two")
    assert this_version(tmp_path).commit == f"{clean.commit} with changes"


def test_the_file_is_text_that_one_can_read(tmp_path: Path) -> None:
    sums = Sums(tmp_path / "sums.json", Version("aaa", "1"), seeds={"process": Seeds(1)})
    sums.version.add("process", a_sum())
    sums.save()
    raw = json.loads((tmp_path / "sums.json").read_text())
    assert raw["versions"][0]["kinds"]["process"]["faults"] == {"kill": 2, "cut": 1}
    assert raw["seeds"]["process"] == {"next": 1, "begun": [], "again": []}
