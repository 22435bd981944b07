"""The stage of the stories of several replicas: three brokers whose fetches and wishes move only when the story says so.

Commands: `create replicas=1,2,3 isr=1,2`, `set min.insync.replicas=2`, `append 3 acks=1 sequence=0 at=2`, `fetch 2 times=2
drop=answer`, `decide 1 drop=wish`, `catch-up 2 3`, `fence 1`, `unfence 1`, `restart 2 unclean torn`, `crash 2`, `elect 2 isr=2`,
`deaf 1`, `hear 1`, `full 2`, `room 2`, `retain 1`, `tick 10s`, `read 1 0`, `log 2`, `state`. A story has one topic, `t`, with one
partition. What producers are told stands in the trace as soon as it is.
"""

from collections.abc import Iterator, Mapping

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.fetch import FetchRequest, FetchResponse
from broker.protocol.messages.metadata_records import ConfigRecord, PartitionChangeRecord, PartitionRecord, TopicRecord
from broker.record.batch import iter_batches

from ..scenarios import Command
from .cluster import Cluster
from .node import batch, topic_id
from .stage import numbers

TOPIC = topic_id(1)
PRODUCER = 9
ACKS = {"all": -1, "1": 1, "0": 0}


def listed(values: object) -> str:
    return ",".join(str(one) for one in values) or "nobody"  # type: ignore[attr-defined]


class ClusterStage:
    """See the module."""

    def __init__(self) -> None:
        self.cluster = Cluster(min_insync_replicas="2", replica_lag_time_max_ms="10000", replica_fetch_backoff_ms="1000")
        self.told: list[str] = []

    def _tell(self) -> list[str]:
        """What producers were told meanwhile."""
        self.cluster.turn()
        told, self.told = self.told, []
        return told

    # What is agreed on.

    def do_create(self, command: Command) -> None:
        replicas = numbers(command.options.get("replicas", "1,2,3"))
        partition = PartitionRecord(
            partition_id=0,
            topic_id=TOPIC,
            replicas=replicas,
            isr=numbers(command.options["isr"]) if "isr" in command.options else replicas,
            leader=replicas[0],
            leader_epoch=0,
            partition_epoch=0,
        )
        self.cluster.agree(TopicRecord(name="t", topic_id=TOPIC), partition)

    def do_set(self, command: Command) -> None:
        for name, value in command.options.items():
            self.cluster.agree(ConfigRecord(resource_type=2, resource_name="t", name=name, value=value))

    def do_elect(self, command: Command) -> list[str]:
        """By a decree that asks nobody: `isr` is what it makes of the ISR."""
        isr = numbers(command.options["isr"]) if "isr" in command.options else None
        self.cluster.agree(PartitionChangeRecord(partition_id=0, topic_id=TOPIC, leader=command.number(0), isr=isr))
        return self._tell()

    def do_fence(self, command: Command) -> list[str]:
        self.cluster.fence(command.number(0))
        return [*self._tell(), self._agreed()]

    def do_unfence(self, command: Command) -> list[str]:
        self.cluster.unfence(command.number(0))
        return [*self._tell(), self._agreed()]

    def do_decide(self, command: Command) -> list[str]:
        response = self.cluster.decide(command.number(0), drop=command.options.get("drop", ""))
        told = self._tell()
        if response is None:
            return told
        if response.error_code:
            return [f"decided: {ErrorCode(response.error_code).name}", *told]
        (data,) = response.topics[0].partitions
        what = ErrorCode(data.error_code).name if data.error_code else f"ISR {listed(data.isr)}"
        return [f"decided: {what}", *told]

    def do_deaf(self, command: Command) -> None:
        """A broker that does not hear what is agreed on."""
        self.cluster.deaf.add(command.number(0))

    def do_hear(self, command: Command) -> list[str]:
        self.cluster.deaf.discard(command.number(0))
        self.cluster.hear(command.number(0))
        return self._tell()

    def _agreed(self) -> str:
        state = self.cluster.image.topics["t"].partitions[0]
        elr = f", ELR {listed(state.elr)}" if state.elr else ""
        leader = state.leader if state.leader >= 0 else "nobody"
        return f"agreed: {leader} leads in epoch {state.leader_epoch}, ISR {listed(state.isr)}{elr}"

    # What producers and consumers do.

    def do_append(self, command: Command) -> list[str]:
        count, acks = command.number(0, 1), ACKS[command.options.get("acks", "all")]
        leader = command.number("at", self.cluster.image.topics["t"].partitions[0].leader)
        settings = {}
        if "sequence" in command.options:
            settings = {"producer_id": PRODUCER, "producer_epoch": 0, "base_sequence": command.number("sequence")}
        replicas = self.cluster[leader].replicas
        partition = replicas.find("t", 0)
        info = replicas.append(partition, batch(count, **settings), acks)
        name = f"{info.first_offset}..{info.last_offset}"
        line = f"append: {name}" + (" is a duplicate" if info.duplicate else "")
        if acks == -1:
            timeout_ms = command.milliseconds("timeout", 30_000)
            replicas.when_committed(
                partition, info, timeout_ms, lambda code: self.told.append(f"the producer of {name} is told {code.name}")
            )
        return [line, *self._tell()]

    def do_read(self, command: Command) -> str:
        """What a consumer sees."""
        buffers = self.cluster[command.number(0)].partition().read(command.number(1), 10**6, at_least_one=True)
        found = [header for buffer in buffers for header, _ in iter_batches(buffer)]
        return f"read: {found[0].base_offset}..{found[-1].last_offset}" if found else "read: nothing"

    # What replicas do.

    def do_fetch(self, command: Command) -> list[str]:
        node_id = command.number(0)
        lines = []
        for _ in range(command.number("times", 1)):
            carried = self.cluster.fetch(node_id, drop=command.options.get("drop", ""))
            lines += [f"{node_id} does not ask"] if carried is None else _fetched(node_id, *carried)
            lines += self._tell()
        return lines

    def do_catch_up(self, command: Command) -> list[str]:
        self.cluster.catch_up(*(int(word) for word in command.words))
        return self._tell()

    def do_crash(self, command: Command) -> None:
        self.cluster[command.number(0)].crash("torn" if command.flag("torn") else "process")

    def do_restart(self, command: Command) -> list[str]:
        """A new life, registered and not let in yet: `unclean` without the marker of an orderly stop."""
        node_id = command.number(0)
        replica = self.cluster[node_id]
        if replica.up:
            replica.crash("torn" if command.flag("torn") else "process")
        self.cluster.register(node_id, clean=not command.flag("unclean"))
        replica.start(self.cluster.agreed)
        return [*self._tell(), self._agreed()]

    def do_tick(self, command: Command) -> list[str]:
        self.cluster.tick(command.milliseconds(0))
        return self._tell()

    def do_full(self, command: Command) -> None:
        storage = self.cluster[command.number(0)].storage
        storage.capacity_bytes = storage.used_bytes + command.number("left")

    def do_room(self, command: Command) -> None:
        self.cluster[command.number(0)].storage.capacity_bytes = None

    def do_retain(self, command: Command) -> None:
        """Everything that may go has gone."""
        self.cluster[command.number(0)].replicas.apply_retention()

    def do_log(self, command: Command) -> str:
        log = self.cluster[command.number(0)].partition().log
        found = []
        for buffer in log.read(log.log_start_offset, 10**6, log.log_end_offset):
            for header, _ in iter_batches(buffer):
                found.append(f"{header.base_offset}..{header.last_offset}@{header.partition_leader_epoch}")
        return f"log of {command.number(0)}: " + (" ".join(found) or f"nothing from {log.log_start_offset} on")

    def do_state(self, command: Command) -> Iterator[str]:
        for node_id, replica in self.cluster.replicas.items():
            if not replica.up:
                yield f"{node_id} is down"
                continue
            partition = replica.replicas.partitions.get(("t", 0))
            if partition is None:
                continue
            role = "follows"
            if partition.leader is not None:
                pending = partition.leader.pending_isr
                role = f"leads, ISR {listed(partition.leader.isr)}" + (f" (wants {listed(pending)})" if pending else "")
            log = partition.log
            bounds = f"{log.log_start_offset}..{log.log_end_offset}"
            yield f"{node_id} {role}, epoch {partition.leader_epoch}: {bounds}, high watermark {partition.high_watermark}"


