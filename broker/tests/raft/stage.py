"""The stage of the quorum's scenarios: a few cores, every message in the order in which it was sent, and time by hand.

Persisting takes no time, chance is always the smallest number, so that what happens follows from the commands alone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from broker.clock.randomness import Randomness
from broker.raft.core import RaftCore
from broker.raft.messages import (
    AnyAnswer,
    BeginEpoch,
    Effect,
    EndEpoch,
    Fetch,
    FetchAnswer,
    LoadSnapshot,
    OpenEpoch,
    Request,
    Send,
    Truncate,
    Vote,
    VoteAnswer,
)
from broker.raft.ports import Timing
from broker.raft.roles import Role

from ..scenarios import Command, Trace
from .simulated_log import Disk, Entry

REQUEST_TIMEOUT_MS = 2000
FOREVER_MS = 10**9
Delivery = tuple[int, int, str, Callable[[], None]]


class Least(Randomness):
    """Chance without surprises: node 1 is the first to lose patience, then 2, and so on."""

    def __init__(self, node_id: int) -> None:
        super().__init__(0)
        self._node_id = node_id

    def randint(self, first: int, last: int) -> int:
        return min(last, first + 10 * self._node_id)


class Actor:
    """One core and its disk."""

    def __init__(self, stage: "Stage", node_id: int) -> None:
        self.stage = stage
        self.node_id = node_id
        self.disk = Disk()
        self.boot()

    def boot(self) -> None:
        self.up = True
        self.tokens: dict[int, Callable[[AnyAnswer], None]] = {}
        self.core = RaftCore(
            self.node_id,
            self.stage.voters,
            self.disk.election,
            self.disk,
            randomness=Least(self.node_id),
            timing=Timing(),
            committed=self.disk.base,
        )
        self.core.start(self.stage.now)
        self.pump()

    def pump(self) -> None:
        before = self.core.role, self.core.epoch
        while not (ready := self.core.take_ready()).empty or self.disk.common < len(self.disk.entries):
            for effect in ready.at_once:
                self.perform(effect)
            if ready.election is not None:
                self.disk.election = ready.election
            self.disk.sync(list(self.disk.entries))
            self.core.persisted(self.disk.election.epoch, self.disk.persisted_end, self.stage.now)
            for effect in ready.after_persist:
                self.perform(effect)
        if (self.core.role, self.core.epoch) != before:
            self.stage.say(f"{self.node_id} is {self.core.role} in epoch {self.core.epoch}")

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            self.stage.ask(self, effect.peer, effect.request)
        elif isinstance(effect, OpenEpoch):
            self.append(f"epoch {effect.epoch}")
        elif effect.token in self.tokens:
            answer = effect.answer
            if isinstance(answer, FetchAnswer) and effect.read_from >= 0:
                found = tuple(self.disk.entries[effect.read_from - self.disk.base :])
                answer = replace(answer, records=found)  # type: ignore[arg-type]
            self.tokens.pop(effect.token)(answer)

    def append(self, value: str) -> None:
        self.disk.entries.append(Entry(self.core.epoch, value))
        self.core.observe_appended(self.stage.now)

    def asked(self, token: int, request: Request, respond: Callable[[AnyAnswer], None]) -> None:
        self.tokens[token] = respond
        handle: dict[type, Callable[..., None]] = {
            Vote: self.core.observe_vote,
            BeginEpoch: self.core.observe_begin_epoch,
            EndEpoch: self.core.observe_end_epoch,
            Fetch: self.core.observe_fetch,
        }
        handle[type(request)](token, request, self.stage.now)
        self.pump()

    def answered(self, peer: int, request: Request, answer: AnyAnswer | None) -> None:
        change = self.core.observe_answer(peer, request, answer, self.stage.now)
        if isinstance(change, Truncate):
            self.stage.say(f"{self.node_id} truncates to {change.offset}")
            self.disk.truncate(change.offset)
        elif isinstance(change, LoadSnapshot):
            self.stage.say(f"{self.node_id} loads the snapshot up to {change.snapshot.end_offset}")
            self.disk.restart_at(change.snapshot)
            self.core.snapshot_loaded(change.snapshot.end_offset)
        elif change is not None:
            self.disk.entries += change.records  # type: ignore[arg-type]
        if change is not None:
            self.core.log_changed(self.stage.now)
        self.pump()


class Stage:
    """Commands: nodes, tick, deliver, append, kill, start, door, cut, heal, resign, snapshot, show."""

    def __init__(self) -> None:
        self.now = 0
        self.voters: tuple[int, ...] = ()
        self.actors: dict[int, Actor] = {}
        self.queue: deque[Delivery] = deque()
        self.cuts: dict[tuple[int, int], None] = {}
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.trace: list[str] = []
        self.token = 0

    def say(self, line: str) -> None:
        self.trace.append(line)

    def told(self) -> Trace:
        trace, self.trace = self.trace, []
        return trace

    # The wires.

    def ask(self, actor: Actor, peer: int, request: Request) -> None:
        core = actor.core
        done: list[bool] = []

        def finish(answer: AnyAnswer | None) -> None:
            if not done and actor.up and actor.core is core:
                done.append(True)
                actor.answered(peer, request, answer)

        def respond(answer: AnyAnswer) -> None:
            self.queue.append((peer, actor.node_id, _said(answer), lambda: finish(answer)))

        def arrive() -> None:
            if not self.actors[peer].up:
                finish(None)  # Nobody opens.
                return
            self.token += 1
            self.actors[peer].asked(self.token, request, respond)

        self.queue.append((actor.node_id, peer, _asked(request), arrive))
        self.timers.append((self.now + REQUEST_TIMEOUT_MS, lambda: finish(None)))

    def do_deliver(self, command: Command) -> Trace:
        """Everything on the wires, and what follows from it; `quiet` leaves the messages out, `count=` stops after so many."""
        self.deliver(command.number("count", 1000), quiet=command.flag("quiet"))
        return self.told()

    def deliver(self, count: int = 1000, *, quiet: bool) -> None:
        while self.queue and count:
            count -= 1
            source, target, text, arrive = self.queue.popleft()
            cut, down = (source, target) in self.cuts, not self.actors[target].up
            if not quiet:
                self.say(f"{source} to {target}: {text}" + (" (lost)" if cut else " (refused)" if down else ""))
            if not cut:
                arrive()

    def do_cut(self, command: Command) -> Trace:
        """`cut 1 2`: nothing passes between them."""
        one, other = command.number(0), command.number(1)
        self.cuts[one, other] = self.cuts[other, one] = None
        return self.told()

    def do_heal(self, command: Command) -> Trace:
        self.cuts.clear()
        return self.told()

    # The nodes.

    def do_nodes(self, command: Command) -> Trace:
        self.voters = tuple(range(1, command.number(0) + 1))
        self.actors = {voter: Actor(self, voter) for voter in self.voters}
        return self.told()

    def do_tick(self, command: Command) -> Trace:
        """Time passes. With `deliver` everything that is sent arrives meanwhile, untold; else it stays on the wires.

        What was asked 2 s ago and is not answered has failed.
        """
        end = self.now + command.milliseconds(0)
        if command.flag("deliver"):
            self.deliver(quiet=True)
        while (at := self.next_ms()) <= end:
            self.now = max(self.now, at)
            due = [run for deadline, run in self.timers if deadline <= self.now]
            self.timers = [(deadline, run) for deadline, run in self.timers if deadline > self.now]
            for run in due:
                run()
            for actor in self.actors.values():
                deadline = actor.core.next_deadline()
                if actor.up and deadline is not None and deadline <= self.now:
                    actor.core.on_deadline(self.now)
                    actor.pump()
            if command.flag("deliver"):
                self.deliver(quiet=True)
        self.now = end
        return self.told()

    def next_ms(self) -> int:
        """When the next thing happens by itself."""
        deadlines = [actor.core.next_deadline() for actor in self.actors.values() if actor.up]
        return min([at for at, _ in self.timers] + [at for at in deadlines if at is not None], default=self.now + FOREVER_MS)

    def do_append(self, command: Command) -> Trace:
        actor = self.actors[command.number(0)]
        assert actor.core.role is Role.LEADER, f"node {actor.node_id} is no leader"
        actor.append(command.word(1))
        actor.pump()
        return self.told()

    def do_kill(self, command: Command) -> Trace:
        self.actors[command.number(0)].up = False
        return self.told()

    def do_start(self, command: Command) -> Trace:
        self.actors[command.number(0)].boot()
        return self.told()

    def do_door(self, command: Command) -> Trace:
        """`door 2 1`: 2 has found the door of 1 closed."""
        actor = self.actors[command.number(0)]
        actor.core.door_closed(command.number(1), self.now)
        actor.pump()
        return self.told()

    def do_resign(self, command: Command) -> Trace:
        actor = self.actors[command.number(0)]
        actor.core.resign(self.now)
        actor.pump()
        return self.told()

    def do_snapshot(self, command: Command) -> Trace:
        """A node makes a snapshot of what is committed and drops the log before it."""
        actor = self.actors[command.number(0)]
        actor.disk.compact(actor.core.high_watermark)
        return self.told()

    def do_show(self, command: Command) -> Trace:
        for actor in self.actors.values():
            core, disk = actor.core, actor.disk
            values = " ".join(f"{entry.value}".replace("epoch ", "e") for entry in disk.entries)
            leader = core.leader_id if core.role is not Role.LEADER else "itself"
            state = f"{core.role} in epoch {core.epoch}, leader {leader}" if actor.up else "down"
            self.say(f"{actor.node_id}: {state}; {disk.base}..{disk.end_offset} committed {core.high_watermark}: {values}")
        return self.told()


def _asked(request: Request) -> str:
    if isinstance(request, Vote):
        kind = "pre-vote" if request.pre_vote else "vote"
        return f"{kind} in epoch {request.epoch}? log {request.last_epoch}/{request.last_offset}"
    if isinstance(request, Fetch):
        return f"fetch in epoch {request.epoch} from {request.last_epoch}/{request.offset} committed {request.high_watermark}"
    name = "begin" if isinstance(request, BeginEpoch) else f"end, {request.successors} next, of"
    return f"{name} epoch {request.epoch}"


def _said(answer: AnyAnswer) -> str:
    error = f" {answer.error.name}" if answer.error else ""
    who = f" (epoch {answer.epoch}, leader {answer.leader_id})"
    if isinstance(answer, VoteAnswer):
        return ("yes" if answer.granted else "no") + error + who
    if isinstance(answer, FetchAnswer) and not error:
        if answer.diverging is not None:
            return f"diverging: epoch {answer.diverging.epoch} ends at {answer.diverging.end_offset}"
        if answer.snapshot is not None:
            return f"begin with the snapshot up to {answer.snapshot.end_offset}"
        return f"{len(answer.records)} records, committed {answer.high_watermark}"
    return "well" + error + who if not error else error.strip() + who
