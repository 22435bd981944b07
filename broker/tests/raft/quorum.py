"""What the tests of the quorum share: one voter on a simulated disk, and a listener that writes down what it hears."""

import random
from collections.abc import Sequence

from broker.clock.simulated import SimulatedClock
from broker.log.failure import LogDirFailure
from broker.log.open_files import OpenFiles
from broker.log.partition_log import PartitionLog
from broker.node.broker import MetadataLogConfig
from broker.protocol.errors import ErrorCode
from broker.raft.driver import RaftDriver
from broker.raft.election_store import ElectionStore
from broker.storage.simulated import CrashMode, SimulatedStorage

DIRECTORY = "/data/__cluster_metadata-0"
NODE = 1
VOTERS = (NODE,)


class Listener:
    """Hears what is committed, and who leads."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.heard: list[str] = []

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        self.values += values
        self.heard.append(f"{' '.join(value.decode() for value in values)} @{last_offset}")

    def handle_leader(self, epoch: int) -> None:
        self.heard.append(f"leader of epoch {epoch}")


class Voter:
    """A quorum of one. The disk outlives it."""

    # Whether its listener, who takes values for texts, is registered.
    listens = True

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.storage = SimulatedStorage(self.clock)
        self.storage.make_directory(DIRECTORY)
        for path in ("/", "/data"):
            self.storage.fsync_directory(path)
        self.failures: list[LogDirFailure] = []
        self.clean = False
        self.answers: dict[str, ErrorCode] = {}
        self.open()

    def open(self) -> None:
        """A new life, which does not lead yet."""
        self.log = PartitionLog(
            OpenFiles(self.storage),
            DIRECTORY,
            MetadataLogConfig(),
            recovery_point=0,
            start_offset=0,
            clean=self.clean,
            now_ms=self.clock.wall_ms(),
            on_failure=self.failures.append,
        )
        self.store = ElectionStore(self.storage, DIRECTORY, VOTERS)
        self.driver = RaftDriver(NODE, VOTERS, self.log, self.store, self.clock)
        self.listener = Listener()
        if self.listens:
            self.driver.register(self.listener)

    def lead(self) -> None:
        self.driver.start()
        self.settle()

    def append(self, *values: str) -> int:
        name = " ".join(values)

        def done(code: ErrorCode) -> None:
            self.answers[name] = code

        return self.driver.append([value.encode() for value in values], done)

    def settle(self, milliseconds: int = 100) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def crash(self, seed: int = 0, mode: CrashMode = "process") -> None:
        self.storage.crash(random.Random(seed), mode)
        self.clean = False
        self.open()

    def stop(self) -> None:
        self.driver.stop()
        self.log.close(clean=True)
        self.clean = True
