"""Roles: which steps are legal."""

import pytest
from broker.raft.roles import TRANSITIONS, Role, check


def test_every_role_has_its_steps() -> None:
    assert set(TRANSITIONS) == set(Role)
    assert all(after in TRANSITIONS for targets in TRANSITIONS.values() for after in targets)


@pytest.mark.parametrize("before", Role)
@pytest.mark.parametrize("after", Role)
def test_only_legal_steps(before: Role, after: Role) -> None:
    if after in TRANSITIONS[before]:
        check(before, after)
    else:
        with pytest.raises(AssertionError, match=f"a voter cannot go from {before} to {after}"):
            check(before, after)


def test_nobody_leads_without_an_election() -> None:
    assert [role for role in Role if Role.LEADER in TRANSITIONS[role]] == [Role.CANDIDATE]
