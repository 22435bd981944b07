"""Whole quorums of cores in one thread: a network that loses, doubles, delays and parts, and disks that forget what was not
synced. Everything follows from one seed. What must always hold is checked from outside, after every step.
"""

import random
from collections.abc import Callable
from typing import Any

from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.raft.core import RaftCore
from broker.raft.election_store import ElectionState
from broker.raft.leader_state import LeaderState
from broker.raft.messages import (
    AnyAnswer,
    BeginEpoch,
    Effect,
    EndEpoch,
    FetchAnswer,
    LoadSnapshot,
    LogChange,
    OpenEpoch,
    Ready,
    Reply,
    Request,
    Send,
    Truncate,
    Vote,
    VoteAnswer,
)
from broker.raft.ports import Timing
from broker.raft.roles import Role

from .simulated_log import Disk, Entry

REQUEST_TIMEOUT_MS = 1000
OPENS_EPOCH = "opens epoch"


class Violation(AssertionError):
    """Something that must never happen has happened."""


class CountsOldEpochs(LeaderState):
    """A planted bug: entries of earlier epochs are committed by counting alone (Raft, figure 8)."""

    def committed(self, high_watermark: int) -> int:
        by_majority = sorted((progress.end_offset for progress in self.voters.values()), reverse=True)[self.majority - 1]
        return max(high_watermark, by_majority)


class OldEpochsCore(RaftCore):
    leader_state = CountsOldEpochs


class Loaded(Randomness):
    """Dice that fall alike on every node: nothing may depend on their being fair, but progress."""

    def randint(self, first: int, last: int) -> int:
        return super().randint(first, min(last, first + 5))


