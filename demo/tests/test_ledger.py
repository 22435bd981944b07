"""Promises are kept in their order, and a gap is never hidden."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from demo.ledger import Entry, Ledger, read_ledgers


def test_what_was_added_is_read_in_its_order(tmp_path: Path) -> None:
    entries = [
        Entry("create", "1", version=1),
        Entry("like", "1", user_id="7"),
        Entry("comment", "1", certain=False, comment_id="9"),
    ]
    ledger = Ledger(tmp_path / "ledger" / "1.jsonl")
    for entry in entries:
        ledger.add(entry)
    # Before it is closed: a load that is killed leaves what it had been promised.
    assert list(read_ledgers(tmp_path / "ledger")) == entries
    assert ledger.count == 3
    ledger.close()


def test_several_loads_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name in ("20260302-000000-1", "20260301-000000-1"):
        ledger = Ledger(tmp_path / f"{name}.jsonl")
        ledger.add(Entry("create", name))
        ledger.close()
    assert [entry.article_id for entry in read_ledgers(tmp_path)] == ["20260301-000000-1", "20260302-000000-1"]


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    ledger = Ledger(path)
    ledger.add(Entry("create", "1"))
    ledger.close()
    path.write_bytes(path.read_bytes() + b'{"operation":"cre')
    assert list(read_ledgers(tmp_path)) == [Entry("create", "1")]


def test_a_write_that_was_under_way_is_uncertain(tmp_path: Path) -> None:
    """A load was killed: what it had sent and heard nothing of may have gone either way."""
    ledger = Ledger(tmp_path / "1.jsonl")
    liked, unliked, other = Entry("like", "1", user_id="7"), Entry("unlike", "1", user_id="7"), Entry("delete", "2")
    for entry in (liked, unliked):
        ledger.sent(entry)
        if entry is liked:
            ledger.add(entry)
    ledger.sent(other)
    ledger.refused(other)
    assert list(read_ledgers(tmp_path)) == [liked, replace(unliked, certain=False)]
    assert ledger.count == 1, "promises alone"
    ledger.close()


def test_without_a_load_there_are_no_promises(tmp_path: Path) -> None:
    assert list(read_ledgers(tmp_path / "none")) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_ends_it_at_the_gap() -> None:
    ledger = Ledger(Path("/dev/full"))
    for _ in range(2):  # nothing more is taken, even if there were room again
        with pytest.raises(OSError, match="No space left") as raised:
            ledger.add(Entry("create", "1"))
        assert raised.value.errno == errno.ENOSPC
    assert ledger.count == 0
    with pytest.raises(OSError, match="No space left"):
        ledger.close()