def _fetched(node_id: int, request: FetchRequest, response: FetchResponse | None) -> list[str]:
    """What was asked and answered, of the partition of the story."""
    asked = [(data.fetch_offset, data.last_fetched_epoch) for topic in request.topics for data in topic.partitions]
    words = f"{node_id} asks from {asked[0][0]} behind epoch {asked[0][1]}" if asked else f"{node_id} asks as before"
    if response is None:
        return [f"{words}: no answer"]
    if response.error_code:
        return [f"{words}: {ErrorCode(response.error_code).name}"]
    answers = [data for topic in response.responses for data in topic.partitions]
    return [f"{words}: {_answered(answers[0]) if answers else 'nothing new'}"]


def _answered(data: object) -> str:
    fields: Mapping[str, object] = {name: getattr(data, name) for name in ("error_code", "high_watermark", "records")}
    if fields["error_code"]:
        return ErrorCode(fields["error_code"]).name  # type: ignore[arg-type]
    diverging = data.diverging_epoch  # type: ignore[attr-defined]
    if diverging.epoch >= 0:
        return f"parts at the end of epoch {diverging.epoch}, {diverging.end_offset}"
    headers = [header for header, _ in iter_batches(fields["records"])]  # type: ignore[arg-type]
    got = f"gets {headers[0].base_offset}..{headers[-1].last_offset}" if headers else "gets nothing"
    return f"{got}, high watermark {fields['high_watermark']}"
