"""A projection in Valkey: one JSON document per aggregate, sorted indexes, and the positions, changed in one transaction.

Invariants: a document changes only together with the position of the record that changed it, and only when the position was
the expected one, so nothing is applied twice by two consumers, skipped, or lost with an emptied or older Valkey. Everything
lives in a generation; a rebuilt one takes the place of the live one by one write of the pointer.
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis, RedisError, WatchError
from redis.client import Pipeline

from servicekit.consuming.positions import DependencyDown, Partition, PositionMoved, Step

TIMEOUT_SECONDS = 2.0
# Another writer of the same document comes in between: so often it is tried again.
TRIES_MAX = 20
YIELD_SECONDS = 0.002
DELETE_BATCH = 500
Document = dict[str, Any]


@dataclass
class Change:
    """What an event does: the aggregate's new document and its places in sorted indexes (None: it has none)."""

    document: Document
    # Index name -> score or None.
    places: dict[str, float | None] = field(default_factory=dict)


Decide = Callable[[Document | None], Change | None]


def connect(url: str) -> "Redis":
    """A client that gives up soon: whoever waits for Valkey decides what to do then."""
    return Redis.from_url(
        url, decode_responses=True, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry_on_timeout=False
    )


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise DependencyDown(f"valkey: {error}") from error


