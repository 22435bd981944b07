"""`./board check`: lint, format, types and layers, each by its own tool, and one line for each."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Every package is checked by itself: the services are separate programs, each with a settings module of its own.
TYPED = (
    "broker/src",
    "libs/events/src",
    "libs/servicekit/src",
    "services/article/src",
    "services/comment/src",
    "services/popular/src",
    "services/read-view/src",
    "demo/src",
)
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lint (ruff)", ("ruff", "check", ".")),
    ("format (ruff)", ("ruff", "format", "--check", ".")),
    *((f"types of {path} (mypy --strict)", ("mypy", path)) for path in TYPED),
    ("layers (import-linter)", ("lint-imports",)),
)


def main() -> int:
    failed = []
    for name, (tool, *arguments) in STEPS:
        done = subprocess.run([str(BIN / tool), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    print(f"{len(failed)} checks failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
