"""A failed log directory: the message names the file, and a full disk is none."""

import errno

from broker.log.failure import DISK_FULL, LogDirFailure


def test_the_message_names_what_failed() -> None:
    failure = LogDirFailure("/d/t-0", OSError(errno.EIO, "Input/output error"))
    assert str(failure) == f"[Errno {errno.EIO}] Input/output error on /d/t-0: this log directory has failed"
    assert (failure.path, failure.errno) == ("/d/t-0", errno.EIO)


def test_the_file_that_the_error_names_says_more() -> None:
    failure = LogDirFailure("/d/t-0", OSError(errno.EIO, "Input/output error", "/d/t-0/0.log"))
    assert failure.path == "/d/t-0/0.log"


def test_an_error_without_a_number() -> None:
    assert "torn on /d: this log directory has failed" in str(LogDirFailure("/d", OSError("torn")))


def test_full_disks_are_no_failures() -> None:
    assert errno.ENOSPC in DISK_FULL and errno.EDQUOT in DISK_FULL
    assert errno.EIO not in DISK_FULL and errno.ENOENT not in DISK_FULL
