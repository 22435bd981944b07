"""The end of a log directory: an fsync or a write that failed for another reason than a full disk.

After a failed fsync the kernel may have dropped the pages, so nothing can be promised about the directory any more: it is
never retried, the node is told once, and every log in it refuses appends with KAFKA_STORAGE_ERROR.
"""

import errno

# The disk, a quota or a file is full: refused, cut off, and tried again by the next append.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LogDirFailure(OSError):
    """What failed, and on which file: the one the error names, `path` (the log) when it names none."""

    def __init__(self, path: str, cause: OSError) -> None:
        self.path = str(cause.filename or path)
        super().__init__(cause.errno, f"{cause.strerror or cause} on {self.path}: this log directory has failed")
