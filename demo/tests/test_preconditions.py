"""What hinders a start is said, with what to do."""

import socket
from pathlib import Path

import pytest
from demo.layout import DemoError, Layout

from demo import preconditions


def test_a_usable_directory_is_made_and_left_clean(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "new" / "data")
    preconditions.check_data_directory(layout)
    assert [path.name for path in layout.data.iterdir()] == ["log"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    for data in (path, path / "below"):
        with pytest.raises(DemoError, match=rf"{data} cannot be used: .*--data DIR"):
            preconditions.check_data_directory(Layout(data))


def test_too_little_room_is_said_in_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(DemoError, match=rf"{tmp_path} has \d+ MiB free, at least \d+ MiB are needed"):
        preconditions.check_data_directory(Layout(tmp_path))


def free_layout() -> Layout:
    for base in range(20_000, 60_000, 16):
        layout = Layout(Path("/data"), base)
        try:
            preconditions.check_ports(layout)
        except DemoError:
            continue
        return layout
    raise AssertionError("no free ports")


def test_a_taken_port_is_named_with_who_needs_it() -> None:
    layout = free_layout()
    port = layout.web_port("comment")
    message = rf"comment needs port {port}, .*in use.*--port-base \d+"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(DemoError, match=message):
        preconditions.check_ports(layout)
    preconditions.check_ports(layout)


@pytest.mark.parametrize(("made_with", "wanted"), [(1, 3), (3, 1)])
def test_a_board_of_another_number_of_brokers_is_left_alone(tmp_path: Path, made_with: int, wanted: int) -> None:
    old, new = Layout(tmp_path, brokers=made_with), Layout(tmp_path, brokers=wanted)
    (tmp_path / old.broker_name(1)).mkdir()
    with pytest.raises(DemoError, match=rf"--brokers {made_with}, or begin another board with --data"):
        preconditions.check_brokers(new)
    preconditions.check_brokers(old)
    preconditions.check_brokers(Layout(tmp_path, external_broker="kafka.example:9092", brokers=wanted))
