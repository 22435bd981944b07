"""Columns."""

import pytest
from broker.cli.tables import print_tabbed_table, print_table


def test_columns_are_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A", "B", "C"], [["long one", 1, "x"], ["y", 22, "last"]], [4, 3, 9])
    assert capsys.readouterr().out == "\nA        B   C\nlong one 1   x\ny        22  last\n"


def test_a_table_without_rows_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A", "B"], [], [4, 0])
    assert capsys.readouterr().out == "\nA    B\n"


def test_cells_that_end_with_a_tab(capsys: pytest.CaptureFixture[str]) -> None:
    print_tabbed_table(["A", "Wide"], [["long one", 1], ["y", 22]])
    assert capsys.readouterr().out == "A       \tWide\t\nlong one\t1   \t\ny       \t22  \t\n"
