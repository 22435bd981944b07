"""The same seed is the same run, to the last line: in another process, and whatever Python's hashes are."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 110


def digest(kind: str, seed: int, hash_seed: str) -> str:
    """The digest of a run in a process of its own, as the command that every failure names gives it."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "tests/simulate.py", "--kind", kind, "--seed", str(seed), "--data", data]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout.partition("digest ")[2].split()[0]


def test_a_seed_is_a_run() -> None:
    runs = [("everything", 1, "1"), ("everything", 1, "2"), ("everything", 1, "random"), ("everything", 2, "1")]
    with ThreadPoolExecutor(2) as pool:
        first, again, once_more, other = pool.map(lambda one: digest(*one), runs)
    assert len(first) == 64
    assert first == again == once_more
    assert first != other


def test_kinds_of_runs_have_seeds_of_their_own() -> None:
    assert digest("process", 1, "1") != digest("pipelined", 1, "1")


def test_a_cluster_is_the_same_in_every_process() -> None:
    with ThreadPoolExecutor(2) as pool:
        first, again = pool.map(lambda hash_seed: digest("cluster-disk", 1, hash_seed), ("1", "2"))
    assert first == again
