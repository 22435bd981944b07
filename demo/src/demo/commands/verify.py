"""`./board verify`: hold the projections against the origins, the event log and the load's ledger; exit 1 on any difference.

Four questions, each answered without the projections' own code:
1. did the origins keep every promise of the ledger?
2. does read-view show what the origins hold, from the projection, article by article and list by list?
3. are the counts in the log's newest events those of the origins?
4. are the popular lists those that follow from the log read again from offset 0?
"""

import argparse
import time
from dataclasses import dataclass

from demo.api import Board, NoAnswer, Refused
from demo.groups import wait_for_groups
from demo.layout import DemoError, Layout
from demo.ledger import read_ledgers
from demo.prepare import GROUPS
from demo.state import require_running
from demo.terminal import Terminal
from demo.verification import Differences, LogView, Origins, compare_ledger, compare_popular, compare_views, read_log

# Events that a relay still holds look like differences. They are believed once the log has not grown for so long: longer than
# a relay waits for the lease of one that was killed (8 s).
QUIET_SECONDS = 12.0
POLL_SECONDS = 0.5
DIFFERENCES_SHOWN_MAX = 50


@dataclass
class Findings:
    """What one pass found. `complete`: read-view's projection claimed to know all there is before it was asked."""

    differences: Differences
    origins: Origins
    log: LogView
    promises: int
    complete: bool = True


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    terminal = Terminal()
    try:
        findings = _compare_when_quiet(layout, terminal, time.monotonic() + arguments.timeout)
    except (Refused, NoAnswer) as error:
        raise DemoError(f"verification could not be completed: {error}") from error
    _print(terminal, findings)
    return 1 if findings.differences.texts else 0


def _compare_when_quiet(layout: Layout, terminal: Terminal, deadline: float) -> Findings:
    """Compare until nothing differs, or nothing moves any more.

    What once differed in a pass that no event explains afterwards counts, even if it has healed since: read-view mends a hole
    by asking the origin, so that looking at it is enough to hide it.
    """
    events, grew_at = -1, 0.0
    unexplained: Findings | None = None
    while True:
        findings = _compare(layout, terminal, deadline)
        now = time.monotonic()
        if findings.log.events != events:
            events, grew_at, unexplained = findings.log.events, now, None
        if findings.differences.texts and findings.complete:
            unexplained = unexplained or findings
        if unexplained is None and not findings.differences.texts:
            return findings
        if now - grew_at > QUIET_SECONDS or now > deadline:
            return unexplained or findings
        time.sleep(POLL_SECONDS)


def _compare(layout: Layout, terminal: Terminal, deadline: float) -> Findings:
    board = Board.of(layout)
    differences = Differences()
    with terminal.progress() as progress:
        log = read_log(layout.bootstrap_servers)
        # Only now, so that all of what was read has had its effect.
        behind = wait_for_groups(layout.bootstrap_servers, GROUPS, max(0.0, deadline - time.monotonic()))
        if behind:
            raise DemoError("the groups do not come to the end: " + "; ".join(behind))
        listed = board.call("read-view", "GET", "articles", board_id="1", page_size="1")
        ledger = list(read_ledgers(layout.ledger_directory))
        origins = Origins.read(board, log, ledger, progress)
        compare_ledger(board, ledger, origins, differences, progress)
        compare_views(board, origins, log, differences, progress)
        compare_popular(board, log, differences)
    board.close()
    return Findings(differences, origins, log, len(ledger), listed.headers.get("X-Source") == "projection")


def _print(terminal: Terminal, findings: Findings) -> None:
    origins, texts = findings.origins, findings.differences.texts
    terminal.say(
        f"compared {len(origins.articles)} articles ({len(origins.deleted)} deleted ones), {findings.differences.checks} facts, "
        f"{findings.promises} promises of the ledger, {findings.log.events} events of the log"
    )
    if findings.log.unreadable:
        terminal.say(f"{findings.log.unreadable} of the events cannot be read and count as dead letters")
    for text in texts[:DIFFERENCES_SHOWN_MAX]:
        terminal.say(f"  differs: {text}")
    if len(texts) > DIFFERENCES_SHOWN_MAX:
        terminal.say(f"  … and {len(texts) - DIFFERENCES_SHOWN_MAX} more")
    terminal.say(f"{len(texts)} differences" if texts else "no difference")
