"""What clients were told and what they saw, and whether it all fits together.

Everything here stands outside the broker: answers that clients got, records that consumers got, and what stands on the disk
when a broker has started (`disk_view`). What must hold:

- an acknowledged or seen record keeps its offset and its content: through any death of the process; through the death of the
  machine when it was fsynced, was below the recovery point on the disk, or was there at a clean stop. What is lost is a suffix
- an idempotent producer's record stands in one place
- each producer's records stand in the order of their sending (of those that were sent again, the first counts)
- the high watermark that consumers see never goes back, and no record is seen at or above it
- a group's committed offset is the last acknowledged one or one that was asked for later
- an acknowledged topic, deletion or setting holds through everything
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from broker.record.records import Record
from broker.storage.simulated import CrashMode
from simulation.disk_view import Contents, Key, checkpoint, committed_offsets, read_partitions
from simulation.world import DATA, Host

NO_OFFSET = -1
NO_EPOCH = -1
CLEAN_MARKER = f"{DATA}/.kafka_cleanshutdown"
RECOVERY_POINTS = f"{DATA}/recovery-point-offset-checkpoint"


class InvariantBroken(AssertionError):
    """Something does not fit; the message says what."""


def broken(what: str) -> InvariantBroken:
    return InvariantBroken(what)


@dataclass
class Partition:
    """What is known of one partition."""

    known: dict[int, bytes] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    high_watermark: int = 0
    # Below this everything survives everything.
    durable_end: int = 0
    # Acknowledged or seen records that a machine took with it when it died.
    lost: set[bytes] = field(default_factory=set)
    # Offsets that were taken and given out again: a reader that was beyond them does not see the new ones.
    reused: set[int] = field(default_factory=set)

    def claim(self, where: str, offset: int, value: bytes) -> None:
        known = self.known.setdefault(offset, value)
        if known != value:
            raise broken(f"{where}: offset {offset} was {known!r}, and now is {value!r}")


@dataclass
class Commits:
    """The commits of one group and partition: all that were sent, and from where on one of them must stand."""

    sent: list[int] = field(default_factory=list)
    settled: int = -1
    # Commits that got no answer, with the generation they belong to.
    doubted: dict[int, int] = field(default_factory=dict)

    def allowed(self, settled: int) -> set[int]:
        """Where a group may stand when the commit with this number was acknowledged, and no later one is known to be."""
        late = {self.sent[number] for number in self.doubted}
        return set(self.sent[max(settled, 0) :]) | late | ({NO_OFFSET} if settled < 0 else set())


@dataclass
class Topic:
    """One topic that was made."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class Ledger:
    """See the module. `note` writes into the trace."""

    note: Callable[[str, str], None]
    partitions: dict[Key, Partition] = field(default_factory=dict)
    topics: dict[UUID, Topic] = field(default_factory=dict)
    # Deleted for certain, and those for which it was asked.
    deleted: set[UUID] = field(default_factory=set)
    doomed: set[UUID] = field(default_factory=set)
    commits: dict[tuple[str, str, int], Commits] = field(default_factory=dict)
    processed: dict[str, dict[Key, set[int]]] = field(default_factory=dict)
    idempotent: set[str] = field(default_factory=set)
    # Whether a broker may answer with what it knew some time ago, since others have decided meanwhile.
    answers_lag: bool = False
    # A machine died, and its broker has not been ready since.
    machine_died: bool = False
    machine_deaths: int = 0

    def partition(self, topic_id: UUID, index: int) -> Partition:
        return self.partitions.setdefault((topic_id, index), Partition())

    def _where(self, topic_id: UUID, index: int) -> str:
        topic = self.topics.get(topic_id)
        return f"{topic.name if topic is not None else topic_id}-{index}"

    # Records.

    def claim(self, key: Key, offset: int, value: bytes) -> None:
        """A client was told that a record stands at an offset, or saw it there."""
        self.partition(*key).claim(self._where(*key), offset, value)

    def acknowledged(self, topic_id: UUID, index: int, base_offset: int, values: Iterable[bytes], acks: int = -1) -> None:
        """A producer was told that its records stand from an offset on. `acks`: what it asked for; one broker is all.

        One that names its topic may by now write to another one of that name, so nothing is said of a doomed topic.
        """
        if topic_id in self.doomed:
            return
        partition, where = self.partition(topic_id, index), self._where(topic_id, index)
        if base_offset < 0:
            raise broken(f"{where}: an acknowledgement names offset {base_offset}")
        for offset, value in enumerate(values, base_offset):
            self.claim((topic_id, index), offset, value)
            partition.acknowledged.add(offset)

    def high_watermark(self, topic_id: UUID, index: int, epoch: int = NO_EPOCH) -> int:
        """What consumers have seen so far: an answer to what is asked of a leader from now on shows no less."""
        return self.partition(topic_id, index).high_watermark

    def fetched(
        self,
        group: str,
        topic_id: UUID,
        index: int,
        records: Iterable[Record],
        high_watermark: int,
        floor: int,
        epoch: int = NO_EPOCH,
    ) -> None:
        """A consumer got records with a high watermark; `floor` is that of when it asked, `epoch` that of the leader it asked."""
        partition, where = self.partition(topic_id, index), self._where(topic_id, index)
        if high_watermark < floor:
            raise broken(f"{where}: the high watermark went back from {floor} to {high_watermark}")
        partition.high_watermark = max(partition.high_watermark, high_watermark)
        done = self.processed.setdefault(group, {}).setdefault((topic_id, index), set())
        for record in records:
            if record.offset >= high_watermark:
                raise broken(f"{where}: offset {record.offset} was given out below high watermark {high_watermark}")
            self.claim((topic_id, index), record.offset, record.value or b"")
            done.add(record.offset)

    def place_of(self, topic_id: UUID, index: int, value: bytes) -> int | None:
        """Where a record stands in the leader's log, whatever anybody was told; None when that is not looked at."""
        return None

    def leads(self, topic_id: UUID, index: int, host: str) -> bool:
        """Whether the broker on a host leads a partition, as was agreed on; one broker leads everything."""
        return True

    # Offsets of groups.

    def asks(self, host: str, group: str) -> int | None:
        """Somebody asks the broker on a host where a group stands; what `committed` wants to be told with the answer."""
        return None

    def commit_sent(self, group: str, topic: str, index: int, offset: int) -> int:
        """A number for the commit."""
        commits = self.commits.setdefault((group, topic, index), Commits())
        commits.sent.append(offset)
        return len(commits.sent) - 1

    def commit_acknowledged(self, group: str, topic: str, index: int, number: int, generation: int = 0) -> None:
        commits = self.commits[group, topic, index]
        commits.settled = max(commits.settled, number)
        commits.doubted.pop(number, None)
        commits.doubted = {doubt: within for doubt, within in commits.doubted.items() if within >= generation}

    def commit_doubted(self, group: str, topic: str, index: int, number: int, generation: int) -> None:
        """A commit has got no answer that says what became of it: it may still come, until its generation is over."""
        self.commits[group, topic, index].doubted[number] = generation

    def settled(self, group: str, topic: str, index: int) -> int:
        """The number of the last acknowledged commit, -1 when there is none."""
        commits = self.commits.get((group, topic, index))
        return commits.settled if commits is not None else -1

    def committed(
        self, group: str, topic: str, index: int, offset: int, *, since: int, host: str = "", asked: int | None = None
    ) -> None:
        """The broker on a host says where a group stands; `since`: what was acknowledged when it was asked."""
        commits = self.commits.setdefault((group, topic, index), Commits())
        allowed = commits.allowed(since)
        if offset not in allowed:
            raise broken(f"group {group} stands at {offset} in {topic}-{index}, not at one of {sorted(allowed)[-5:]}")

    # Topics.

    def topic_made(self, topic_id: UUID, topic: Topic) -> None:
        """An administrator was told that there is this topic now."""
        self.topics[topic_id] = topic

    def topic_deleted(self, topic_id: UUID) -> None:
        """An administrator was told that there is this topic no more."""
        self.deleted.add(topic_id)

    def told_leader(self, topic_id: UUID, index: int, node_id: int, epoch: int) -> None:
        """A broker said who leads a partition in an epoch; where there is one broker there is nothing to compare."""

    def described(self, found: Mapping[UUID, tuple[str, int]], made: Mapping[UUID, int], deleted: set[UUID]) -> None:
        """The broker says which topics there are. `made` (with partition counts) and `deleted`: what was acknowledged when
        it was asked."""
        for topic_id, count in made.items():
            if topic_id in self.doomed:
                continue
            name = self.topics[topic_id].name
            if topic_id not in found:
                raise broken(f"topic {name} ({topic_id}) was made, and is gone")
            if found[topic_id][1] < count:
                raise broken(f"topic {name} has {found[topic_id][1]} partitions, {count} were made")
        for topic_id in deleted & found.keys():
            raise broken(f"topic {found[topic_id][0]} ({topic_id}) was deleted, and is back")

    # The disk.

    def crashes(self, host: Host, mode: CrashMode) -> None:
        """Before the death of a machine: note what must survive it."""
        if mode == "process":
            return
        self.machine_died = True
        self.machine_deaths += 1
        files = host.storage.files(surviving=True)
        durable = read_partitions(files, DATA)
        points = checkpoint(files, RECOVERY_POINTS)
        names = [topic.name for topic in self.topics.values()]
        for key, partition in self.partitions.items():
            found = durable.get(key)
            topic = self.topics.get(key[0])
            # Of a name that was used again one cannot say which topic's log the checkpoint means.
            claimed = points.get((topic.name, key[1]), 0) if topic is not None and names.count(topic.name) == 1 else 0
            partition.durable_end = max(found.end if found is not None else 0, claimed, partition.durable_end)
            partition.high_watermark = min(partition.high_watermark, partition.durable_end)
        offsets = committed_offsets(durable)
        for name, commits in self.commits.items():
            stands = offsets.get(name, NO_OFFSET)
            commits.settled = commits.sent.index(stands) if stands in commits.sent else -1

    def stopped(self, host: Host) -> None:
        """A clean stop makes everything durable; one that a full disk spoiled leaves no marker, and promises nothing."""
        if CLEAN_MARKER not in host.storage.files():
            return
        for partition in self.partitions.values():
            partition.durable_end = max(partition.known, default=-1) + 1

    def started(self, host: Host) -> None:
        """A broker is ready: what it must have kept is on its disk."""
        found = read_partitions(host.storage.files(), DATA)
        for key, partition in self.partitions.items():
            if key[0] in self.doomed:
                continue
            contents = found.get(key, Contents("", 0, 0, {}))
            self._check_kept(self._where(*key), partition, contents)
            self.check_places(self._where(*key), {offset: one.value or b"" for offset, one in contents.records.items()})
        self.machine_died = False

    def _check_kept(self, where: str, partition: Partition, contents: Contents) -> None:
        """Everything known is there, or, after the death of a machine, a prefix that holds all that was durable."""
        end = contents.end
        if end < partition.durable_end:
            raise broken(f"{where}: it ends at {end}, everything below {partition.durable_end} was durable")
        if end < partition.high_watermark and not self.machine_died:
            raise broken(f"{where}: it ends at {end}, the high watermark was {partition.high_watermark}")
        gone = {offset for offset in partition.known if offset >= end}
        if gone and not self.machine_died:
            raise broken(f"{where}: it ends at {end}, but {partition.known[min(gone)]!r} stood at {min(gone)}")
        partition.reused |= set(range(end, max(gone, default=-1) + 1))
        for offset in sorted(gone):
            partition.lost.add(partition.known.pop(offset))
            partition.acknowledged.discard(offset)
        for done in self.processed.values():
            for key in done:
                if self.partitions.get(key) is partition:
                    done[key] -= gone
        for offset, value in partition.known.items():
            if offset < contents.start:
                continue
            record = contents.records.get(offset)
            if record is None or record.value != value:
                raise broken(f"{where}: {value!r} stood at {offset}, the disk has {record and record.value!r}")
        partition.high_watermark = min(partition.high_watermark, end)

    def check_places(self, where: str, records: Mapping[int, bytes]) -> None:
        """No record of an idempotent producer twice, and every producer's records in order."""
        places: dict[bytes, int] = {}
        latest: dict[str, int] = {}
        for offset, value in sorted(records.items()):
            producer, _, number = value[:32].decode(errors="replace").partition("|")[0].rpartition("/")
            if not producer:
                continue
            if value in places:
                if producer in self.idempotent:
                    raise broken(f"{where}: {value[:32]!r} stands at {places[value]} and again at {offset}")
                continue
            places[value] = offset
            if int(number) < latest.get(producer, -1):
                raise broken(f"{where}: {value[:32]!r} stands behind number {latest[producer]} of the same producer")
            latest[producer] = int(number)

    # The end.

    def missed(self, group: str, topics: Iterable[UUID]) -> list[str]:
        """Acknowledged records that a group has not got."""
        found = []
        for (topic_id, index), partition in self.partitions.items():
            if topic_id in topics:
                done = self.processed.get(group, {}).get((topic_id, index), set())
                missed = partition.acknowledged - partition.reused - done
                found += [f"{self._where(topic_id, index)}@{offset}" for offset in sorted(missed)]
        return found
