"""The table of APIs: it agrees with the declarations, what is advertised is served, and nothing is loaded before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest
from broker.protocol.api_keys import ApiKey
from broker.server import handlers
from broker.server.api_table import ADVERTISED_FIRST, BOTH, BROKER, BY_KEY, CLIENTS, CONTROLLER, NODES, TABLE, Api, served_on

# Kafka 4.3's ranges of what is served here (reference/kafka.md 2.1).
RANGES = {
    "PRODUCE": (3, 13),
    "FETCH": (4, 18),
    "LIST_OFFSETS": (1, 11),
    "METADATA": (0, 13),
    "OFFSET_COMMIT": (2, 10),
    "OFFSET_FETCH": (1, 10),
    "FIND_COORDINATOR": (0, 6),
    "JOIN_GROUP": (0, 9),
    "HEARTBEAT": (0, 4),
    "LEAVE_GROUP": (0, 5),
    "SYNC_GROUP": (0, 5),
    "DESCRIBE_GROUPS": (0, 6),
    "LIST_GROUPS": (0, 5),
    "API_VERSIONS": (0, 4),
    "CREATE_TOPICS": (2, 7),
    "DELETE_TOPICS": (1, 6),
    "INIT_PRODUCER_ID": (0, 5),
    "OFFSET_FOR_LEADER_EPOCH": (2, 4),
    "DESCRIBE_CONFIGS": (1, 4),
    "DESCRIBE_LOG_DIRS": (1, 5),
    "CREATE_PARTITIONS": (0, 3),
    "DELETE_GROUPS": (0, 2),
    "INCREMENTAL_ALTER_CONFIGS": (0, 1),
    "LIST_PARTITION_REASSIGNMENTS": (0, 0),
    "OFFSET_DELETE": (0, 0),
    "ELECT_LEADERS": (0, 2),
    "UNREGISTER_BROKER": (0, 0),
    # Between nodes.
    "VOTE": (0, 2),
    "BEGIN_QUORUM_EPOCH": (0, 1),
    "END_QUORUM_EPOCH": (0, 1),
    "FETCH_SNAPSHOT": (0, 1),
    "ALTER_PARTITION": (2, 3),
    "ENVELOPE": (0, 0),
    "BROKER_REGISTRATION": (0, 4),
    "BROKER_HEARTBEAT": (0, 2),
    "ALLOCATE_PRODUCER_IDS": (0, 0),
    "CONTROLLER_REGISTRATION": (0, 0),
    "DESCRIBE_QUORUM": (0, 2),
    "DESCRIBE_CLUSTER": (0, 2),
    "DESCRIBE_TOPIC_PARTITIONS": (0, 0),
}
# What Kafka 4.3's message files say of `listeners`: both, only the controller's; the rest is for clients of a broker.
ON_BOTH = {
    "FETCH",
    "API_VERSIONS",
    "CREATE_TOPICS",
    "DELETE_TOPICS",
    "DESCRIBE_CONFIGS",
    "CREATE_PARTITIONS",
    "INCREMENTAL_ALTER_CONFIGS",
    "LIST_PARTITION_REASSIGNMENTS",
    "ELECT_LEADERS",
    "DESCRIBE_QUORUM",
    "DESCRIBE_CLUSTER",
    "UNREGISTER_BROKER",
}
BETWEEN_NODES = {
    "VOTE",
    "BEGIN_QUORUM_EPOCH",
    "END_QUORUM_EPOCH",
    "ALTER_PARTITION",
    "ENVELOPE",
    "FETCH_SNAPSHOT",
    "BROKER_REGISTRATION",
    "BROKER_HEARTBEAT",
    "ALLOCATE_PRODUCER_IDS",
    "CONTROLLER_REGISTRATION",
}


def test_the_listeners_are_kafkas() -> None:
    assert {api.key.name for api in TABLE if api.listeners == BOTH} == ON_BOTH
    assert {api.key.name for api in TABLE if api.listeners == NODES} == BETWEEN_NODES
    assert {api.key.name for api in TABLE if api.listeners == CLIENTS} == set(RANGES) - ON_BOTH - BETWEEN_NODES


def test_the_ranges_are_kafkas() -> None:
    assert {api.key.name: (api.first, api.last) for api in TABLE} == RANGES


@pytest.mark.parametrize("api", TABLE, ids=lambda api: api.module)
def test_the_table_agrees_with_the_declaration(api: Api) -> None:
    request = api.request
    first, last = request.VERSIONS
    assert api.key == request.API_KEY
    assert first <= api.first <= api.last <= last
    assert api.flexible_from == request.FLEXIBLE_FROM
    assert set(request.LISTENERS) >= api.listeners


@pytest.mark.parametrize("api", TABLE, ids=lambda api: api.module)
def test_every_api_has_a_handler_that_names_its_versions(api: Api) -> None:
    assert callable(api.handler)
    text = sys.modules[api.handler.__module__].__doc__ or ""
    words = f"version {api.first}" if api.first == api.last else f"versions {api.first}-{api.last}"
    assert f"(API key {api.key.value}), {words}" in text.replace("\n", " ")


def test_every_handler_is_registered() -> None:
    (directory,) = handlers.__path__
    modules = {path.stem for path in Path(directory).glob("*.py") if path.stem != "__init__"}
    assert modules == {api.module for api in TABLE}
    assert set(BY_KEY) == {api.key.value for api in TABLE}


def test_what_each_listener_serves() -> None:
    assert all(api.listeners in (BOTH, CLIENTS, NODES) for api in TABLE)
    assert [api.key for api in served_on(BROKER)] == [api.key for api in TABLE if api.listeners != NODES]
    assert [api.key for api in served_on(CONTROLLER)] == [api.key for api in TABLE if api.listeners != CLIENTS]
    assert BY_KEY[ApiKey.PRODUCE].listeners == CLIENTS
    assert BY_KEY[ApiKey.FETCH].listeners == BOTH, "the metadata log is fetched from the controller"
    assert BY_KEY[ApiKey.VOTE].listeners == BY_KEY[ApiKey.ALTER_PARTITION].listeners == NODES
    assert ADVERTISED_FIRST == {ApiKey.PRODUCE: 0}


# What `broker start` loads before the first request: parts and codecs of what a node does by itself, and no handler.
MESSAGES_AT_START = {
    "allocate_producer_ids",
    "alter_partition",
    "api_versions",
    "begin_quorum_epoch",
    "broker_heartbeat",
    "broker_registration",
    "controller_registration",
    "create_partitions",
    "create_topics",
    "delete_groups",
    "delete_topics",
    "describe_groups",
    "describe_quorum",
    "elect_leaders",
    "end_quorum_epoch",
    "envelope",
    "fetch",
    "fetch_snapshot",
    "group_records",
    "heartbeat",
    "incremental_alter_configs",
    "join_group",
    "leave_group",
    "list_groups",
    "metadata_records",
    "offset_commit",
    "offset_delete",
    "offset_fetch",
    "raft_records",
    "sync_group",
    "unregister_broker",
    "vote",
}
PARTS_AT_START = {
    "broker.clock.port",
    "broker.clock.randomness",
    "broker.clock.real",
    "broker.network.port",
    "broker.network.real",
    "broker.server.acceptor",
    "broker.server.api_table",
    "broker.server.connection",
    "broker.server.fetch_sessions",
    "broker.server.producer_ids",
    "broker.server.services",
    "broker.storage.port",
    "broker.storage.real",
    "broker.client.connection",
    "broker.client.exchange",
    "broker.client.frames",
    "broker.client.retriable",
}
PACKAGES_AT_START = {"broker", "cramjam", "crc32c", "uvloop"}
START = """
import os, signal, sys
before = {name.partition(".")[0] for name in sys.modules}
from broker.cli import start

