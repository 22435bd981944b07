"""The stage of replication's scenarios: one node's partitions as the metadata and its clients make them.

Commands: `create t id=1 partitions=2 replicas=1,2 isr=1,2 leader=1`, `delete t`, `set t retention.ms=10`, `leader t 0 1`,
`isr t 0 1,2`, `append t 0 5 acks=-1`, `read t 0 3`, `wait t 0`, `turn`, `tick 10s`, `crash`, `retain`, `full`, `room`,
`upkeep`, `files`, `state`.
"""

from collections.abc import Iterator

from broker.protocol.errors import KafkaError
from broker.protocol.messages.metadata_records import PartitionChangeRecord
from broker.record.batch import iter_batches

from ..scenarios import Command
from .node import Node, batch, topic_id


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


class ReplicationStage:
    """See the module."""

    def __init__(self) -> None:
        self.node = Node()
        self.ids: dict[str, int] = {}
        self.woken: list[str] = []

    def do_create(self, command: Command) -> None:
        name, number = command.word(0), command.number("id", len(self.ids) + 1)
        self.ids[name] = number
        options = {key: numbers(command.options[key]) for key in ("replicas", "isr") if key in command.options}
        leader = {"leader": command.number("leader")} if "leader" in command.options else {}
        self.node.create(name, number, partitions=command.number("partitions", 1), **options, **leader)

    def do_delete(self, command: Command) -> None:
        self.node.remove(self.ids.pop(command.word(0)))

    def do_set(self, command: Command) -> None:
        for name, value in command.options.items():
            self.node.set(name, value, command.word(0))

    def do_leader(self, command: Command) -> None:
        self._change(command, leader=command.number(2))

    def do_isr(self, command: Command) -> None:
        self._change(command, isr=numbers(command.word(2)))

    def _change(self, command: Command, **what: object) -> None:
        number = topic_id(self.ids[command.word(0)])
        self.node.agree(PartitionChangeRecord(partition_id=command.number(1), topic_id=number, **what))

    def do_append(self, command: Command) -> str:
        replicas = self.node.replicas
        partition = replicas.find(command.word(0), command.number(1))
        info = replicas.append(partition, batch(command.number(2, 1)), command.number("acks", -1))
        return f"append: {info.first_offset}..{info.last_offset}, high watermark {partition.high_watermark}"

    def do_read(self, command: Command) -> str:
        partition = self.node.replicas.find(command.word(0), command.number(1))
        buffers = partition.read(command.number(2), 10**6, at_least_one=True)
        found = [header for buffer in buffers for header, _ in iter_batches(buffer)]
        return f"read: {found[0].base_offset}..{found[-1].last_offset}" if found else "read: nothing"

    def do_wait(self, command: Command) -> None:
        """A fetch that waits for more; woken, it says what it finds."""
        name, index = command.word(0), command.number(1)

        def wake() -> None:
            try:
                self.woken.append(f"woken: {name}-{index} at {self.node.replicas.find(name, index).high_watermark}")
            except KafkaError as error:
                self.woken.append(f"woken: {name}-{index} {error.code.name}")

        self.node.replicas.find(name, index).consumers[wake] = None

    def do_turn(self, command: Command) -> list[str]:
        self.node.turn()
        woken, self.woken = self.woken, []
        return woken

    def do_tick(self, command: Command) -> None:
        self.node.settle(command.milliseconds(0))

    def do_crash(self, command: Command) -> None:
        self.node.crash()

    def do_retain(self, command: Command) -> None:
        self.node.replicas.apply_retention()

    def do_upkeep(self, command: Command) -> None:
        """What happens every few seconds."""
        self.node.replicas.checkpoint_high_watermarks()
        self.node.settle(100)

    def do_full(self, command: Command) -> None:
        self.node.storage.capacity_bytes = self.node.storage.used_bytes

    def do_room(self, command: Command) -> None:
        self.node.storage.capacity_bytes = None

    def do_files(self, command: Command) -> str:
        return "files: " + (" ".join(sorted(self.node.names())) or "none")

    def do_state(self, command: Command) -> Iterator[str]:
        for (name, index), partition in sorted(self.node.replicas.partitions.items()):
            log = partition.log
            leads = "leads" if partition.is_leader else "does not lead"
            yield (
                f"{name}-{index} {leads} in epoch {partition.leader_epoch}: {log.log_start_offset}..{log.log_end_offset}, "
                f"high watermark {partition.high_watermark}"
            )
