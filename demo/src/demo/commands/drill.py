"""`./board drill NAME`: break the running board on purpose, see what happens, and have everything back afterwards."""

import argparse
import os

from demo.drills import scripts
from demo.layout import DemoError
from demo.state import require_running
from demo.terminal import Terminal


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    if layout.external_broker:
        raise DemoError("the board runs on a broker that is not its own; drills break the board's brokers only")
    if len(layout.broker_ids) < 3:
        raise DemoError("the board runs with one broker; drills need three: start it on another directory with ./board up")
    language = arguments.language or ("ko" if os.environ.get("LANG", "").startswith("ko") else "en")
    scripts.run(arguments.name, layout, Terminal(), language)
    return 0
