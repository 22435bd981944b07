"""The stage of a quorum of one on its disk: `start`, `append a b`, `read`, `tick 1ms`, `crash`, `power-cut seed=1`,
`stop`, `open`, `full`, `room`, `failing`, `file`.
"""

from collections.abc import Iterator

from ..scenarios import Command
from .quorum import Voter


class VoterStage:
    """See the module."""

    def __init__(self) -> None:
        self.voter = Voter()
        self.answered = 0
        self.heard = 0
        self.reads: list[str] = []

    def do_start(self, command: Command) -> None:
        self.voter.driver.start()

    def do_append(self, command: Command) -> str:
        return f"append: up to offset {self.voter.append(*command.words)}"

    def do_read(self, command: Command) -> None:
        number = len(self.reads)
        self.reads.append("")

        def done(code: object) -> None:
            self.reads[number] = f"read {number}: answered"

        self.voter.driver.when_committed(done)

    def do_tick(self, command: Command) -> Iterator[str]:
        self.voter.settle(command.milliseconds(0))
        return self._news()

    def _news(self) -> Iterator[str]:
        """What was heard and answered since the last time, and how far the log is durable and committed."""
        for text in self.voter.listener.heard[self.heard :]:
            yield f"heard {text}"
        self.heard = len(self.voter.listener.heard)
        for name, code in list(self.voter.answers.items())[self.answered :]:
            yield f"answered {name}: {code.name}"
        self.answered = len(self.voter.answers)
        for text in self.reads:
            if text:
                yield text
        self.reads = [""] * len(self.reads)
        for failure in self.voter.failures:
            yield f"failed: {failure.strerror}"
        log, core = self.voter.log, self.voter.driver.core
        yield f"{core.role}, log end {log.log_end_offset}, persisted {log.persisted_end_offset}, committed {core.high_watermark}"

    def do_crash(self, command: Command) -> None:
        self._forget()
        self.voter.crash()

    def do_power_cut(self, command: Command) -> None:
        self._forget()
        self.voter.crash(command.number("seed"), "torn")

    def _forget(self) -> None:
        self.heard, self.answered, self.reads = 0, 0, []
        self.voter.answers = {}

    def do_stop(self, command: Command) -> Iterator[str]:
        self.voter.stop()
        return self._news()

    def do_open(self, command: Command) -> None:
        self._forget()
        self.voter.open()

    def do_full(self, command: Command) -> None:
        self.voter.storage.capacity_bytes = self.voter.storage.used_bytes

    def do_room(self, command: Command) -> None:
        self.voter.storage.capacity_bytes = None

    def do_failing(self, command: Command) -> None:
        self.voter.storage.fail_fsync = True

    def do_file(self, command: Command) -> str:
        state = self.voter.store.read()
        return f"quorum-state: epoch {state.epoch}, voted {state.voted_id}, leader {state.leader_id}"