class Node:
    """The shell of one core. `bug`: what it does wrong."""

    def __init__(self, simulation: "Simulation", node_id: int, bug: str) -> None:
        self.simulation = simulation
        self.node_id = node_id
        self.bug = bug
        self.clock = NodeClock(simulation.clock)
        self.disk = Disk(never_parts=bug == "nothing is truncated")
        self.up = False
        self.life = 0
        self.boot()

    @property
    def now(self) -> int:
        return self.clock.monotonic_ms()

    def boot(self) -> None:
        kind = OldEpochsCore if self.bug == "old epochs are committed" else RaftCore
        self.up = True
        self.life += 1
        self.core = kind(
            self.node_id,
            self.simulation.voters,
            self.disk.election,
            self.disk,
            randomness=(Loaded if self.simulation.loaded else Randomness)(self.simulation.rng.getrandbits(64)),
            timing=self.simulation.timing,
            committed=self.disk.base,
        )
        self.seen_high_watermark = self.core.high_watermark
        self.held: list[Effect] = []
        self.unsaved: ElectionState | None = None
        self.persisting = False
        self.tokens: dict[int, Callable[[AnyAnswer], None]] = {}
        self.waiting: dict[int, int] = {}
        self.core.start(self.now)
        self.pump()

    def crash(self) -> None:
        self.up = False
        self.clock.crash()
        self.disk.crash(self.simulation.rng)

    def restart(self) -> None:
        self.simulation.crash(self.node_id)
        self.simulation.clock.call_at(self.now + self.simulation.rng.randint(1, 100), self.boot_again)

    def boot_again(self) -> None:
        if not self.up:
            self.boot()

    # The loop.

    def pump(self) -> None:
        while not (ready := self.core.take_ready()).empty:
            self.take(ready)
        self.persist()
        self.set_timer()
        self.simulation.check(self)

    def take(self, ready: Ready) -> None:
        for effect in ready.at_once:
            self.perform(effect)
        for effect in ready.after_persist:
            early = self.bug == "a vote is not synced" and isinstance(effect, Reply)
            early = early or (self.bug == "a fetch does not wait for the disk" and isinstance(effect, Send))
            if early:
                self.perform(effect)
            else:
                self.held.append(effect)
        if ready.election is not None:
            self.unsaved = ready.election

    def persist(self) -> None:
        if self.persisting or not (self.held or self.unsaved or self.disk.common < len(self.disk.entries)):
            return
        self.persisting = True
        held, self.held = self.held, []
        election, self.unsaved = self.unsaved, None
        entries = list(self.disk.entries)
        base = self.disk.base

        rng = self.simulation.rng
        duration_ms = rng.randint(1, 15)
        if self.simulation.faulty and rng.random() < 0.05:
            duration_ms = rng.randint(50, 400)
        if self.simulation.faulty and rng.random() < (0.01 if election is None else 0.2):
            self.clock.call_at(self.now + rng.randint(0, duration_ms), self.restart)

        def done() -> None:
            self.persisting = False
            if election is not None:
                self.disk.election = election
            if self.disk.base == base:
                self.disk.sync(entries)
            self.core.persisted(self.disk.election.epoch, self.disk.persisted_end, self.now)
            for effect in held:
                self.perform(effect)
            self.pump()

        self.clock.call_at(self.now + duration_ms, done)

    def set_timer(self) -> None:
        deadline = self.core.next_deadline()
        if deadline is None:
            return
        core = self.core

        def due() -> None:
            if self.core is core and core.next_deadline() == deadline:
                core.on_deadline(self.now)
                self.pump()

        self.clock.call_at(max(deadline, self.now), due)

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            if isinstance(effect.request, Vote) and not effect.request.pre_vote:
                self.simulation.saw_vote(self.node_id, effect.request.epoch, self.node_id)
            self.simulation.ask(self, effect.peer, effect.request)
        elif isinstance(effect, OpenEpoch):
            self.append(f"{OPENS_EPOCH} {effect.epoch}")
            if self.simulation.faulty and self.simulation.rng.random() < 0.3:
                self.clock.call_at(self.now + self.simulation.rng.randint(0, 60), lambda: self.simulation.isolate(self.node_id))
        else:
            answer = effect.answer
            if isinstance(answer, FetchAnswer) and effect.read_from >= 0:
                first = effect.read_from - self.disk.base
                count = self.simulation.rng.choice((1, 2, 50))
                entries = tuple(self.disk.entries[first : first + count]) if first >= 0 else ()
                answer = FetchAnswer(
                    answer.error,
                    answer.epoch,
                    answer.leader_id,
                    answer.high_watermark,
                    answer.log_start_offset,
                    records=entries,  # type: ignore[arg-type]
                )
            respond = self.tokens.pop(effect.token, None)
            if respond is not None:
                respond(answer)

    def append(self, value: object) -> int:
        self.disk.entries.append(Entry(self.core.epoch, value))
        if self.bug == "the leader counts what is not synced" and self.core.leader is not None:
            self.core.leader.observe_persisted(self.disk.end_offset)
        self.core.observe_appended(self.now)
        return self.disk.end_offset - 1

    # Messages.

    def request(self, token: int, request: Request, respond: Callable[[AnyAnswer], None]) -> None:
        self.tokens[token] = respond
        if isinstance(request, Vote):
            self.core.observe_vote(token, request, self.now)
        elif isinstance(request, BeginEpoch):
            self.core.observe_begin_epoch(token, request, self.now)
        elif isinstance(request, EndEpoch):
            self.core.observe_end_epoch(token, request, self.now)
        else:
            self.core.observe_fetch(token, request, self.now)
        self.pump()

    def answered(self, peer: int, request: Request, answer: AnyAnswer | None) -> None:
        change = self.core.observe_answer(peer, request, answer, self.now)
        if change is not None:
            self.change_log(change)
            self.core.log_changed(self.now)
        self.pump()

    def change_log(self, change: LogChange) -> None:
        if isinstance(change, Truncate):
            self.simulation.seen["truncation"] += 1
            self.disk.truncate(change.offset)
        elif isinstance(change, LoadSnapshot):
            self.simulation.seen["snapshot"] += 1
            self.disk.restart_at(change.snapshot)
            self.core.snapshot_loaded(change.snapshot.end_offset)
        else:
            records: Any = change.records
            self.disk.entries += records


