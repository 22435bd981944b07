"""Columns as Kafka's tools print them: a blank line, the header, the rows, each column as wide as its longest cell."""

from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[int]) -> None:
    """`widths`: how wide each column is at least; the last one is not filled up."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    wide = [max(least, *(len(row[column]) for row in cells[1:])) if rows else least for column, least in enumerate(widths)]
    print()
    for row in cells:
        filled = [cell.ljust(width) for cell, width in zip(row[:-1], wide, strict=False)]
        print(" ".join([*filled, row[-1]]))
