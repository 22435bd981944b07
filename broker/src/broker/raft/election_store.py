"""`quorum-state`: the epoch this voter has seen, whom it voted for, and who leads. Kafka's file (``QuorumStateData`` 0).

It is durable before a vote is answered or a term of office begins; otherwise a voter that restarts could vote twice.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from broker.storage.port import Storage

FILE = "quorum-state"
TEMPORARY = ".tmp"
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
        self._directory = directory
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

    def write_soon(self, state: ElectionState, done: Callable[[OSError | None], None]) -> None:
        """`done` is called when it is durable, or with the error; a full disk is an error, too. One write at a time."""
        temporary = self._path + TEMPORARY
        try:
            file = self._storage.open(temporary)
            file.truncate(0)
            file.append([self._render(state)])
        except OSError as error:
            done(error)
            return

        def synced(error: OSError | None) -> None:
            file.close()
            if error is not None:
                done(error)
                return
            self._storage.rename(temporary, self._path)
            self._storage.fsync_soon([], done, [self._directory])

        self._storage.fsync_soon([file], synced)

    def _render(self, state: ElectionState) -> bytes:
        content = {
            "clusterId": "",
            "leaderId": state.leader_id,
            "leaderEpoch": state.epoch,
            "votedId": state.voted_id,
            "appliedOffset": 0,
            "currentVoters": [{"voterId": voter} for voter in self._voters],
            "data_version": 0,
        }
        return json.dumps(content, separators=(",", ":")).encode()
