"""The drills themselves: whom to break and how, what to wait for, and putting everything back.

Owns the order of events. A drill writes posts of its own all the while and looks for each of them in the read side.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from demo.api import Board, NoAnswer, Refused
from demo.drills import texts
from demo.drills.view import OFFSETS_TOPIC, ClusterView, Look
from demo.layout import DemoError, Layout
from demo.state import State, running_state
from demo.terminal import Terminal

TOPIC, GROUP = "article-topic", "read-view"
SHORT_SECONDS, SESSION_SECONDS, BACK_SECONDS = 20.0, 40.0, 90.0
NO_MAJORITY_SECONDS = 15.0
POST_INTERVAL_SECONDS = 0.1
# A board of their own.
BOARD_ID, WRITER_ID = "9", "1"


class Posting:
    """Posts while a drill runs, and notes how long each took until the projection showed it.

    Looked for in the list of a board that has the drills' posts alone: an article by its id would be fetched from its origin.
    """

    def __init__(self, board: Board) -> None:
        self.posted = self.refused = 0
        self.slowest_seconds = 0.0
        self._board = board
        # Id -> when it was taken; what has not been shown yet.
        self._waiting: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Posting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_shown(self, timeout_seconds: float) -> None:
        """Post no more, and wait until every post is shown; DemoError when some are not in time."""
        self._stop.set()
        self._thread.join()
        deadline = time.monotonic() + timeout_seconds
        while self._waiting:
            if time.monotonic() > deadline:
                raise DemoError(f"after {timeout_seconds:.0f} s {len(self._waiting)} posts are still not shown; look at the logs")
            time.sleep(POST_INTERVAL_SECONDS)
            self._look()

    def _run(self) -> None:
        while not self._stop.wait(POST_INTERVAL_SECONDS):
            try:
                article = self._board.create_article(BOARD_ID, "drill", f"post {self.posted}", WRITER_ID)
                self._waiting[str(article["id"])] = time.monotonic()
                self.posted += 1
            except (Refused, NoAnswer):
                self.refused += 1
            self._look()

    def _look(self) -> None:
        """Take what is shown by now from what is waited for. Ids grow with time, and the list has the newest first."""
        if not self._waiting:
            return
        oldest = min(map(int, self._waiting))
        try:
            for item in self._board.pages("read-view", "articles", board_id=BOARD_ID):
                if int(item["id"]) < oldest:
                    return
                since = self._waiting.pop(item["id"], None)
                if since is not None:
                    self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - since)
        except (Refused, NoAnswer):
            return


class Drill:
    """What every script needs: the brokers' processes, the view, the words."""

    def __init__(self, layout: Layout, terminal: Terminal, language: str) -> None:
        self._layout = layout
        self._language = language
        self.view = ClusterView(layout.bootstrap_servers, terminal)

    def tell(self, text: texts.Text, **values: object) -> None:
        self.view.say(text.of(self._language, **values))

    def state(self) -> State:
        state = running_state(self._layout)
        if state is None:
            raise DemoError("the board has ended in the middle of the drill")
        return state

    def pid_of(self, broker_id: int) -> int:
        name = self._layout.broker_name(broker_id)
        for process in self.state().processes:
            if process.name == name and process.pid is not None:
                return process.pid
        raise DemoError(f"{name} is not running; see ./board status")

    def signal(self, broker_id: int, number: signal.Signals, text: texts.Text) -> None:
        pid = self.pid_of(broker_id)
        self.tell(text, name=self._layout.broker_name(broker_id), pid=pid)
        os.kill(pid, number)

    @contextmanager
    def stopped(self, *broker_ids: int) -> Iterator[None]:
        """Processes that do nothing for a while; they run on whatever happens."""
        pids = [self.pid_of(one) for one in broker_ids]
        try:
            for one in broker_ids:
                self.signal(one, signal.SIGSTOP, texts.STOP)
            yield
        finally:
            for one, pid in zip(broker_ids, pids, strict=True):
                self.tell(texts.RESUME, name=self._layout.broker_name(one))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def in_sync(self, timeout_seconds: float = BACK_SECONDS) -> None:
        self.view.watch(lambda look: look.in_sync and len(look.brokers) == 3, timeout_seconds, "every replica in the ISR")

    def leader(self, topic: str = TOPIC, partition: int = 0) -> int:
        state = self.view.look().partitions.get((topic, partition))
        if state is None or state.leader < 0:
            raise DemoError(f"{topic}-{partition} has no leader; see ./board status")
        return state.leader

    def coordinator(self, group: str) -> int:
        admin = AdminClient({"bootstrap.servers": self._layout.bootstrap_servers, "log_level": 0})
        try:
            node = admin.describe_consumer_groups([group], request_timeout=10)[group].result().coordinator
        except KafkaException as error:
            raise DemoError(f"group {group} has no coordinator: {error.args[0].str()}") from error
        return int(node.id)


