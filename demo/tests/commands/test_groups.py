"""The table has Kafka's columns, and dashes where there is nothing."""

import argparse
from pathlib import Path

import pytest
from demo.commands import groups
from demo.groups import GroupRow
from demo.layout import Layout
from demo.state import State


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: list[GroupRow]) -> list[list[str]]:
    monkeypatch.setattr(groups, "require_running", lambda data: (Layout(data), State(1, 8000)))
    monkeypatch.setattr(groups, "group_rows", lambda bootstrap_servers: rows)
    assert groups.run(argparse.Namespace(data=Path("/data"))) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_every_partition_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    member = "read-view-" + "0" * 60
    rows = [
        GroupRow("read-view", "article-topic", 0, 3, 5, member, "/127.0.0.1"),
        GroupRow("read-view", "article-topic", 1, None, 0, None, None),
    ]
    assert shown(monkeypatch, capsys, rows) == [
        ["GROUP", "TOPIC", "PARTITION", "COMMITTED-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "HOST"],
        ["read-view", "article-topic", "0", "3", "5", "2", member, "/127.0.0.1"],
        ["read-view", "article-topic", "1", "-", "0", "-", "-", "-"],
    ]


def test_no_group_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(monkeypatch, capsys, [])[0][:4] == ["no", "group", "has", "a"]