class ProjectionStore:
    """See the module. `generation`: a fixed one while it is being built; else the live one, whatever it is at the moment."""

    def __init__(self, client: "Redis", name: str, generation: int | None = None) -> None:
        self._client = client
        self._name = name
        self._generation = generation

    # Names.

    @property
    def _pointer(self) -> str:
        return f"{self._name}:generation"

    def live_generation(self) -> int:
        with _guarded():
            return int(self._client.get(self._pointer) or 1)

    def _prefix(self) -> str:
        generation = self._generation if self._generation is not None else self.live_generation()
        return f"{self._name}:{generation}"

    @staticmethod
    def _position_key(prefix: str, partition: Partition) -> str:
        return f"{prefix}:position:{partition[0]}:{partition[1]}"

    # Writing.

    def begin(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The stored positions; those that have none begin at 0."""
        with _guarded():
            prefix = self._prefix()
            keys = {partition: self._position_key(prefix, partition) for partition in partitions}
            pipe = self._client.pipeline(transaction=True)
            for key in keys.values():
                pipe.setnx(key, 0)
                pipe.get(key)
            answers = pipe.execute()
        return {partition: int(answers[2 * number + 1]) for number, partition in enumerate(keys)}

    def positions(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        """The stored positions as they are; None where there is none."""
        if not partitions:
            return {}
        with _guarded():
            prefix = self._prefix()
            found = self._client.mget([self._position_key(prefix, partition) for partition in partitions])
        return {partition: int(text) if text is not None else None for partition, text in zip(partitions, found, strict=True)}

    def apply(self, step: Step, aggregate_id: str, decide: Decide, event_ms: int) -> None:
        """Change a document and take the step. PositionMoved when the position is not the expected one."""
        self._transact(aggregate_id, decide, step, event_ms)

    def skip(self, step: Step) -> None:
        """Take the step without any effect."""
        self._transact(None, None, step, None)

    def merge(self, aggregate_id: str, decide: Decide) -> Document | None:
        """Change a document apart from any record: what an origin answered. The document as it is afterwards."""
        return self._transact(aggregate_id, decide, None, None)

    def _transact(
        self, aggregate_id: str | None, decide: Decide | None, step: Step | None, event_ms: int | None
    ) -> Document | None:
        with _guarded():
            for tried in range(TRIES_MAX):
                with self._client.pipeline(transaction=True) as pipe:
                    try:
                        return self._attempt(pipe, aggregate_id, decide, step, event_ms)
                    except WatchError:
                        # Two that overtake each other for ever are parted by chance.
                        time.sleep(random.random() * YIELD_SECONDS * tried)
        raise DependencyDown(f"valkey: {TRIES_MAX} transactions in a row were overtaken by others")

    def _attempt(
        self, pipe: "Pipeline", aggregate_id: str | None, decide: Decide | None, step: Step | None, event_ms: int | None
    ) -> Document | None:
        prefix = self._prefix()
        document_key = f"{prefix}:document:{aggregate_id}"
        position_key = self._position_key(prefix, (step.topic, step.partition)) if step is not None else self._pointer
        pipe.watch(self._pointer, document_key, position_key)  # type: ignore[no-untyped-call]
        # Inside of a watch, answers come at once.
        pointer, text, position = cast("list[str | None]", pipe.mget(self._pointer, document_key, position_key))
        if self._generation is None and f"{self._name}:{int(pointer or 1)}" != prefix:
            raise WatchError("the projection was swapped")
        if step is not None and (position is None or int(position) != step.expected):
            raise PositionMoved(f"{step.topic}-{step.partition}: stored {position}, expected {step.expected}")
        document = json.loads(text) if text is not None else None
        change = decide(document) if decide is not None else None
        pipe.multi()
        if change is not None and aggregate_id is not None:
            self._write(pipe, prefix, aggregate_id, change)
        if step is not None:
            pipe.set(position_key, step.next)
        if event_ms is not None:
            pipe.set(f"{prefix}:last-event-ms", event_ms)
        pipe.execute()
        return change.document if change is not None else document

    @staticmethod
    def _write(pipe: "Pipeline", prefix: str, aggregate_id: str, change: Change) -> None:
        # One form for one content: a rebuilt projection can be compared byte by byte.
        text = json.dumps(change.document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        pipe.set(f"{prefix}:document:{aggregate_id}", text)
        member = _member(aggregate_id)
        for index, score in change.places.items():
            if score is None:
                pipe.zrem(f"{prefix}:index:{index}", member)
            else:
                pipe.zadd(f"{prefix}:index:{index}", {member: score})

    def mark_end(self, partition: Partition) -> None:
        """The consumer has seen the end of a partition: from now on the projection knows what there is."""
        with _guarded():
            self._client.set(f"{self._prefix()}:end:{partition[0]}:{partition[1]}", 1)

    # Reading.

    def documents(self, aggregate_ids: Sequence[str]) -> list[Document | None]:
        if not aggregate_ids:
            return []
        with _guarded():
            prefix = self._prefix()
            texts = self._client.mget([f"{prefix}:document:{one}" for one in aggregate_ids])
        return [json.loads(text) if text is not None else None for text in texts]

    def newest(self, index: str, *, before: str | None, limit: int) -> list[str]:
        """Ids of an index whose scores are all 0, the largest first, those below `before`."""
        with _guarded():
            top = "+" if before is None else f"({_member(before)}"
            found = self._client.zrevrangebylex(f"{self._prefix()}:index:{index}", top, "-", start=0, num=limit)
        return [str(int(member)) for member in found]

    def best(self, index: str, limit: int) -> list[tuple[str, int]]:
        """(id, score), the highest score first, and of equal ones the larger id first."""
        with _guarded():
            answer = self._client.zrevrange(f"{self._prefix()}:index:{index}", 0, limit - 1, withscores=True)
        found = cast("list[tuple[str, float]]", answer)
        return [(str(int(member)), int(score)) for member, score in found]

    def has_seen_end(self, partitions: Iterable[Partition]) -> bool:
        with _guarded():
            prefix = self._prefix()
            marks = self._client.mget([f"{prefix}:end:{topic}:{number}" for topic, number in partitions])
        return all(mark is not None for mark in marks)

    def age_ms(self) -> int | None:
        """How long ago the last applied event happened; None when there was none."""
        with _guarded():
            last = self._client.get(f"{self._prefix()}:last-event-ms")
        return None if last is None else max(0, time.time_ns() // 1_000_000 - int(last))

    # Generations.

    def next_generation(self) -> "ProjectionStore":
        """An empty one beside the live one."""
        generation = self.live_generation() + 1
        built = ProjectionStore(self._client, self._name, generation)
        built.clear()
        return built

    def swap(self) -> int:
        """Make this generation the live one; the number of the one before."""
        assert self._generation is not None
        before = self.live_generation()
        with _guarded():
            self._client.set(self._pointer, self._generation)
        return before

    def clear(self) -> None:
        """Remove everything of this generation."""
        assert self._generation is not None
        with _guarded():
            batch: list[str] = []
            for key in self._client.scan_iter(match=f"{self._name}:{self._generation}:*", count=DELETE_BATCH):
                batch.append(key)
                if len(batch) >= DELETE_BATCH:
                    self._client.unlink(*batch)
                    batch.clear()
            if batch:
                self._client.unlink(*batch)

    def generation(self, number: int) -> "ProjectionStore":
        return ProjectionStore(self._client, self._name, number)


def _member(aggregate_id: str) -> str:
    """Ids in an index have one length, so that their order as texts is their order as numbers."""
    return f"{int(aggregate_id):019d}"
