"""What the demo's commands print with: rich, but lines are never cut, and a reader that has gone away ends nothing.

The supervisor writes to a terminal that may be closed, or into `| head`; neither may keep it from ending its children.
"""

import contextlib
import os

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table

WIDTH_MIN = 160


class Terminal(Console):
    """Standard output, or standard error."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False)
        # Tables keep all their columns; a narrow window wraps them by itself.
        self.width = max(self.width, WIDTH_MIN)

    def say(self, text: str) -> None:
        """One line as it is: no markup, no wrapping."""
        with contextlib.suppress(OSError):
            self.print(text, markup=False, soft_wrap=True)

    def show(self, table: Table) -> None:
        """A table."""
        with contextlib.suppress(OSError):
            self.print(table)

    def progress(self, *columns: ProgressColumn) -> Progress:
        """A bar that vanishes when all is done; nothing at all where nobody watches."""
        return Progress(*columns, console=self, transient=True, disable=not self.is_terminal)

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def plain_table(*columns: str) -> Table:
    """Columns with space between, as Kafka's tools print them."""
    return Table(*columns, box=None, pad_edge=False, header_style="bold")