class Simulation:
    """`size` nodes, faults until `heal`."""

    BUGS = (
        "a vote is not synced",
        "a fetch does not wait for the disk",
        "the leader counts what is not synced",
        "old epochs are committed",
        "nothing is truncated",
    )

    def __init__(self, seed: int, size: int = 3, bug: str = "", *, doors: bool = True) -> None:
        self.rng = random.Random(f"raft {seed} {size}")
        self.clock = SimulatedClock()
        # Most runs are restless: leaders are given up long before they are dead.
        restless = Timing(election_timeout_ms=80, fetch_timeout_ms=250, fetch_wait_ms=60)
        self.timing = restless if self.rng.randrange(4) else Timing()
        self.loaded = not self.rng.randrange(3)
        self.voters = tuple(range(1, size + 1))
        self.faulty = True
        self.doors = doors
        self.cut: dict[tuple[int, int], None] = {}
        self.seen = {"truncation": 0, "snapshot": 0, "leader": 0, "crash": 0, "committed": 0}
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.committed: list[Entry] = []
        self.next_value = 0
        self.token = 0
        self.nodes: dict[int, Node] = {}
        self.bug = bug
        for voter in self.voters:
            self.nodes[voter] = Node(self, voter, bug)

    # The network.

    def delivers(self, source: int, target: int) -> bool:
        if (source, target) in self.cut:
            return False
        return not self.faulty or self.rng.random() > 0.05

    def delay(self) -> int:
        if self.faulty and self.rng.random() < 0.05:
            return self.rng.randint(50, 800)
        return self.rng.randint(1, 20)

    def ask(self, node: Node, peer: int, request: Request) -> None:
        answered: list[bool] = []
        life = node.life

        def answer(found: AnyAnswer | None) -> None:
            if not answered and node.up and node.life == life:
                answered.append(True)
                node.answered(peer, request, found)

        for _ in range(2 if self.faulty and self.rng.random() < 0.02 else 1):
            if self.delivers(node.node_id, peer):
                self.clock.call_at(self.clock.now_ms + self.delay(), lambda: self.deliver(node.node_id, peer, request, answer))
        self.clock.call_at(self.clock.now_ms + REQUEST_TIMEOUT_MS, lambda: answer(None))

    def deliver(self, source: int, target: int, request: Request, answer: Callable[[AnyAnswer | None], None]) -> None:
        node = self.nodes[target]
        if not node.up:
            if self.doors:
                self.clock.call_at(self.clock.now_ms + 1, lambda: answer(None))
            return
        self.token += 1

        def respond(found: AnyAnswer) -> None:
            if isinstance(found, VoteAnswer) and found.granted and isinstance(request, Vote) and not request.pre_vote:
                self.saw_vote(target, request.epoch, request.candidate_id)
            if self.delivers(target, source):
                self.clock.call_at(self.clock.now_ms + self.delay(), lambda: answer(found))

        node.request(self.token, request, respond)

    # Faults.

    def fault(self) -> None:
        kind = self.rng.randrange(9)
        down = [node for node in self.nodes.values() if not node.up]
        if kind <= 1:
            self.crash(self.rng.choice(self.voters))
        elif kind == 2 and self.rng.random() < 0.3:
            for voter in self.voters:
                self.crash(voter)
        elif kind == 3:
            for one in self.voters:
                for other in self.voters:
                    if self.rng.random() < 0.3:
                        self.cut[one, other] = None
        elif kind <= 5:
            leaders = [node.node_id for node in self.nodes.values() if node.up and node.core.role is Role.LEADER]
            self.isolate(self.rng.choice(leaders or list(self.voters)))
        elif kind == 6:
            self.cut.clear()
        elif down:
            self.rng.choice(down).boot()

    def isolate(self, one: int) -> None:
        """A node, best of all a leader, reaches nobody any more."""
        if self.faulty:
            self.cut.clear()
            for other in self.voters:
                self.cut[one, other] = self.cut[other, one] = None

    def crash(self, voter: int) -> None:
        node = self.nodes[voter]
        if not node.up:
            return
        self.seen["crash"] += 1
        node.crash()
        if self.doors:
            for other in self.nodes.values():
                if other.up and self.rng.random() < 0.8:
                    self.tell_door(other, voter)

    def tell_door(self, node: Node, closed: int) -> None:
        life = node.life

        def told() -> None:
            if node.up and node.life == life:
                node.core.door_closed(closed, node.now)
                node.pump()

        self.clock.call_at(self.clock.now_ms + self.rng.randint(1, 200), told)

    def compact(self) -> None:
        node = self.rng.choice(list(self.nodes.values()))
        offset = min(node.core.high_watermark, node.disk.persisted_end)
        if node.up and offset > node.disk.base:
            node.disk.compact(self.rng.randint(node.disk.base + 1, offset))

    def propose(self) -> None:
        """Somebody who believes in leading appends."""
        leaders = [node for node in self.nodes.values() if node.up and node.core.role is Role.LEADER]
        if leaders:
            self.next_value += 1
            node = self.rng.choice(leaders)
            node.append(self.next_value)
            node.pump()

    def run(self, duration_ms: int) -> None:
        """Faults for a time, then none, then everything has to be well."""
        end = self.clock.now_ms + duration_ms
        while self.clock.now_ms < end:
            step = self.rng.random()
            if step < 0.05:
                self.fault()
            elif step < 0.07:
                self.compact()
            elif step < 0.5:
                self.propose()
            self.clock.run_until(self.clock.now_ms + self.rng.randint(1, 60))
        self.heal()

    def heal(self) -> None:
        self.faulty = self.loaded = False
        self.cut.clear()
        for node in self.nodes.values():
            node.crash()
            node.boot()
        for _ in range(60):
            self.clock.run_until(self.clock.now_ms + 500)
            self.propose()
            mark = self.next_value
            self.clock.run_until(self.clock.now_ms + 2000)
            if all(any(entry.value == mark for entry in self.committed[: n.core.high_watermark]) for n in self.nodes.values()):
                return
        raise Violation("150 s after the last fault nothing gets committed")

    # What must always hold.

    def saw_vote(self, voter: int, epoch: int, candidate: int) -> None:
        if self.votes.setdefault((voter, epoch), candidate) != candidate:
            raise Violation(f"node {voter} voted for {self.votes[voter, epoch]} and for {candidate} in epoch {epoch}")

    def check(self, node: Node) -> None:
        core, disk = node.core, node.disk
        if core.role is Role.LEADER:
            self.check_leader(node)
        if core.high_watermark < node.seen_high_watermark:
            raise Violation(f"the high watermark of node {node.node_id} went back")
        if core.high_watermark > disk.end_offset:
            raise Violation(f"node {node.node_id} holds {core.high_watermark} committed, its log ends at {disk.end_offset}")
        for offset in range(max(node.seen_high_watermark, disk.base), core.high_watermark):
            self.check_committed(node, offset, disk.entries[offset - disk.base])
        node.seen_high_watermark = core.high_watermark

    def check_leader(self, node: Node) -> None:
        epoch = node.core.epoch
        if epoch not in self.leaders:
            self.seen["leader"] += 1
            for offset, entry in enumerate(self.committed[node.disk.base :], node.disk.base):
                if offset >= node.disk.end_offset or node.disk.entries[offset - node.disk.base] != entry:
                    raise Violation(f"node {node.node_id} leads in epoch {epoch} without the committed record at {offset}")
        if self.leaders.setdefault(epoch, node.node_id) != node.node_id:
            raise Violation(f"nodes {self.leaders[epoch]} and {node.node_id} lead in epoch {epoch}")

    def check_committed(self, node: Node, offset: int, entry: Entry) -> None:
        if offset < len(self.committed):
            if self.committed[offset] != entry:
                raise Violation(f"node {node.node_id} has {entry} committed at {offset}, it was {self.committed[offset]}")
        elif offset == len(self.committed):
            self.seen["committed"] += 1
            self.committed.append(entry)
        else:
            raise Violation(f"node {node.node_id} has offset {offset} committed and nobody {len(self.committed)}")
