"""Whose log directory this is: checking it at the start, and formatting it.

Source: ``StorageTool``, ``MetaPropertiesEnsemble``.
"""

import logging
import uuid

from broker.clock.randomness import Randomness
from broker.log.log_manager import LogManager
from broker.log.properties import DirectoryError, MetaProperties
from broker.protocol.types import uuid_from_base64, uuid_to_base64
from broker.storage.port import Storage

log = logging.getLogger("broker.node")
# What may be in a directory that counts as empty.
HARMLESS = frozenset({".lock", "lost+found"})


def check_cluster_id(cluster_id: str) -> str:
    """DirectoryError when it is not spelled as Kafka spells ids."""
    try:
        if uuid_to_base64(uuid_from_base64(cluster_id)) == cluster_id:
            return cluster_id
    except ValueError:
        pass
    raise DirectoryError(f"the cluster id {cluster_id!r} is not 22 characters of URL-safe base64; `broker random-uuid` makes one")


def format_directory(logs: LogManager, storage: Storage, cluster_id: str, node_id: int, randomness: Randomness) -> MetaProperties:
    """Write the identity of an empty directory. DirectoryError when there is something in it."""
    if logs.meta is not None:
        raise DirectoryError(f"{logs.directory} is already formatted for cluster {logs.meta.cluster_id}")
    found = [name for name in storage.list_directory(logs.directory) if name not in HARMLESS]
    if found:
        raise DirectoryError(
            f"{logs.directory} has no {MetaProperties.FILE} and is not empty (it holds {found[0]}); choose an empty directory"
        )
    meta = MetaProperties(check_cluster_id(cluster_id), node_id, randomness.uuid4())
    logs.format(meta)
    return meta


def identify(
    logs: LogManager, storage: Storage, cluster_id: str | None, node_id: int, randomness: Randomness, *, alone: bool
) -> MetaProperties:
    """The identity of the opened directory; an empty one is formatted, and that is said.

    `cluster_id`: what the operator says it is; DirectoryError when the directory says otherwise. `alone`: whether the quorum is
    this node, which may then choose an id; several nodes must be told the same one.
    """
    if logs.meta is None and not cluster_id and not alone:
        raise DirectoryError(
            f"{logs.directory} is empty, and controller.quorum.voters names several nodes: set CLUSTER_ID to the same id for all "
            "of them (`broker random-uuid` makes one), or format each directory with `broker format -t CLUSTER_ID`"
        )
    meta = logs.meta
    if meta is None:
        meta = format_directory(logs, storage, cluster_id or new_cluster_id(randomness), node_id, randomness)
        log.info("formatted the empty directory %s for cluster %s", logs.directory, meta.cluster_id)
    if cluster_id and meta.cluster_id != cluster_id:
        raise DirectoryError(
            f"{logs.directory} belongs to cluster {meta.cluster_id}, but CLUSTER_ID is {cluster_id}: correct CLUSTER_ID, or let "
            "log.dirs name the directory of that cluster or an empty one"
        )
    if meta.node_id != node_id:
        raise DirectoryError(
            f"{logs.directory} belongs to node {meta.node_id}, but node.id is {node_id}: correct node.id, or let log.dirs name "
            "the directory of that node or an empty one"
        )
    return meta


def new_cluster_id(randomness: Randomness) -> str:
    made: uuid.UUID = randomness.uuid4()
    return uuid_to_base64(made)
