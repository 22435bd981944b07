"""`./board check`: lint, format, types and layers, each by its own tool, and one line for each."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PLAIN = ("broker/src", "libs/events/src", "demo/src")
# What has Django in it is checked by itself: the services are separate programs, each with a settings module of its own.
DJANGO = {
    "libs/servicekit/src": "sample_service.settings",
    "services/article/src": "article.settings",
    "services/comment/src": "comment.settings",
    "services/popular/src": "popular.settings",
    "services/read-view/src": "read_view.settings",
}
# Where the sample service of servicekit's tests is.
SAMPLE_SERVICE = "libs/servicekit/tests"


@dataclass(frozen=True)
class Step:
    """One run of one tool."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def types(path: str) -> Step:
    return Step(f"types of {path} (mypy --strict)", ("mypy", path))


def django_types(path: str, settings_module: str) -> Step:
    environment = {
        "DJANGO_SETTINGS_MODULE": settings_module,
        # The settings are loaded, the database is never opened.
        "DATABASE_URL": "sqlite:////dev/null",
        "PYTHONPATH": str(ROOT / SAMPLE_SERVICE),
    }
    return Step(f"types of {path} (mypy --strict)", ("mypy", "--config-file", "services/mypy.ini", path), environment)


STEPS = (
    Step("lint (ruff)", ("ruff", "check", ".")),
    Step("format (ruff)", ("ruff", "format", "--check", ".")),
    *(types(path) for path in PLAIN),
    *(django_types(path, settings_module) for path, settings_module in DJANGO.items()),
    Step("layers (import-linter)", ("lint-imports",)),
)


def main() -> int:
    failed = []
    for step in STEPS:
        name, (tool, *arguments) = step.name, step.command
        environment = {**os.environ, **step.environment}
        done = subprocess.run(
            [str(BIN / tool), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    print(f"{len(failed)} checks failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
