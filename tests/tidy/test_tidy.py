"""Style as tests: sizes, headers, and who may touch the outside world.

The lists of exceptions start empty and may only shrink.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
SOURCE_DIRECTORIES = ("broker", "libs", "services", "demo", "bench", "tests")

# Files over FILE_LINES_MAX lines: none.
LONG_FILES: frozenset[str] = frozenset()
# Functions over FUNCTION_LINES_MAX lines: none.
LONG_FUNCTIONS: frozenset[str] = frozenset()

# The seam: only these parts of the broker may import time, randomness, sockets, threads, or open files.
OUTSIDE_WORLD = frozenset(
    {"time", "random", "secrets", "socket", "threading", "concurrent", "asyncio", "select", "selectors", "subprocess", "uvloop"}
)
# `node/runtime.py` gives a node the real twins and the loop they are on.
SEAM = ("clock/real.py", "clock/randomness.py", "storage/real.py", "network/real.py", "node/runtime.py", "cli/", "testing/")
# `asyncio` for its protocol and transport base classes alone, which bring no loop and no time with them.
PROTOCOL_CLASSES_ONLY = frozenset({"BufferedProtocol", "Protocol", "BaseProtocol", "Transport", "BaseTransport"})


def sources() -> list[Path]:
    found = [path for name in SOURCE_DIRECTORIES for path in sorted((ROOT / name).rglob("*.py"))]
    return [path for path in found if ".egg-info" not in str(path) and "/build/" not in str(path)]


def broker_sources() -> list[Path]:
    return sorted((ROOT / "broker/src/broker").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_walk_finds_the_sources() -> None:
    assert len(broker_sources()) > 20
    assert len(sources()) > 60


def test_no_file_is_too_long() -> None:
    long_files = {relative(path) for path in sources() if len(path.read_text().splitlines()) > FILE_LINES_MAX}
    assert long_files == LONG_FILES


def test_no_function_is_longer_than_a_screen() -> None:
    long_functions = set()
    for path in sources():
        for function in functions(ast.parse(path.read_text())):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                long_functions.add(f"{relative(path)}:{function.name}")
    assert long_functions == LONG_FUNCTIONS


def test_every_module_says_what_it_owns() -> None:
    silent = []
    for path in sources():
        if "/migrations/" in relative(path) or not path.read_text().strip():
            continue
        if ast.get_docstring(ast.parse(path.read_text())) is None:
            silent.append(relative(path))
    assert silent == []


@pytest.mark.parametrize("path", broker_sources(), ids=relative)
def test_only_the_seam_touches_the_outside_world(path: Path) -> None:
    name = path.relative_to(ROOT / "broker/src/broker").as_posix()
    if name.startswith(SEAM):
        return
    tree = ast.parse(path.read_text())
    touched = {module for module in imported_modules(tree) if module in OUTSIDE_WORLD}
    if "asyncio" in touched and asyncio_names(tree) <= PROTOCOL_CLASSES_ONLY:
        touched.discard("asyncio")
    opened = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and is_builtin_open(node)]
    assert touched == set(), f"{name} imports {sorted(touched)}: take the port at construction instead"
    assert opened == [], f"{name} opens files at lines {opened}: use broker.storage"


@pytest.mark.parametrize("path", broker_sources(), ids=relative)
def test_the_broker_is_written_in_plain_functions(path: Path) -> None:
    """No coroutine, task or future outside the real twins: the hot path pays for none, and the simulation stays in charge."""
    name = path.relative_to(ROOT / "broker/src/broker").as_posix()
    if name.startswith(SEAM):
        return
    coroutines = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.AsyncFunctionDef)]
    assert coroutines == []


def imported_modules(tree: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split(".")[0])
    return modules


def asyncio_names(tree: ast.Module) -> set[str]:
    """What a module takes from asyncio, by attribute or by import."""
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            used |= {alias.name for alias in node.names}
    return used


def is_builtin_open(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "open"
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and (function.value.id == "os" and function.attr in {"open", "write", "writev", "pread", "fsync", "rename", "remove"})
    )


def test_the_rules_bite(tmp_path: Path) -> None:
    """The checks above find what they are for."""
    bad = "import time\nimport asyncio\nasync def wait():\n    await asyncio.sleep(1)\n    open('x')\n"
    tree = ast.parse(bad)
    assert imported_modules(tree) & OUTSIDE_WORLD == {"time", "asyncio"}
    assert not asyncio_names(tree) <= PROTOCOL_CLASSES_ONLY
    assert any(isinstance(node, ast.Call) and is_builtin_open(node) for node in ast.walk(tree))


def test_no_registry_host_or_foreign_path_is_committed() -> None:
    """Lock files and notes must not record where a package came from."""
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org", "repo1.maven" + ".org")
    found = []
    for path in sorted(ROOT.rglob("*")):
        if not path.is_file() or any(
            part in {".git", ".venv", "data", "__pycache__"} or part.endswith("cache") for part in path.parts
        ):
            continue
        if path.suffix in {".pyc", ".png", ".bin"} or ".egg-info" in str(path):
            continue
        text = path.read_text(errors="ignore")
        found += [f"{relative(path)}: {host}" for host in hosts if host in text]
    assert found == []
