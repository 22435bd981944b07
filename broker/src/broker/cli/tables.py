"""Columns as Kafka's tools print them, each as wide as its longest cell: with a blank line first, or with tabs."""

from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[int]) -> None:
    """`widths`: how wide each column is at least; the last one is not filled up."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    wide = [max(least, *(len(row[column]) for row in cells[1:])) if rows else least for column, least in enumerate(widths)]
    print()
    for row in cells:
        filled = [cell.ljust(width) for cell, width in zip(row[:-1], wide, strict=False)]
        print(" ".join([*filled, row[-1]]))


def print_tabbed_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Every cell is filled up and ends with a tab. Source: ``ToolsUtils.prettyPrintTable``."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print("".join(f"{cell.ljust(width)}\t" for cell, width in zip(row, widths, strict=True)))
