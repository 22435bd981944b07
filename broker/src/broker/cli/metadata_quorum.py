"""`broker metadata-quorum describe`: leader and replicas of the metadata quorum, with the output of kafka-metadata-quorum.sh.

Not done: adding and removing controllers, since the voters are those of `controller.quorum.voters`.
"""

import argparse
import time
from collections.abc import Iterator, Mapping

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable, UsageError, check
from broker.cli.options import Parser, client_settings, connect, make_parser, run
from broker.cli.retrying import patiently
from broker.cli.tables import print_tabbed_table
from broker.metadata.topic_names import CLUSTER_METADATA
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Listener,
    PartitionData,
    ReplicaState,
    ResponsePartitionData,
    TopicData,
)
from broker.protocol.types import UUID, uuid_to_base64

DESCRIBE, FIXED = "describe", ("add-controller", "remove-controller")
HEADER = ("NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status")
# The leader may have moved between two questions.
MOVED = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.REQUEST_TIMED_OUT)
NEVER = -1
NO_DIRECTORY = UUID(int=0)
Endpoints = Mapping[int, list[Listener]]


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser("metadata-quorum", __doc__, controllers=True)
    made.add_argument("command", choices=(DESCRIBE, *FIXED), metavar=DESCRIBE)
    made.add_argument("--status", action="store_true", help="leader, epoch, high watermark, voters and observers")
    made.add_argument("--replication", action="store_true", help="how far each replica is")
    made.add_argument("--human-readable", action="store_true", help="with --replication: times as how long ago they were")
    return made


def _run(options: argparse.Namespace) -> int:
    if options.command in FIXED:
        raise UsageError(f"{options.command} is not supported: controller.quorum.voters says who the controllers are")
    if options.status and options.replication:
        raise UsageError("Only one of --status or --replication should be specified with describe sub-command")
    if not options.status and not options.replication:
        raise UsageError("One of --status or --replication must be specified with describe sub-command")
    if options.status and options.human_readable:
        raise UsageError("The option --human-readable is only supported along with --replication")
    with connect(options, "metadata-quorum", client_settings(options.command_config, [])) as cluster:
        cluster_id = cluster.describe().cluster_id
        quorum, endpoints = patiently(lambda: _quorum(cluster, controllers=options.bootstrap_controller is not None), MOVED)
    leader = next((one for one in quorum.current_voters if one.replica_id == quorum.leader_id), None)
    if leader is None:
        raise Unavailable("the quorum has no leader now: are most of the controllers running?")
    if options.status:
        _print_status(cluster_id, quorum, leader, endpoints)
    else:
        print_tabbed_table(HEADER, list(_rows(quorum, leader, ago=options.human_readable)))
    return 0


def _quorum(cluster: Cluster, *, controllers: bool) -> tuple[ResponsePartitionData, Endpoints]:
    """The quorum as its leader knows it, and where the controllers are. A broker asks the leader itself."""
    topic = TopicData(topic_name=CLUSTER_METADATA, partitions=[PartitionData(partition_index=0)])
    asked = cluster.active_controller() if controllers else cluster.any()
    response = asked.ask(DescribeQuorumRequest(topics=[topic]), DescribeQuorumResponse)
    check(response.error_code, "the metadata quorum", response.error_message)
    found = response.topics[0].partitions[0]
    check(found.error_code, "the metadata quorum", found.error_message)
    return found, {node.node_id: node.listeners for node in response.nodes}


def _print_status(cluster_id: str, quorum: ResponsePartitionData, leader: ReplicaState, endpoints: Endpoints) -> None:
    last = min(quorum.current_voters, key=lambda one: one.log_end_offset)
    if last is leader:
        behind_ms = 0
    elif NEVER in (leader.last_caught_up_timestamp, last.last_caught_up_timestamp):
        behind_ms = NEVER
    else:
        behind_ms = leader.last_caught_up_timestamp - last.last_caught_up_timestamp
    for name, value in (
        ("ClusterId", cluster_id),
        ("LeaderId", quorum.leader_id),
        ("LeaderEpoch", quorum.leader_epoch),
        ("HighWatermark", quorum.high_watermark),
        ("MaxFollowerLag", leader.log_end_offset - last.log_end_offset),
        ("MaxFollowerLagTimeMs", behind_ms),
        ("CurrentVoters", _replicas(quorum.current_voters, endpoints)),
        ("CurrentObservers", _replicas(quorum.observers, endpoints)),
    ):
        print(f"{name + ':':<24}{value}")


def _replicas(replicas: list[ReplicaState], endpoints: Endpoints) -> str:
    return f"[{', '.join(_replica(one, endpoints.get(one.replica_id, [])) for one in replicas)}]"


def _replica(replica: ReplicaState, listeners: list[Listener]) -> str:
    parts = [f'"id": {replica.replica_id}']
    if replica.replica_directory_id != NO_DIRECTORY:
        parts.append(f'"directoryId": "{uuid_to_base64(replica.replica_directory_id)}"')
    if listeners:
        parts.append(f'"endpoints": [{", ".join(_endpoint(one) for one in listeners)}]')
    return "{" + ", ".join(parts) + "}"


def _endpoint(listener: Listener) -> str:
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f'"{listener.name}://{host}:{listener.port}"'


def _rows(quorum: ResponsePartitionData, leader: ReplicaState, *, ago: bool) -> Iterator[tuple[object, ...]]:
    now_ms = time.time_ns() // 1_000_000
    followers = [(one, "Follower") for one in quorum.current_voters if one is not leader]
    for one, status in [(leader, "Leader"), *followers, *((one, "Observer") for one in quorum.observers)]:
        times = [one.last_fetch_timestamp, one.last_caught_up_timestamp]
        yield (
            one.replica_id,
            uuid_to_base64(one.replica_directory_id),
            one.log_end_offset,
            leader.log_end_offset - one.log_end_offset,
            *(f"{max(0, now_ms - at_ms)} ms ago" if ago and at_ms != NEVER else at_ms for at_ms in times),
            status,
        )
