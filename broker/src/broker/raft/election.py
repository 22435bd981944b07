"""Counting the votes of one election, and ranking logs. Source: ``EpochElection``."""

from collections.abc import Container


class Tally:
    """The answers of the voters to one question of one candidate."""

    def __init__(self, voters: tuple[int, ...]) -> None:
        self._voters = voters
        self._answers: dict[int, bool] = {}

    @property
    def majority(self) -> int:
        return len(self._voters) // 2 + 1

    def record(self, voter: int, *, granted: bool) -> None:
        """The latest answer counts, but what was granted stays granted."""
        if voter in self._voters:
            self._answers[voter] = granted or self._answers.get(voter, False)

    def answered(self, voter: int) -> bool:
        return voter in self._answers

    def granted_by(self, voter: int) -> bool:
        return self._answers.get(voter, False)

    @property
    def granting(self) -> tuple[int, ...]:
        return tuple(sorted(voter for voter, granted in self._answers.items() if granted))

    @property
    def won(self) -> bool:
        return len(self.granting) >= self.majority

    def lost(self, silent: Container[int] = ()) -> bool:
        """Whether no majority can come together any more; from the `silent` no answer is to be expected."""
        open_voters = [voter for voter in self._voters if voter not in self._answers and voter not in silent]
        return len(self.granting) + len(open_voters) < self.majority
