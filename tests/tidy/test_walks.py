"""ARCHITECTURE.md names functions as `path:function`; each of them must exist, so that the walks cannot rot."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = re.compile(r"`([\w./-]+\.py):([\w.]+)`")
SOURCE_ROOTS = ("", "broker/src/broker", "libs/events/src", "libs/servicekit/src", "demo/src")
REFERENCES = sorted(set(REFERENCE.findall((ROOT / "ARCHITECTURE.md").read_text())))


def find(path: str) -> Path | None:
    candidates = [ROOT / root / path for root in SOURCE_ROOTS]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def names(tree: ast.AST, prefix: str = "") -> set[str]:
    """Every function, class and method of a module, methods both bare and as `Class.method`."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= {node.name, prefix + node.name}
            found |= names(node, f"{node.name}.")
    return found


def test_there_are_walks() -> None:
    assert len(REFERENCES) >= 20


@pytest.mark.parametrize(("path", "name"), REFERENCES, ids=lambda value: value)
def test_a_walk_names_what_exists(path: str, name: str) -> None:
    file = find(path)
    assert file is not None, f"ARCHITECTURE.md names {path}, which does not exist"
    assert name in names(ast.parse(file.read_text())), f"ARCHITECTURE.md names {name} in {path}, which has no such function"
