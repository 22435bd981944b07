"""All brokers of a cluster, found through some of them: which one leads a partition, which one coordinates a group.

A connection that was lost is made again when it is next needed.
"""

from typing import NamedTuple

from broker.cli.failures import Unavailable, UsageError, check
from broker.cli.retrying import RETRY_S, patiently
from broker.cli.wire import REQUEST_TIMEOUT_S, Connection
from broker.client.retriable import STALE_COORDINATOR
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from broker.protocol.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from broker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic

# How long a topic may take that a broker is about to create.
CREATION_S = 5.0
NO_LEADER = -1
BOOTSTRAP_SERVER, BOOTSTRAP_CONTROLLER = "--bootstrap-server", "--bootstrap-controller"
# Endpoint types of DescribeCluster.
BROKERS, CONTROLLERS = 1, 2


class Node(NamedTuple):
    """A broker and its address."""

    node_id: int
    host: str
    port: int


class Cluster:
    """A context manager: leaving it closes all connections. UsageError when `bootstrap` is no list of host:port.

    `option` says where `bootstrap` comes from. Of controllers only what `describe` and `any` give can be asked.
    """

    def __init__(
        self, bootstrap: str, client_id: str, request_timeout_s: float = REQUEST_TIMEOUT_S, *, option: str = BOOTSTRAP_SERVER
    ) -> None:
        self._bootstrap = [_address(one, option) for one in bootstrap.split(",") if one.strip()]
        if not self._bootstrap:
            raise UsageError(f"{option} is empty: at least one host:port is needed")
        self._option = option
        self.client_id = client_id
        self.request_timeout_s = request_timeout_s
        self._nodes: dict[int, Node] = {}
        self._connections: dict[tuple[str, int], Connection] = {}
        self._coordinators: dict[str, Connection] = {}

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in [*self._connections.values(), *self._coordinators.values()]:
            connection.close()
        self._connections.clear()
        self._coordinators.clear()

    # Brokers.

    def any(self) -> Connection:
        """A broker, whichever can be reached; those that were told first, then those the cluster told of."""
        failures = []
        addresses = [*self._bootstrap, *((node.host, node.port) for node in self._nodes.values())]
        for address in dict.fromkeys(addresses):
            try:
                return self._connection(address)
            except Unavailable as error:
                failures.append(str(error))
        raise Unavailable(f"{'; '.join(failures)}: is it running, and is {self._option} right?")

    def node(self, node_id: int) -> Connection:
        """One broker by its id."""
        if node_id not in self._nodes:
            self.metadata([])
        if node_id not in self._nodes:
            raise Unavailable(f"broker {node_id} is not in the cluster now")
        found = self._nodes[node_id]
        return self._connection((found.host, found.port))

    def node_ids(self) -> list[int]:
        """All brokers that are alive."""
        self.metadata([])
        return sorted(self._nodes)

    def describe(self) -> DescribeClusterResponse:
        """The brokers, or the controllers when it is them who are asked; in the latter case with the active one."""
        kind = CONTROLLERS if self._option == BOOTSTRAP_CONTROLLER else BROKERS
        response = self.any().ask(DescribeClusterRequest(endpoint_type=kind), DescribeClusterResponse)
        check(response.error_code, self._option, response.error_message)
        self._nodes = {one.broker_id: Node(one.broker_id, one.host, one.port) for one in response.brokers}
        return response

    def active_controller(self) -> Connection:
        """Found through a controller; waits while there is none."""

        def find() -> Connection:
            controller_id = self.describe().controller_id
            if controller_id not in self._nodes:
                raise KafkaError(ErrorCode.NOT_CONTROLLER, "no controller is active: are most of the controllers running?")
            return self.node(controller_id)

        return patiently(find, [ErrorCode.NOT_CONTROLLER], RETRY_S)

    def _connection(self, address: tuple[str, int]) -> Connection:
        held = self._connections.get(address)
        if held is None or not held.usable:
            if held is not None:
                held.close()
            held = self._connections[address] = Connection(*address, self.client_id, self.request_timeout_s)
        return held

    # Topics.

    def metadata(self, topics: list[str] | None, *, create: bool = False) -> MetadataResponse:
        """Brokers and topics; None for all topics."""
        asked = None if topics is None else [MetadataRequestTopic(name=name) for name in topics]
        response = self.any().ask(MetadataRequest(topics=asked, allow_auto_topic_creation=create), MetadataResponse)
        self._nodes = {broker.node_id: Node(broker.node_id, broker.host, broker.port) for broker in response.brokers}
        return response

    def topic(self, name: str, *, create: bool = False) -> MetadataResponseTopic:
        """One topic. KafkaError when there is none, with the way to make it; waits for one that is being made."""

        def find() -> MetadataResponseTopic:
            found = self.metadata([name], create=create).topics[0]
            if found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                text = f"topic '{name}' does not exist; broker topics --create --topic {name} makes it"
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, text)
            check(found.error_code, f"topic '{name}'")
            return found

        retriable = [ErrorCode.LEADER_NOT_AVAILABLE]
        if create:
            retriable.append(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return patiently(find, retriable, CREATION_S)

    def leaders(self, name: str, *, create: bool = False) -> dict[int, int]:
        """Partition -> leader, for every partition of a topic; waits while one has no leader. KafkaError as `topic`."""

        def find() -> dict[int, int]:
            found = {one.partition_index: one.leader_id for one in self.topic(name, create=create).partitions}
            missing = [index for index, leader in found.items() if leader == NO_LEADER]
            if missing:
                raise KafkaError(ErrorCode.LEADER_NOT_AVAILABLE, f"{name}-{missing[0]} has no leader: is its broker running?")
            return found

        return patiently(find, [ErrorCode.LEADER_NOT_AVAILABLE], RETRY_S)

    # Groups.

    def coordinator_node(self, group: str) -> Node:
        """The broker that coordinates a group; waits while there is none yet."""

        def find() -> Node:
            request = FindCoordinatorRequest(coordinator_keys=[group])
            found: Coordinator = self.any().ask(request, FindCoordinatorResponse).coordinators[0]
            check(found.error_code, f"group '{group}'", found.error_message)
            return Node(found.node_id, found.host, found.port)

        return patiently(find, STALE_COORDINATOR, RETRY_S)

    def coordinator(self, group: str) -> Connection:
        """A connection of its own to a group's coordinator, so that waiting for records holds up no heartbeat."""
        held = self._coordinators.get(group)
        if held is None or not held.usable:
            self.forget_coordinator(group)
            found = self.coordinator_node(group)
            held = Connection(found.host, found.port, self.client_id, self.request_timeout_s)
            self._coordinators[group] = held
        return held

    def forget_coordinator(self, group: str) -> None:
        """It moved: look for it again."""
        held = self._coordinators.pop(group, None)
        if held is not None:
            held.close()


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text.strip()} is not of the form host:port, e.g. localhost:9092")
    return host.strip("[]"), int(port)
