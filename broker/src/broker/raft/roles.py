"""The roles of a replica of the quorum and the legal steps between them, as data. Source: ``QuorumState``, KIP-595, KIP-996.

A replica that is no voter (an observer) is unattached or a follower, nothing else.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a replica is in its epoch."""

    UNATTACHED = "unattached"
    PROSPECTIVE = "prospective"
    CANDIDATE = "candidate"
    LEADER = "leader"
    FOLLOWER = "follower"
    RESIGNED = "resigned"


# Unattached: a higher epoch, or a vote given. Prospective: the election or fetch time-out is over, or an election is lost.
# Candidate: a majority would vote for this replica. Leader: a majority did. Follower: the leader is known.
# Resigned: the leader stops, or no majority fetches from it.
TRANSITIONS: dict[Role, frozenset[Role]] = {
    Role.UNATTACHED: frozenset({Role.UNATTACHED, Role.PROSPECTIVE, Role.FOLLOWER}),
    Role.PROSPECTIVE: frozenset({Role.UNATTACHED, Role.CANDIDATE, Role.FOLLOWER}),
    Role.CANDIDATE: frozenset({Role.UNATTACHED, Role.PROSPECTIVE, Role.LEADER, Role.FOLLOWER}),
    Role.LEADER: frozenset({Role.UNATTACHED, Role.FOLLOWER, Role.RESIGNED}),
    Role.FOLLOWER: frozenset({Role.UNATTACHED, Role.PROSPECTIVE, Role.FOLLOWER}),
    Role.RESIGNED: frozenset({Role.UNATTACHED, Role.FOLLOWER}),
}
OBSERVER_ROLES = frozenset({Role.UNATTACHED, Role.FOLLOWER})


def check(before: Role, after: Role, *, voter: bool = True) -> None:
    """AssertionError when a replica in role `before` cannot become `after`."""
    assert after in TRANSITIONS[before], f"a voter cannot go from {before} to {after}"
    assert voter or after in OBSERVER_ROLES, f"an observer cannot be {after}"
