"""`./board verify`: hold the projections against the origins, the event log and the load's ledger; exit 1 on any difference.

Four questions, each answered without the projections' own code:
1. did the origins keep every promise of the ledger?
2. does read-view show what the origins hold, from the projection, article by article and list by list?
3. are the counts in the log's newest events those of the origins?
4. are the popular lists those that follow from the log read again from offset 0?
"""

import argparse
import time

from rich.progress import Progress

from demo.api import Board, NoAnswer, Refused
from demo.groups import GroupRow, group_rows
from demo.layout import DemoError, Layout
from demo.ledger import read_ledgers
from demo.prepare import GROUPS
from demo.state import require_running
from demo.terminal import Terminal
from demo.verification import Differences, LogView, Origins, compare_ledger, compare_popular, compare_views, read_log

LAG_POLL_SECONDS = 0.2
DIFFERENCES_SHOWN_MAX = 50


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    _wait_for_groups(layout, arguments.timeout)
    board = Board.of(layout)
    differences = Differences()
    try:
        with Progress(transient=True) as progress:
            log = read_log(layout.bootstrap_servers)
            ledger = list(read_ledgers(layout.ledger_directory))
            origins = Origins.read(board, log, ledger, progress)
            compare_ledger(board, ledger, origins, differences, progress)
            compare_views(board, origins, log, differences, progress)
            compare_popular(board, log, differences)
    except (Refused, NoAnswer) as error:
        raise DemoError(f"verification could not be completed: {error}") from error
    return _print(differences, origins, log, len(ledger))


def _wait_for_groups(layout: Layout, timeout_seconds: float) -> None:
    """Both groups at lag 0 on every partition that has records; DemoError says which is not."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        rows = group_rows(layout.bootstrap_servers)
        behind = [row for row in rows if row.group in GROUPS and _is_behind(row)]
        missing = [group for group in GROUPS if not any(row.group == group for row in rows)]
        if not behind and not missing:
            return
        if time.monotonic() > deadline:
            what = [f"group {group} does not exist" for group in missing]
            what += [f"group {row.group} is behind on {row.topic}-{row.partition} (lag {row.lag})" for row in behind]
            raise DemoError(f"after {timeout_seconds:.0f} s: " + "; ".join(what))
        time.sleep(LAG_POLL_SECONDS)


def _is_behind(row: GroupRow) -> bool:
    """A partition without a record has no committed offset, and needs none."""
    return bool(row.lag) if row.lag is not None else bool(row.log_end)


def _print(differences: Differences, origins: Origins, log: LogView, promises: int) -> int:
    terminal = Terminal()
    terminal.say(
        f"compared {len(origins.articles)} articles ({len(origins.deleted)} deleted ones), {differences.checks} facts, "
        f"{promises} promises of the ledger, {log.events} events of the log"
    )
    for text in differences.texts[:DIFFERENCES_SHOWN_MAX]:
        terminal.say(f"  differs: {text}")
    if len(differences.texts) > DIFFERENCES_SHOWN_MAX:
        terminal.say(f"  … and {len(differences.texts) - DIFFERENCES_SHOWN_MAX} more")
    terminal.say("no difference" if not differences.texts else f"{len(differences.texts)} differences")
    return 1 if differences.texts else 0
