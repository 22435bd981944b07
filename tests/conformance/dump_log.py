"""The judge of a data directory: Kafka's own dump-log over every file of the log, and what that tool does not look at.

Owns: which files there are, running `DumpLogSegments` over them (with the decoder of their topic, records opened, indexes
compared with the log), telling its findings from its harmless remarks, and own checks of what it passes over: epochs in
`leader-epoch-checkpoint`, the shape of an index beyond its first empty entry, segments that overlap.

The tool ends with status 0 whatever it finds, ends at the first file that makes it throw, and stops reading an index at an
entry of zeros, and cuts an index to whole entries by opening it; a segment that does not begin at 0 is "non-consecutive"
for it. All that is seen to here.
"""

import itertools
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers.apache_kafka import tool

SUFFIXES = (".log", ".index", ".timeindex", ".txnindex", ".snapshot", ".checkpoint")
# Many files take one JVM; a command line has an end.
FILES_PER_RUN = 400
TIMEOUT_SECONDS = 300
LINE_CHARACTERS_SHOWN = 200
INDEX_ENTRY = struct.Struct(">ii")
TIME_INDEX_ENTRY = struct.Struct(">qi")
DELETED = re.compile(r"\.[0-9a-f]{32}-delete$")
FINDINGS = re.compile(
    r"Mismatches in|timestamp mismatch|out of order|not found in|invalid bytes|isvalid: false|Error at|Unknown record type"
)
HARMLESS = re.compile(r"^(Ignoring unknown file|OpenJDK|Picked up|WARNING: )")
NON_CONSECUTIVE = re.compile(r"^Non-consecutive offsets in (.*)$")
FOLLOWED = re.compile(r"^\s+(-?\d+) is followed by (\d+)$")
BATCH = re.compile(
    r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .* partitionLeaderEpoch: (-?\d+) .* isControl: (true|false) "
)


@dataclass
class Batch:
    """One batch as the tool prints it, and how many records it found inside."""

    base_offset: int
    last_offset: int
    count: int
    epoch: int
    is_control: bool
    records: int = 0


@dataclass
class Dump:
    """What the tool said: findings, and the batches of every log."""

    problems: list[str] = field(default_factory=list)
    batches: dict[Path, list[Batch]] = field(default_factory=dict)


def dump_log_problems(*data_dirs: Path | str) -> list[str]:
    """Everything that is wrong with the files of data directories; an empty list when they are clean."""
    files = [path for directory in data_dirs for path in log_files(Path(directory))]
    problems = [problem for path in files for problem in index_problems(path)]
    dump = dump_files(files)
    problems += dump.problems
    for path, batches in sorted(dump.batches.items()):
        for batch in batches:
            if batch.records != batch.count:
                problems.append(
                    f"{path}: the batch at {batch.base_offset} declares {batch.count} records, it has {batch.records}"
                )
    for directory in sorted({path.parent for path in dump.batches if path.suffix == ".log"}):
        logs = [(path, batches) for path, batches in sorted(dump.batches.items()) if path.parent == directory]
        segments = [(path, batches) for path, batches in logs if path.suffix == ".log"]
        problems += overlap_problems(segments)
        problems += epoch_problems(directory, [batch for _, batches in segments for batch in batches])
    return problems


def record_counts(data_dir: Path | str) -> dict[tuple[str, int], int]:
    """Records of every partition, without control records, as the tool counts them when it opens each batch."""
    counts: dict[tuple[str, int], int] = {}
    logs = [path for path in log_files(Path(data_dir)) if path.suffix == ".log"]
    for path in logs:
        counts.setdefault(topic_partition(path), 0)
    for path, batches in dump_files(logs).batches.items():
        counts[topic_partition(path)] += sum(batch.records for batch in batches if not batch.is_control)
    return counts


def topic_partition(path: Path) -> tuple[str, int]:
    topic, _, partition = path.parent.name.rpartition("-")
    return topic, int(partition)


