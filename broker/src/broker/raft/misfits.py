"""Nodes that do not belong together: what is said of that, once for each, with the setting that has to be changed.

Owns nothing that the quorum decides by: a misfit is refused by others (`raft.requests`, `raft.answers`), or left alone.
"""

import logging
from collections.abc import Mapping

from broker.protocol.errors import ErrorCode

log = logging.getLogger("broker.raft")
# What two nodes that do not belong together tell each other, and what is to be changed.
ADVICE = {
    ErrorCode.INCONSISTENT_CLUSTER_ID: "it belongs to another cluster; give all nodes the same CLUSTER_ID, or name another node "
    "in controller.quorum.voters",
    ErrorCode.INCONSISTENT_VOTER_SET: "its controller.quorum.voters does not name this node; make it the same on all nodes",
    ErrorCode.INVALID_VOTER_KEY: "it has another node.id; correct the address in controller.quorum.voters",
}
# How long others may follow this node though it does not lead: when it has died they give it up within a fetch time-out.
TAKEN_FOR_LEADER_MS = 10_000


class Misfits:
    """See the module. `addresses`: of the other voters, host and port."""

    def __init__(self, node_id: int, addresses: Mapping[int, tuple[str, int]]) -> None:
        self._node_id = node_id
        self._addresses = addresses
        self._refusals: dict[int, ErrorCode] = {}
        # Since when this node is taken for the leader, and whether that was said.
        self._taken_since_ms: int | None = None
        self._said = False

    def answered(self, peer: int, code: ErrorCode) -> None:
        """A peer's answer has this error, or none."""
        advice = ADVICE.get(code)
        if advice is None:
            self._refusals.pop(peer, None)
        elif self._refusals.get(peer) != code:
            self._refusals[peer] = code
            log.error("node %d at %s:%d answers %s: %s", peer, *self._addresses[peer], code.name, advice)

    def told_of_leader(self, peer: int, leader_id: int, *, leads: bool, now_ms: int) -> None:
        """A peer's answer names the leader of this node's epoch; `leads`: this node does, or did until just now."""
        if leads or leader_id != self._node_id:
            self._taken_since_ms, self._said = None, False
            return
        if self._taken_since_ms is None:
            self._taken_since_ms = now_ms
        elif not self._said and now_ms - self._taken_since_ms >= TAKEN_FOR_LEADER_MS:
            self._said = True
            log.error(
                "node %d at %s:%d follows node.id=%d, and that is not this node: another one with this node.id is in the "
                "cluster; give this one an id of its own",
                peer,
                *self._addresses[peer],
                self._node_id,
            )
