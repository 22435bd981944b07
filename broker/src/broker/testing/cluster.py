"""A cluster of real broker processes on one machine, to be broken: killed, paused, cut off, its disks filled, and mended again.

Every broker is a process of its own with its own directory. With `partitionable` each pair of brokers talks through proxies of
this process (`testing.proxies`), so that their network can be cut in one direction or both. Clients connect directly.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from broker.cli.cluster import Cluster as Connections
from broker.cli.failures import Failure
from broker.clock.randomness import Randomness
from broker.metadata.topic_names import CLUSTER_METADATA
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse, PartitionData, TopicData
from broker.protocol.messages.metadata import MetadataResponse
from broker.protocol.types import uuid_to_base64
from broker.testing.ports import free_ports
from broker.testing.process import BrokerProcess
from broker.testing.proxies import Proxies
from broker.testing.settings import HOST

WAIT_TIMEOUT_S = 60.0
POLL_S = 0.05


class Cluster:
    """A context manager: entering starts all brokers, leaving stops them.

    >>> with Cluster(3) as cluster:
    ...     print(cluster.bootstrap_servers)
    ...     cluster.kill(cluster.leader_of("greetings", 0))

    `overrides` are settings of every broker. `directory` is kept; without one a temporary directory is used and removed.
    """

    def __init__(
        self,
        brokers: int = 3,
        overrides: Mapping[str, str] | None = None,
        directory: Path | str | None = None,
        *,
        partitionable: bool = False,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="broker-cluster-")
            directory = self._temporary.name
        self.directory = Path(directory)
        self.ids = list(range(1, brokers + 1))
        self._cluster_id = uuid_to_base64(Randomness().uuid4())
        ports = free_ports(2 * brokers)
        self._client_ports = dict(zip(self.ids, ports[:brokers], strict=True))
        self._controller_ports = dict(zip(self.ids, ports[brokers:], strict=True))
        self._proxies = Proxies() if partitionable else None
        self._settings = {one: self._settings_of(one, dict(overrides or {})) for one in self.ids}
        self.brokers = {
            one: BrokerProcess(
                self._settings[one], self.directory / str(one), port=self._client_ports[one], cluster_id=self._cluster_id
            )
            for one in self.ids
        }

    # Making it.

    def _settings_of(self, node_id: int, overrides: dict[str, str]) -> dict[str, str]:
        replicas = min(3, len(self.ids))
        defaults = {
            "default.replication.factor": str(replicas),
            "offsets.topic.replication.factor": str(replicas),
            "min.insync.replicas": str(min(2, replicas)),
        }
        client, controller = self._client_ports[node_id], self._controller_ports[node_id]
        listeners = [f"PLAINTEXT://{HOST}:{client}", f"CONTROLLER://{HOST}:{controller}"]
        advertised = [f"PLAINTEXT://{HOST}:{client}"]
        inter_broker = "PLAINTEXT"
        if self._proxies is not None:
            inter_broker = f"PEER{node_id}"
            own = dict(zip(self.ids, free_ports(len(self.ids)), strict=True))
            for peer in self.ids:
                listeners.append(f"PEER{peer}://{HOST}:{own[peer]}")
                advertised.append(f"PEER{peer}://{HOST}:{self._proxies.add(peer, node_id, own[peer])}")
        voters = ",".join(f"{one}@{HOST}:{self._controller_port_for(node_id, one)}" for one in self.ids)
        return (
            defaults
            | {
                "node.id": str(node_id),
                "listeners": ",".join(listeners),
                "advertised.listeners": ",".join(advertised),
                "inter.broker.listener.name": inter_broker,
                "controller.quorum.voters": voters,
            }
            | overrides
        )

    def _controller_port_for(self, node_id: int, target: int) -> int:
        """Where `node_id` reaches the controller listener of `target`."""
        port = self._controller_ports[target]
        if self._proxies is None or node_id == target:
            return port
        return self._proxies.add(node_id, target, port)

    def __enter__(self) -> "Cluster":
        if self._proxies is not None:
            self._proxies.start()
        try:
            self._all(lambda one: self.brokers[one].start())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for one in self.ids:
            self.free_disk(one)
            self.resume(one)
        try:
            self._all(lambda one: self.brokers[one].stop())
        finally:
            if self._proxies is not None:
                self._proxies.stop()
            if self._temporary is not None:
                self._temporary.cleanup()

    def _all(self, do: Callable[[int], object]) -> None:
        """For all brokers at the same time."""
        with ThreadPoolExecutor(len(self.ids)) as pool:
            for done in [pool.submit(do, one) for one in self.ids]:
                done.result()

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"{HOST}:{self._client_ports[one]}" for one in self.ids)

    @property
    def bootstrap_controllers(self) -> str:
        """The controller listeners, for tools that ask those."""
        return ",".join(f"{HOST}:{self._controller_ports[one]}" for one in self.ids)

    # Breaking it.

    def kill(self, *node_ids: int) -> None:
        """kill -9, all of them at the same moment as far as that goes."""
        for node_id in node_ids:
            os.kill(self.brokers[node_id].pid, signal.SIGKILL)
        for node_id in node_ids:
            self.brokers[node_id].kill()

    def stop(self, node_id: int) -> None:
        """SIGTERM, and wait: leaders move away first."""
        self.brokers[node_id].stop()

    def start(self, *node_ids: int) -> None:
        """Start what was killed or stopped, on its directory and ports; returns when they serve."""
        with ThreadPoolExecutor(len(node_ids)) as pool:
            for done in [pool.submit(self.brokers[one].start) for one in node_ids]:
                done.result()

    def restart(self, node_id: int) -> None:
        self.stop(node_id)
        self.start(node_id)

    def pause(self, node_id: int) -> None:
        """SIGSTOP: the process does nothing, and its connections stay."""
        os.kill(self.brokers[node_id].pid, signal.SIGSTOP)

    def resume(self, node_id: int) -> None:
        """SIGCONT; harmless when it runs, or is not there."""
        if self.brokers[node_id].running:
            os.kill(self.brokers[node_id].pid, signal.SIGCONT)

    def fill_disk(self, node_id: int) -> None:
        """The disk of its directory has no room from now on: whatever the broker writes is refused with ENOSPC."""
        self.brokers[node_id].fill_disk()

    def free_disk(self, node_id: int) -> None:
        """There is room again; harmless when there was."""
        self.brokers[node_id].free_disk()

    def partition(self, *groups: list[int]) -> None:
        """Cut the network between groups of brokers, silently, in both directions; needs `partitionable`."""
        for group in groups:
            for other in groups:
                if group is not other:
                    for source in group:
                        for target in other:
                            self.cut(source, target)

    def cut(self, source: int, target: int) -> None:
        """What `source` sends to `target` on the connections it opens is lost, and so are the answers; needs `partitionable`."""
        assert self._proxies is not None, "this cluster is not partitionable"
        self._proxies.cut(source, target)

    def heal(self) -> None:
        """All cuts are mended."""
        assert self._proxies is not None, "this cluster is not partitionable"
        self._proxies.heal()

    def mend(self) -> None:
        """Put everything back that was broken: cuts, full disks, brokers that stand still or are gone; until all is in sync."""
        if self._proxies is not None:
            self.heal()
        for one in self.ids:
            self.free_disk(one)
            self.resume(one)
        gone = [one for one in self.ids if not self.brokers[one].running]
        if gone:
            self.start(*gone)
        self.wait_until_in_sync()

    # Looking at it.

    def metadata(self, *topics: str) -> MetadataResponse:
        """As any broker that answers has it."""
        with Connections(self.bootstrap_servers, "testing") as connections:
            return connections.metadata(list(topics) if topics else None)

    def leader_of(self, topic: str, partition: int) -> int:
        """The leader's node id, waiting while there is none."""
        found = -1

        def look() -> bool:
            nonlocal found
            for one in self.metadata(topic).topics:
                for state in one.partitions:
                    if state.partition_index == partition:
                        found = state.leader_id
            return found >= 0

        self._wait(look, f"{topic}-{partition} has no leader")
        return found

    def isr_of(self, topic: str, partition: int) -> list[int]:
        states = [state for one in self.metadata(topic).topics for state in one.partitions if state.partition_index == partition]
        return sorted(states[0].isr_nodes) if states else []

    def wait_until_in_sync(self, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Until every replica of every partition is in the ISR."""

        def look() -> bool:
            states = [state for topic in self.metadata().topics for state in topic.partitions]
            return all(len(state.isr_nodes) == len(state.replica_nodes) and state.leader_id >= 0 for state in states)

        self._wait(look, "replicas are out of sync", timeout_s)

    def controller_id(self) -> int:
        """The node whose controller is active, waiting while there is none. (Metadata names any broker, as Kafka's does.)"""
        found = -1

        def look() -> bool:
            nonlocal found
            found = self.controller_seen_by(self.bootstrap_servers)
            return found >= 0

        self._wait(look, "no controller is active")
        return found

    def controller_seen_by(self, bootstrap_servers: str) -> int:
        """Whom the first of these brokers that answers takes for the active controller; -1 for nobody."""
        topic = TopicData(topic_name=CLUSTER_METADATA, partitions=[PartitionData(partition_index=0)])
        with Connections(bootstrap_servers, "testing") as connections:
            response = connections.any().ask(DescribeQuorumRequest(topics=[topic]), DescribeQuorumResponse)
        states = [state for one in response.topics for state in one.partitions if state.error_code == ErrorCode.NONE]
        return states[0].leader_id if states else -1

    def _wait(self, look: Callable[[], bool], what: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if look():
                    return
            except Failure:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s} s: {what}")
            time.sleep(POLL_S)
