"""The stage of the log's scenarios: one partition's log on a simulated disk, told in commands.

Commands: `append 5 epoch=1 time=10s producer=7 sequence=0 value=100`, `epoch 3`, `roll`, `flush`, `tick 10s`, `read 0 bytes=200`,
`find time=10s`, `newest`, `ends epoch=2`, `retain`, `set retention.ms=10s`, `crash`, `power-cut seed=1`, `stop`, `open`,
`damage 0.index`, `full bytes=10`, `room`, `files`, `log`. Times count from the start of the story.
"""

import errno
from collections.abc import Iterator

from broker.clock.simulated import WALL_START_MS
from broker.record.batch import iter_batches

from ..scenarios import Command, milliseconds
from .disk import Config, Disk, append

SHORT = {"bytes": int, "ms": milliseconds}


def short(name: str) -> str:
    """`7.log` for the file of twenty digits."""
    stem, dot, rest = name.partition(".")
    return f"{int(stem)}{dot}{rest}" if stem.isdigit() else name


class LogStage:
    """See the module."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.config = Config(segment_bytes=1000, index_interval_bytes=200)
        self.clean = False
        self.recovery_point = 0
        self.start = 0
        self.log = self.disk.open(self.config)

    @property
    def now(self) -> int:
        return self.disk.clock.wall_ms()

    def _time(self, command: Command) -> int:
        return WALL_START_MS + command.milliseconds("time", self.now - WALL_START_MS)

    # What a broker does.

    def do_append(self, command: Command) -> str:
        settings = {}
        if "producer" in command.options:
            settings = {"producer_id": command.number("producer"), "producer_epoch": 0}
            settings["base_sequence"] = command.number("sequence")
        info = append(
            self.log,
            command.number(0, 1),
            epoch=command.number("epoch", max(self.log.epochs.latest, 0)),
            timestamp=self._time(command),
            step=0,
            value=b"v" * command.number("value", 50),
            **settings,
        )
        return f"append: {info.first_offset}..{info.last_offset}" + (" again" if info.duplicate else "")

    def do_epoch(self, command: Command) -> None:
        self.log.assign_epoch(command.number(0), self.log.log_end_offset)

    def do_roll(self, command: Command) -> None:
        self.log.roll(self.now)

    def do_flush(self, command: Command) -> str:
        answers: list[OSError | None] = []
        self.log.flush_soon(answers.append)
        self.disk.settle()
        (error,) = answers
        return f"flush: {errno.errorcode[error.errno or 0] if error else f'durable up to {self.log.recovery_point}'}"

    def do_tick(self, command: Command) -> None:
        self.disk.clock.run_until(self.disk.clock.now_ms + command.milliseconds(0))

    def do_retain(self, command: Command) -> str:
        dropped = self.log.apply_retention(self.now, self.log.log_end_offset, self._later)
        return f"retain: {dropped} segments dropped, the log begins at {self.log.log_start_offset}"

    def _later(self, delay_ms: int, call: object) -> None:
        assert callable(call)
        self.disk.clock.call_at(self.disk.clock.now_ms + delay_ms, call)

    def do_set(self, command: Command) -> None:
        for name, text in command.options.items():
            kind = type(getattr(self.config, name.replace(".", "_")))
            value = text if kind is str else milliseconds(text) if not text.lstrip("-").isdigit() else int(text)
            setattr(self.config, name.replace(".", "_"), value)
        self.log.configure(self.config)

    # What a reader sees.

    def do_read(self, command: Command) -> str:
        offset = command.number(0)
        buffers = self.log.read(offset, command.number("bytes", 10**6), self.log.log_end_offset)
        found = [header for buffer in buffers for header, _ in iter_batches(buffer)]
        return f"read {offset}: " + (f"{found[0].base_offset}..{found[-1].last_offset}" if found else "nothing")

    def do_find(self, command: Command) -> str:
        found = self.log.offset_for_timestamp(self._time(command), self.log.log_end_offset)
        return f"find: {self._found(found)}"

    def do_newest(self, command: Command) -> str:
        return f"newest: {self._found(self.log.max_timestamp_offset())}"

    @staticmethod
    def _found(found: tuple[int, int, int] | None) -> str:
        return f"{found[1]} of {found[0] - WALL_START_MS} ms, epoch {found[2]}" if found else "nothing"

    def do_ends(self, command: Command) -> str:
        epoch, end = self.log.end_offset_for_epoch(command.number("epoch"))
        return f"epoch {epoch} ends at {end}"

    # Ends and beginnings.

    def do_crash(self, command: Command) -> None:
        """The process dies."""
        self._keep()
        self.disk.crash()

    def do_power_cut(self, command: Command) -> None:
        self._keep()
        self.disk.crash(command.number("seed"), "torn")

    def do_stop(self, command: Command) -> str | None:
        try:
            self.log.close(clean=True)
        except OSError as error:
            self._keep()
            return f"stop: {errno.errorcode[error.errno or 0]}"
        self._keep(clean=True)
        return None

    def _keep(self, *, clean: bool = False) -> None:
        """What the checkpoints of the directory say."""
        self.clean, self.recovery_point, self.start = clean, self.log.recovery_point, self.log.log_start_offset

    def do_open(self, command: Command) -> Iterator[str]:
        self.log = self.disk.open(self.config, clean=self.clean, recovery_point=self.recovery_point, start_offset=self.start)
        if self.log.cut_bytes:
            yield f"open: {self.log.cut_bytes} bytes cut off"
        yield from self.do_log(command)

    # What befalls the disk.

    def do_damage(self, command: Command) -> None:
        """`0.log cut=10`: bytes off the end; `at=5`: a bit flips; `zeros=9`: appended; neither: the file is gone."""
        name = next(one for one in self.disk.names() if short(one) == command.word(0))
        data = bytearray(self.disk.read(name))
        if "cut" in command.options:
            del data[-command.number("cut") :]
        elif "at" in command.options:
            data[command.number("at")] ^= 1
        elif "zeros" in command.options:
            data += bytes(command.number("zeros"))
        else:
            self.disk.storage.remove(f"{self.log.directory}/{name}")
            return
        self.disk.overwrite(name, bytes(data))

    def do_full(self, command: Command) -> None:
        self.disk.storage.capacity_bytes = self.disk.storage.used_bytes + command.number("bytes")

    def do_room(self, command: Command) -> None:
        self.disk.storage.capacity_bytes = None

    def do_failing(self, command: Command) -> None:
        """fsyncs fail from now on."""
        self.disk.storage.fail_fsync = True

    def do_files(self, command: Command) -> str:
        return "files: " + " ".join(short(name) for name in self.disk.names())

    def do_log(self, command: Command) -> Iterator[str]:
        yield f"log {self.log.log_start_offset}..{self.log.log_end_offset}"
        for segment in self.log.segments:
            yield f"  {segment.base_offset}.log: {segment.size} bytes, {segment.offset_index.count} index entries"
        yield "  epochs " + (" ".join(f"{epoch}@{start}" for epoch, start in self.log.epochs.entries) or "none")
        for producer_id, entry in self.log.producers.items():
            yield f"  producer {producer_id}: sequence {entry.last_sequence}"
        for failure in self.disk.failures:
            yield f"  failed: {failure.strerror}"
