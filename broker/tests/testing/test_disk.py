"""A disk that is full for a broker: what is refused, what goes on, and that it is as the kernel has it."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.testing.disk import BLOCK_BYTES, FillableStorage, Switch, throw_switch


@pytest.fixture
def switch(tmp_path: Path) -> Path:
    path = tmp_path / "disk-is-full"
    throw_switch(path, full=False)
    return path


@pytest.fixture
def storage(switch: Path) -> Iterator[FillableStorage]:
    made = FillableStorage(lambda callback: callback(), Switch(str(switch)))
    yield made
    made.close()


def test_with_room_it_is_a_disk_like_any_other(storage: FillableStorage, tmp_path: Path) -> None:
    file = storage.open(str(tmp_path / "log"))
    assert (file.append([b"a", b"b"]), file.append([b"c"]), file.pread(9, 0)) == (0, 2, b"abc")
    storage.write_atomically(str(tmp_path / "small"), b"content")
    storage.make_directory(str(tmp_path / "one"))
    assert storage.read(str(tmp_path / "small")) == b"content"
    assert storage.space(str(tmp_path))[1] > 0
    file.close()


def test_a_file_grows_to_the_end_of_its_block_and_no_further(storage: FillableStorage, switch: Path, tmp_path: Path) -> None:
    file = storage.open(str(tmp_path / "log"))
    file.append([b"x" * (BLOCK_BYTES - 10)])
    throw_switch(switch, full=True)
    assert file.append([b"1234", b"5"]) == BLOCK_BYTES - 10
    with pytest.raises(OSError, match="No space left") as caught:
        file.append([b"12345", b"6"])
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, file.path)
    assert file.size == os.stat(file.path).st_size == BLOCK_BYTES - 5
    throw_switch(switch, full=False)
    assert file.append([b"after"]) == BLOCK_BYTES - 5
    file.close()


def test_a_full_disk_takes_no_new_content_and_gives_what_it_has(storage: FillableStorage, switch: Path, tmp_path: Path) -> None:
    kept, new = str(tmp_path / "kept"), str(tmp_path / "new")
    storage.write_atomically(kept, b"old")
    storage.make_directory(str(tmp_path / "there"))
    throw_switch(switch, full=True)
    file = storage.open(new)
    for refused in (
        lambda: file.append([b"x"]),
        lambda: storage.write_atomically(kept, b"newer"),
        lambda: storage.make_directory(str(tmp_path / "elsewhere")),
    ):
        with pytest.raises(OSError, match="No space left"):
            refused()
    assert (storage.read(kept), storage.size(new), storage.space(str(tmp_path))[1]) == (b"old", 0, 0)
    storage.make_directory(str(tmp_path / "there"))
    storage.fsync_directory(str(tmp_path))
    storage.rename(kept, str(tmp_path / "renamed"))
    storage.remove(new)
    assert sorted(os.listdir(tmp_path)) == ["disk-is-full", "renamed", "there"]
    file.close()


def test_the_switch_outlives_the_broker(switch: Path) -> None:
    throw_switch(switch, full=True)
    assert Switch(str(switch)).full
    throw_switch(switch, full=True)
    throw_switch(switch, full=False)
    assert not Switch(str(switch)).full


# Prints what a storage did on a disk that became full: the errors, and the sizes of the files afterwards.
SCRIPT = """
import json, os, sys
from pathlib import Path
directory, kind = Path(sys.argv[1]), sys.argv[2]
from broker.storage.real import RealStorage
from broker.testing.disk import FillableStorage, Switch, throw_switch

told = []
def attempt(do):
    try:
        told.append(do())
    except OSError as error:
        told.append(error.errno)

if kind == "kernel":
    storage = RealStorage(lambda callback: callback())
    def fill():
        with open(directory / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
    def free():
        os.unlink(directory / "ballast")
else:
    throw_switch(directory.parent / "switch", full=False)
    storage = FillableStorage(lambda callback: callback(), Switch(str(directory.parent / "switch")))
    def fill():
        throw_switch(directory.parent / "switch", full=True)
    def free():
        throw_switch(directory.parent / "switch", full=False)

log, small = storage.open(str(directory / "log")), str(directory / "small")
attempt(lambda: log.append([b"a" * 5000]))
attempt(lambda: storage.write_atomically(small, b"old"))
fill()
attempt(lambda: log.append([b"b" * 3000]))
attempt(lambda: log.append([b"c" * 1000, b"d" * 5000]))
attempt(lambda: log.append([b"e" * 192]))
attempt(lambda: log.append([b"f"]))
attempt(lambda: storage.write_atomically(small, b"new"))
new = storage.open(str(directory / "new"))
attempt(lambda: new.append([b"g"]))
attempt(lambda: storage.space(str(directory))[1])
attempt(lambda: log.fsync())
free()
attempt(lambda: log.append([b"h" * 9000]))
attempt(lambda: storage.write_atomically(small, b"new"))
attempt(lambda: len(storage.read(str(directory / "log"))))
print(json.dumps([told, log.size, sorted(name for name in os.listdir(directory))]))
"""
# A file system of 256 KiB in a mount namespace of its own; without the right to make one the machine cannot be asked.
MOUNTED = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1" kernel'


def test_it_is_full_as_the_kernel_has_it(tmp_path: Path) -> None:
    directory = tmp_path / "disk"
    directory.mkdir()
    own = [sys.executable, "-c", SCRIPT, str(directory), "switch"]
    ours = json.loads(subprocess.run(own, capture_output=True, text=True, check=True, timeout=60).stdout)
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare (util-linux) is not installed")
    command = [unshare, "-rm", "sh", "-c", MOUNTED, "sh", str(directory), sys.executable, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0 and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"this machine lets nobody mount a file system of their own: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ours
