"""Steps and what is told about positions."""

import dataclasses

import pytest
from servicekit.consuming.positions import DependencyDown, PositionMoved, Step


def test_a_step_cannot_be_changed() -> None:
    step = Step("article-topic", 1, 5, 6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.next = 9  # type: ignore[misc]


def test_a_moved_position_and_a_lost_store_are_told_apart() -> None:
    """One is answered by a seek, the other by waiting: neither may be caught as the other."""
    assert not issubclass(PositionMoved, DependencyDown)
    assert not issubclass(DependencyDown, PositionMoved)
