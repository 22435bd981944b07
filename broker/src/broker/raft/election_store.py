"""`quorum-state`: the epoch this voter has seen, whom it voted for, and who leads. Kafka's file (``QuorumStateData`` 0).

It is durable before a vote is answered or a term of office begins; otherwise a voter that restarts could vote twice.
"""

import json
from dataclasses import dataclass

from broker.storage.port import Storage

FILE = "quorum-state"
NOBODY = -1


class ElectionStateError(Exception):
    """The file cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class ElectionState:
    """Hard state of a voter."""

    epoch: int = 0
    voted_id: int = NOBODY
    leader_id: int = NOBODY


class ElectionStore:
    """The file in the directory of the metadata partition."""

    def __init__(self, storage: Storage, directory: str, voters: tuple[int, ...]) -> None:
        self._storage = storage
        self._path = f"{directory}/{FILE}"
        self._voters = voters

    def read(self) -> ElectionState:
        """The stored state; the initial one when there is no file."""
        if not self._storage.exists(self._path):
            return ElectionState()
        try:
            found = json.loads(self._storage.read(self._path))
            return ElectionState(int(found["leaderEpoch"]), int(found["votedId"]), int(found["leaderId"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ElectionStateError(
                f"{self._path} is damaged ({error!r}); restore it: without it this voter could vote twice in one epoch"
            ) from error

    def write(self, state: ElectionState) -> None:
        """Durable when it returns."""
        content = {
            "clusterId": "",
            "leaderId": state.leader_id,
            "leaderEpoch": state.epoch,
            "votedId": state.voted_id,
            "appliedOffset": 0,
            "currentVoters": [{"voterId": voter} for voter in self._voters],
            "data_version": 0,
        }
        self._storage.write_atomically(self._path, json.dumps(content, separators=(",", ":")).encode())