def say(broker):
    print("\\n".join(sorted(name for name in sys.modules if name.partition(".")[0] not in before)))
    os.kill(os.getpid(), signal.SIGTERM)

start._say_ready = say
sys.exit(start.main(sys.argv[1:]))
"""


def test_what_broker_start_imports(tmp_path: Path) -> None:
    """Start time and memory are what is loaded (DESIGN section 4, hot path 5); who adds to it adds to these lists."""
    listeners = "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"
    settings = [f"log.dirs={tmp_path}", f"listeners={listeners}", "advertised.listeners=PLAINTEXT://127.0.0.1:0"]
    command = [sys.executable, "-c", START, *(part for setting in settings for part in ("--override", setting))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    packages = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert {name for name in packages if not name.startswith(("_", "cython_runtime"))} == PACKAGES_AT_START
    assert {name for name in loaded if name.startswith("broker.server.handlers")} == set()
    prefix = "broker.protocol.messages."
    assert {name.removeprefix(prefix) for name in loaded if name.startswith(prefix)} == MESSAGES_AT_START
    seam = ("broker.clock.", "broker.network.", "broker.storage.", "broker.server.", "broker.client.")
    assert {name for name in loaded if name.startswith(seam)} == PARTS_AT_START
    assert not {name for name in loaded if name.startswith("broker.testing")}
