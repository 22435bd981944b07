"""The Raft core of one voter: epochs, votes, and how far the log is committed. Pure: no clock, disk or network.

Invariants: the epoch never goes back; one vote per epoch; the high watermark is the largest offset that a majority has
persisted, it never goes back, and a leader moves it only past the start of its own epoch. The leader counts itself up to
`observe_persisted`, like everybody else. Source: KIP-595, ``KafkaRaftClient``, ``LeaderState``.
Not done: other voters (votes over the wire, followers' fetches); their answers will come in through the same `observe_*`.
"""

from broker.raft.election_store import ElectionState
from broker.raft.roles import Role, check


class RaftCore:
    """See the module. `voters` are node ids; `log_end_offset` is where the log ends now."""

    def __init__(self, node_id: int, voters: tuple[int, ...], stored: ElectionState, latest_log_epoch: int) -> None:
        assert node_id in voters, f"node {node_id} is none of the voters {voters}"
        self.node_id = node_id
        self.voters = voters
        self.role = Role.UNATTACHED
        self.election = ElectionState(max(stored.epoch, latest_log_epoch), stored.voted_id, stored.leader_id)
        self.high_watermark = 0
        self.epoch_start_offset = -1
        self._granted: dict[int, None] = {}
        # What each voter is known to have persisted, while this node leads.
        self.persisted: dict[int, int] = {}

    @property
    def epoch(self) -> int:
        return self.election.epoch

    @property
    def majority(self) -> int:
        return len(self.voters) // 2 + 1

    def _become(self, role: Role) -> None:
        check(self.role, role)
        self.role = role

    def stand(self) -> ElectionState:
        """Begin an election and vote for oneself. The returned state must be durable before `observe_vote` is told of it."""
        self._become(Role.CANDIDATE)
        self._granted.clear()
        self.election = ElectionState(self.epoch + 1, voted_id=self.node_id)
        return self.election

    def observe_vote(self, voter_id: int, epoch: int) -> bool:
        """A vote was granted; True when that makes a majority, which makes this node leader as soon as it `lead`s."""
        if self.role is not Role.CANDIDATE or epoch != self.epoch or voter_id not in self.voters:
            return False
        self._granted[voter_id] = None
        return len(self._granted) >= self.majority

    def lead(self, log_end_offset: int) -> ElectionState:
        """Take office: the epoch starts at the end of the log."""
        self._become(Role.LEADER)
        self.epoch_start_offset = log_end_offset
        self.persisted = dict.fromkeys(self.voters, -1)
        self.election = ElectionState(self.epoch, self.election.voted_id, self.node_id)
        return self.election

    @property
    def granting_voters(self) -> tuple[int, ...]:
        return tuple(sorted(self._granted))

    def observe_persisted(self, voter_id: int, epoch: int, end_offset: int) -> bool:
        """A voter has made the log durable up to `end_offset`; True when the high watermark moved."""
        if self.role is not Role.LEADER or epoch != self.epoch:
            return False
        self.persisted[voter_id] = max(end_offset, self.persisted[voter_id])
        by_majority = sorted(self.persisted.values(), reverse=True)[self.majority - 1]
        if by_majority <= max(self.high_watermark, self.epoch_start_offset):
            return False
        self.high_watermark = by_majority
        return True

    def resign(self) -> None:
        """Give up the office: the node stops."""
        if self.role is Role.LEADER:
            self._become(Role.RESIGNED)
