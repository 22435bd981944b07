"""The roles of a voter and the legal steps between them, as data. Source: ``QuorumState``, KIP-595, KIP-996.

Not done: Follower and Prospective (pre-vote); they come with the second voter.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a voter is in its epoch."""

    UNATTACHED = "unattached"
    CANDIDATE = "candidate"
    LEADER = "leader"
    RESIGNED = "resigned"


TRANSITIONS: dict[Role, frozenset[Role]] = {
    Role.UNATTACHED: frozenset({Role.CANDIDATE}),
    Role.CANDIDATE: frozenset({Role.LEADER, Role.UNATTACHED}),
    Role.LEADER: frozenset({Role.RESIGNED}),
    Role.RESIGNED: frozenset({Role.UNATTACHED}),
}


def check(before: Role, after: Role) -> None:
    """AssertionError when a voter in role `before` cannot become `after`."""
    assert after in TRANSITIONS[before], f"a voter cannot go from {before} to {after}"
