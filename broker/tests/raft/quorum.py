"""What the tests of the quorum's shell share: voters on simulated disks, clocks and wires, and a listener that takes notes."""

import random
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.log.failure import LogDirFailure
from broker.log.open_files import OpenFiles
from broker.log.partition_log import PartitionLog
from broker.metadata.image import MetadataImage
from broker.network.simulated import SimulatedNetwork, Wires
from broker.node.metadata_log import MetadataLogConfig
from broker.protocol.errors import ErrorCode
from broker.raft.driver import RaftDriver
from broker.raft.election_store import ElectionStore
from broker.raft.settings import QuorumSettings
from broker.server.acceptor import Acceptor
from broker.storage.simulated import CrashMode, SimulatedStorage

DIRECTORY = "/data/__cluster_metadata-0"
CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
PORT = 9093


class Listener:
    """Hears what is committed, and who leads."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.heard: list[str] = []

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        self.values += values
        self.heard.append(f"{' '.join(value.decode(errors='replace') for value in values)} @{last_offset}")

    def handle_snapshot(self, batches: Iterator[Sequence[bytes]], last_offset: int, last_epoch: int) -> None:
        self.values = [value for batch in batches for value in batch]
        self.heard.append(f"snapshot of {len(self.values)} @{last_offset} epoch {last_epoch}")

    def handle_leader_change(self, leader_id: int, epoch: int) -> None:
        self.heard.append(f"{leader_id if leader_id >= 0 else 'nobody'} leads epoch {epoch}")

    def batches(self) -> Iterator[list[bytes]]:
        """Everything heard, for a snapshot."""
        values = list(self.values)
        return (values[first : first + 3] for first in range(0, len(values), 3))


class Quorum:
    """The time and the wires its voters share."""

    def __init__(self, size: int = 1, seed: int = 0, settings: QuorumSettings | None = None, *, observers: int = 0) -> None:
        self.clock = SimulatedClock()
        self.rng = random.Random(seed)
        self.wires = Wires(self.clock, self.rng)
        self.settings = settings or QuorumSettings()
        self.ids = tuple(range(1, size + 1))
        self.nodes = {one: Voter(self, one) for one in range(1, size + observers + 1)}

    def start(self) -> None:
        for node in self.nodes.values():
            node.driver.start()

    def settle(self, milliseconds: int = 100) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    @property
    def up(self) -> list["Voter"]:
        return [node for node in self.nodes.values() if node.up]

    @property
    def leader(self) -> "Voter":
        """The one that leads; waits for it."""
        for _ in range(200):
            leaders = [node for node in self.up if node.driver.is_leader]
            if len(leaders) == 1 and all(node.driver.leader_id == leaders[0].node_id for node in self.up):
                return leaders[0]
            self.settle(50)
        raise AssertionError("nobody leads")

    def followers(self) -> list["Voter"]:
        leader = self.leader
        return [node for node in self.up if node is not leader]


class Voter:
    """One replica. Its disk outlives it."""

    def __init__(self, quorum: Quorum | None = None, node_id: int = 1) -> None:
        self.quorum = quorum or Quorum(0)
        self.node_id = node_id
        self.host = f"node-{node_id}"
        self.clock = NodeClock(self.quorum.clock)
        self.storage = SimulatedStorage(self.clock)
        self.randomness = Randomness(self.quorum.rng.getrandbits(60))
        self.network = SimulatedNetwork(self.quorum.wires, self.host)
        self.storage.make_directory(DIRECTORY)
        for path in ("/", "/data"):
            self.storage.fsync_directory(path)
        self.failures: list[LogDirFailure] = []
        self.lost: list[int] = []
        self.clean = False
        self.answers: dict[str, ErrorCode] = {}
        self.open()

    @property
    def voters(self) -> tuple[int, ...]:
        return self.quorum.ids or (self.node_id,)

    def config(self) -> BrokerConfig:
        voters = ",".join(f"{one}@node-{one}:{PORT}" for one in self.voters)
        return BrokerConfig(
            {
                "node.id": str(self.node_id),
                "listeners": f"PLAINTEXT://{self.host}:9092,CONTROLLER://{self.host}:{PORT}",
                "controller.quorum.voters": voters if self.node_id in self.voters else "",
            }
        )

    def open(self) -> None:
        """A new life, which takes no part yet."""
        self.up = True
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
        self.listener = Listener()
        self.store = ElectionStore(self.storage, DIRECTORY, self.voters)
        self.driver = RaftDriver(
            self.config(),
            CLUSTER_ID,
            {one: (f"node-{one}", PORT) for one in self.voters},
            self.log,
            self.store,
            world=self,
            on_peer_lost=self.lost.append,
            snapshot=self.listener.batches,
            settings=self.quorum.settings,
        )
        self.driver.register(self.listener)
        services: Any = SimpleNamespace(
            config=self.config(),
            quorum=self.driver,
            metadata=SimpleNamespace(image=MetadataImage()),
            on_peer_lost=self.lost.append,
        )
        self.acceptor = Acceptor(self.config(), self.clock, self.network, services)
        self.acceptor.listen()
        for listener in self.acceptor.listeners.values():
            listener.accept()

    def lead(self) -> None:
        """Take part alone."""
        self.driver.start()
        self.settle()

    def append(self, *values: str) -> int:
        name = " ".join(values)

        def done(code: ErrorCode) -> None:
            self.answers[name] = code

        return self.driver.append([value.encode() for value in values], done)

    def settle(self, milliseconds: int = 100) -> None:
        self.quorum.settle(milliseconds)

    def kill(self, seed: int = 0, mode: CrashMode = "process", *, silently: bool = False) -> None:
        """The node dies. `silently`: its machine does."""
        self.up = False
        self.clock.crash()
        self.network.crash(silently=silently)
        self.storage.crash(random.Random(seed), mode)
        self.clean = False

    def crash(self, seed: int = 0, mode: CrashMode = "process") -> None:
        self.kill(seed, mode)
        self.open()

    def stop(self) -> None:
        self.driver.stop()
        self.acceptor.stop_listening()
        self.settle(20)
        self.acceptor.close_all()
        self.log.close(clean=True)
        self.clean = True
        self.up = False
