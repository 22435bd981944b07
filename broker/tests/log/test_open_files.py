"""Files that are open at a time: a bound, a second chance for what is used, and nothing lost by closing."""

import pytest
from broker.log.open_files import LogFile, OpenFiles

from .disk import DIRECTORY, Disk


def make(limit: int, count: int) -> tuple[Disk, OpenFiles, list[LogFile]]:
    disk = Disk()
    files = OpenFiles(disk.storage, limit)
    return disk, files, [LogFile(files, f"{DIRECTORY}/{number}", exists=False) for number in range(count)]


def test_a_thousand_files_and_few_descriptors() -> None:
    _, files, made = make(16, 1000)
    for round_ in range(2):
        for number, file in enumerate(made):
            assert file.append([b"%d" % (number % 10)]) == round_
            assert len(files) <= 16
    assert all(file.size == 2 for file in made)
    assert all(file.pread(2, 0) == b"%d" % (number % 10) * 2 for number, file in enumerate(made))
    assert len(files) <= 16


def test_what_is_used_meanwhile_stays_open() -> None:
    _, files, made = make(3, 10)
    busy = made[0]
    busy.append([b"x"])
    opened = busy.get()
    for file in made[1:]:
        busy.append([b"x"])
        file.append([b"y"])
    assert busy.get() is opened
    assert len(files) == 3


@pytest.mark.parametrize("limit", [1, 2])
def test_the_file_that_is_just_opened_is_usable(limit: int) -> None:
    _, _, made = make(limit, 5)
    for file in made * 3:
        assert file.get().size == 0


def test_a_closed_file_opens_again_by_itself() -> None:
    disk, files, (file,) = make(5, 1)
    file.append([b"abc"])
    file.close()
    file.close()
    assert len(files) == 0
    assert (file.size, file.pread(3, 0)) == (3, b"abc")
    file.truncate(1)
    assert (file.size, disk.storage.size(file.path)) == (1, 1)


def test_the_size_of_an_existing_file_is_known_unopened() -> None:
    disk, files, (file,) = make(5, 1)
    file.append([b"abc"])
    again = LogFile(files, file.path, exists=True)
    assert again.size == 3
    file.close()
    assert len(files) == 0
    assert disk.storage.size(again.path) == 3


def test_moving() -> None:
    disk, _, (file,) = make(5, 1)
    file.append([b"abc"])
    file.move(f"{DIRECTORY}/elsewhere")
    assert disk.names() == ["elsewhere"]
    assert file.pread(3, 0) == b"abc"