def leader_dies(drill: Drill) -> None:
    victim = drill.leader()
    drill.signal(victim, signal.SIGKILL, texts.KILL)
    drill.view.watch(lambda look: _moved(look, victim), SHORT_SECONDS, "another leader")
    drill.in_sync()


def follower_falls_behind(drill: Drill) -> None:
    leader = drill.leader()
    follower = next(one for one in drill.view.look().brokers if one != leader)
    with drill.stopped(follower):
        drill.view.watch(lambda look: _left_isr(look, follower), SESSION_SECONDS, "an ISR without the one that is stopped")
        time.sleep(3)
    drill.in_sync()


def no_majority(drill: Drill) -> None:
    first, second, *_ = drill.view.look().brokers
    with drill.stopped(first, second):
        deadline = time.monotonic() + NO_MAJORITY_SECONDS
        drill.view.watch(lambda look: time.monotonic() > deadline, NO_MAJORITY_SECONDS * 2, "the end of the wait")
    drill.in_sync()


def coordinator_dies(drill: Drill) -> None:
    victim = drill.coordinator(GROUP)
    drill.signal(victim, signal.SIGKILL, texts.KILL)
    drill.view.watch(lambda look: _moved(look, victim, OFFSETS_TOPIC), SHORT_SECONDS, "another coordinator")
    drill.in_sync()
    drill.view.say(f"{GROUP}: coordinator {victim} -> {drill.coordinator(GROUP)}")


def rolling_restart(drill: Drill) -> None:
    for broker_id in drill.view.look().brokers:
        pid = drill.pid_of(broker_id)
        drill.signal(broker_id, signal.SIGTERM, texts.TERMINATE)
        drill.view.watch(lambda look, one=broker_id: one not in look.brokers, SHORT_SECONDS, "that the broker has left")  # type: ignore[misc]
        drill.in_sync()
        if drill.pid_of(broker_id) == pid:
            raise DemoError(f"broker {broker_id} did not end")


def _moved(look: Look, away_from: int, topic: str = TOPIC) -> bool:
    states = [state for (name, _), state in look.partitions.items() if name == topic]
    return bool(states) and all(state.leader not in (-1, away_from) for state in states)


def _left_isr(look: Look, broker_id: int) -> bool:
    return bool(look.partitions) and all(broker_id not in state.isr for state in look.partitions.values())


SCRIPTS: dict[str, Callable[[Drill], None]] = {
    "leader-dies": leader_dies,
    "follower-falls-behind": follower_falls_behind,
    "no-majority": no_majority,
    "coordinator-dies": coordinator_dies,
    "rolling-restart": rolling_restart,
}


def run(name: str, layout: Layout, terminal: Terminal, language: str) -> None:
    """Tell, break, show, mend, explain. DemoError when something does not come back."""
    lesson = texts.LESSONS[name]
    drill = Drill(layout, terminal, language)
    terminal.say(f"{texts.EXPECT.of(language)}: {lesson.expect.of(language)}\n")
    drill.in_sync()
    with Posting(Board.of(layout)) as posting:
        SCRIPTS[name](drill)
        posting.wait_shown(BACK_SECONDS)
    drill.tell(texts.WRITING, posted=posting.posted, refused=posting.refused)
    drill.tell(texts.SILENCE, seconds=posting.slowest_seconds)
    drill.view.watch_lag(BACK_SECONDS)
    drill.tell(texts.BACK)
    terminal.say(f"\n{texts.MEANT.of(language)}: {lesson.meant.of(language)}")