def log_files(root: Path) -> list[Path]:
    """Every file that the tool reads, but for partitions that wait for their deletion."""
    found = [path for path in sorted(root.rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    return [path for path in found if not DELETED.search(path.parent.name)]


def dump_files(files: Sequence[Path]) -> Dump:
    """Run the tool over all files, each with the decoder that its records need."""
    dump = Dump()
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in files:
        groups.setdefault(_decoder(path), []).append(path)
    for decoder, paths in groups.items():
        for start in range(0, len(paths), FILES_PER_RUN):
            _run(decoder, paths[start : start + FILES_PER_RUN], dump)
    return dump


def _decoder(path: Path) -> tuple[str, ...]:
    if path.suffix == ".checkpoint" or path.parent.name.startswith("__cluster_metadata-"):
        return ("--cluster-metadata-decoder",)
    if path.parent.name.startswith("__consumer_offsets-"):
        return ("--offsets-decoder",)
    return ()


def _run(decoder: tuple[str, ...], paths: Sequence[Path], dump: Dump) -> None:
    """One run, and another one behind each file that ends it."""
    rest = list(paths)
    while rest:
        files = ",".join(str(path) for path in rest)
        done = tool("dump-log", "--deep-iteration", *decoder, "--files", files, timeout_seconds=TIMEOUT_SECONDS)
        current = _read_output(done.stdout, dump)
        if done.returncode == 0:
            dump.problems += _findings_of_errors(done.stderr)
            return
        why = next((line for line in done.stderr.splitlines() if "Exception" in line or "Error" in line), done.stderr.strip())
        dump.problems.append(f"{current}: dump-log ended with: {why}")
        # What it had found in the files before is printed at the end only, so they are read once more without this one.
        after = rest.index(current) + 1 if current in rest else len(rest)
        if after > 1:
            _run(decoder, rest[: after - 1], dump)
        rest = rest[after:]


def _read_output(text: str, dump: Dump) -> Path | None:
    """Batches and findings of the standard output; the file that was read last."""
    current: Path | None = None
    for line in text.splitlines():
        if line.startswith("Dumping "):
            current = Path(line.removeprefix("Dumping "))
            if current.suffix in (".log", ".checkpoint"):
                dump.batches[current] = []
        elif current is not None and (found := BATCH.match(line)):
            base, last, count, epoch = (int(found.group(number)) for number in range(1, 5))
            dump.batches[current].append(Batch(base, last, count, epoch, found.group(5) == "true"))
        elif current in dump.batches and line.startswith("| offset: "):
            dump.batches[current][-1].records += 1
        if found := FINDINGS.search(line):
            dump.problems.append(f"{current}: {found.group()}: {line.strip()[:LINE_CHARACTERS_SHOWN]}")
    return current


def _findings_of_errors(text: str) -> Iterator[str]:
    """The standard error holds findings, each perhaps with lines of detail, and remarks."""
    non_consecutive = ""
    for line in text.splitlines():
        if found := NON_CONSECUTIVE.match(line):
            non_consecutive = found.group(1)
        elif non_consecutive and (found := FOLLOWED.match(line)):
            before, after = int(found.group(1)), int(found.group(2))
            if before != -1 or after != _base_offset(Path(non_consecutive)):
                yield f"{non_consecutive}: offset {before} is followed by {after}"
        elif line.strip() and not HARMLESS.match(line):
            yield line.strip()


def _base_offset(path: Path) -> int:
    """A log begins at its name; a snapshot of the metadata at 0."""
    return int(path.stem) if path.suffix == ".log" else 0


def overlap_problems(segments: Sequence[tuple[Path, list[Batch]]]) -> Iterator[str]:
    """Offsets grow over the segments of a partition, and a segment holds nothing from below its name."""
    end = -1
    for path, batches in segments:
        if int(path.stem) < end:
            yield f"{path}: it begins below {end}, where the segment before it ends"
        for batch in batches:
            if batch.base_offset < max(end, int(path.stem)):
                yield f"{path}: the batch at {batch.base_offset} lies below {max(end, int(path.stem))}"
            end = batch.last_offset + 1


def epoch_problems(directory: Path, batches: Sequence[Batch]) -> Iterator[str]:
    """`leader-epoch-checkpoint`: well-formed, ascending, and the epoch of every batch is the one it gives."""
    path = directory / "leader-epoch-checkpoint"
    if not path.exists():
        if batches:
            yield f"{path}: it is missing"
        return
    try:
        entries = read_epochs(path.read_text())
    except ValueError as error:
        yield f"{path}: {error}"
        return
    for (epoch, start), (next_epoch, next_start) in itertools.pairwise(entries):
        if next_epoch <= epoch or next_start <= start:
            yield f"{path}: epoch {next_epoch} from {next_start} follows epoch {epoch} from {start}"
    for batch in batches:
        said = max((entry for entry in entries if entry[1] <= batch.base_offset), key=lambda entry: entry[1], default=(None, 0))[
            0
        ]
        if said != batch.epoch:
            yield f"{path}: it gives epoch {said} for offset {batch.base_offset}, the batch has {batch.epoch}"


def read_epochs(text: str) -> list[tuple[int, int]]:
    """Version 0, a count, and lines of epoch and start offset; ValueError when it is anything else."""
    lines = text.splitlines()
    if len(lines) < 2 or lines[0] != "0" or not lines[1].isdigit():
        raise ValueError(f"it does not begin with version 0 and a count: {lines[:2]}")
    if len(lines) != 2 + int(lines[1]):
        raise ValueError(f"it declares {lines[1]} entries and has {len(lines) - 2}")
    entries = [line.split(" ") for line in lines[2:]]
    if any(len(entry) != 2 or not all(number.isdigit() for number in entry) for entry in entries):
        raise ValueError(f"an entry is not of the form 'epoch offset': {lines[2:]}")
    return [(int(epoch), int(start)) for epoch, start in entries]


def index_problems(path: Path) -> Iterator[str]:
    """Whole entries, ascending: also behind the first empty entry, where the tool stops."""
    entry = {".index": INDEX_ENTRY, ".timeindex": TIME_INDEX_ENTRY}.get(path.suffix)
    if entry is None:
        return
    data = path.read_bytes()
    if len(data) % entry.size:
        yield f"{path}: its {len(data)} bytes are no whole number of entries of {entry.size} bytes"
    entries = list(entry.iter_unpack(data[: len(data) - len(data) % entry.size]))
    for number, (before, after) in enumerate(itertools.pairwise(entries), 1):
        if after[0] <= before[0] or after[1] <= before[1]:
            yield f"{path}: its entry {number} {after} does not ascend from {before}"
            return
