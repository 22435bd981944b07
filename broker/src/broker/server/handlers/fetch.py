"""Fetch (API key 1), versions 4-18: read batches, or wait until there are some.

Sessions (KIP-227) decide what is asked for and what has to be told; a request waits in the lists of its partitions until
min_bytes are there or max_wait_ms is over. At least one whole batch is given when there is any (KIP-74). Partitions that do
not exist are told with the answer, but do not hurry it as long as there are others, as in Kafka. A follower reads up to the log
end offset, is told where its log parts from the leader's, and shows by what it asks for how far it has come; in a session only
partitions with news are looked at.
Not done: read_committed beyond the high watermark (there are no transactions), preferred replicas.
"""

import uuid
from collections.abc import Iterator

from broker.clock.port import Timer
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)
from broker.replication.news import News
from broker.replication.partition import EpochEnd, FollowerFetch, Partition, Waiter
from broker.server.fetch_sessions import FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, UNTOLD, PartitionKey, Session, Wanted
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext
from broker.storage.port import Buffer

MAX_WAIT_MS = 5 * 60_000
READ_COMMITTED = 1
SESSIONS_SINCE, TOPIC_IDS_SINCE, LEADERS_SINCE = 7, 13, 16
MISSING = (ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
WRONG_LEADER = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
Found = list[tuple[PartitionKey, PartitionData]]


def handle(request: FetchRequest, context: RequestContext, broker: BrokerServices) -> FetchResponse | Deferred:
    if context.listener_name in broker.config.controller_listener_names:
        # The metadata log alone is fetched from a controller.
        broker.quorum.handle_fetch(request, context)
        return DEFERRED
    try:
        fetch = Fetch(request, context, broker)
    except KafkaError as error:
        return FetchResponse(error_code=error.code)
    return fetch.start()


class Fetch:
    """One fetch request until it is answered."""

    def __init__(self, request: FetchRequest, context: RequestContext, broker: BrokerServices) -> None:
        self._request = request
        self._context = context
        self._broker = broker
        self._by_id = context.api_version >= TOPIC_IDS_SINCE
        # The node id of the follower that asks; -1 for a consumer.
        self._replica_id = max(request.replica_id, request.replica_state.replica_id)
        bound = request.max_bytes if self._replica_id >= 0 else broker.config.fetch_max_bytes
        self._max_bytes = min(request.max_bytes, bound)
        self._min_bytes = min(request.min_bytes, self._max_bytes)
        self._arrived_ms = broker.clock.monotonic_ms()
        self._session: Session | None = None
        self._session_id = NO_SESSION
        # Of a follower that fetches in a session.
        self._news: News | None = None
        self._wanted = self._resolve()
        # While it waits: the partitions with their epochs and sizes at the last look, and the bytes that were lacking then.
        self._seen: dict[Partition, tuple[int, int]] = {}
        self._lacking = 0
        self._timer: Timer | None = None

    # Sessions.

    def _resolve(self) -> dict[PartitionKey, Wanted]:
        """What this request asks for, with what its session remembers."""
        request, sessions = self._request, self._broker.fetch_sessions
        named = self._named()
        if self._context.api_version < SESSIONS_SINCE or request.session_epoch == FINAL_EPOCH:
            sessions.close(request.session_id)
            return named
        now = self._broker.clock.monotonic_ms()
        if request.session_epoch == INITIAL_EPOCH:
            sessions.close(request.session_id)
            self._session_id = sessions.open(named, now, by_id=self._by_id) if named else NO_SESSION
            return named
        session = sessions.resume(request.session_id, request.session_epoch, now, by_id=self._by_id)
        for key, wanted in named.items():
            known = session.partitions.get(key)
            # In another epoch it may have passed over what it was told last (`ReplicaFetcher._take`).
            if known is not None and known.current_leader_epoch == wanted.current_leader_epoch:
                wanted.told = known.told
            session.partitions[key] = wanted
        for topic in request.forgotten_topics_data:
            for index in topic.partitions:
                session.partitions.pop((topic.topic_id, topic.topic, index), None)
        if not session.partitions:
            sessions.close(session.session_id)
            return named
        self._session, self._session_id = session, session.session_id
        if self._replica_id >= 0 and self._by_id:
            self._news = self._changed(session, named)
        return session.partitions

    def _changed(self, session: Session, named: dict[PartitionKey, Wanted]) -> News:
        """What a follower's session has to look at: at first everything, then what it names and what is marked."""
        replicas = self._broker.replicas
        if session.news is None:
            session.news = replicas.news_of(self._replica_id)
            session.news.changed |= dict.fromkeys(session.partitions)
        elif not replicas.is_told(self._replica_id, session.news):
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        session.news.changed |= dict.fromkeys(named)
        return session.news

    def _named(self) -> dict[PartitionKey, Wanted]:
        return {
            (topic.topic_id, topic.topic, p.partition): Wanted(
                p.fetch_offset, p.partition_max_bytes, p.current_leader_epoch, p.last_fetched_epoch, p.log_start_offset
            )
            for topic in self._request.topics
            for p in topic.partitions
        }

    # Waiting.

    def start(self) -> FetchResponse | Deferred:
        found, size, urgent = self._read()
        if self._replica_id >= 0:
            self._observe(found)
        self._settle(found)
        wait_ms = min(self._request.max_wait_ms, MAX_WAIT_MS)
        if urgent or size >= self._min_bytes or wait_ms <= 0 or self._is_pointless(found):
            return self._response(found)
        clock = self._broker.clock
        self._timer = clock.call_at(clock.monotonic_ms() + wait_ms, self._finish)
        self._context.abandon = self._stop_waiting
        self._wait(size)
        return DEFERRED

    def _is_pointless(self, found: Found) -> bool:
        """Whether nothing can come."""
        return len(found) == len(self._wanted) and all(data.error_code in MISSING for _, data in found)

    def _settle(self, found: Found) -> None:
        """Partitions that a follower knows all about are not looked at again before there is news."""
        if self._news is None:
            return
        replicas = self._broker.replicas
        for key, data in found:
            partition = replicas.partitions.get((self._name(key[0], key[1]) or "", key[2]))
            if partition is not None and not data.error_code and not data.records and data.diverging_epoch.epoch < 0:
                wanted = self._wanted[key]
                replicas.rest_if_quiet(partition, self._replica_id, self._news, wanted.fetch_offset, wanted.told)
        self._news.fetched_ms = self._arrived_ms

    def _observe(self, found: Found) -> None:
        """What a follower asks for, it shows to have everything before of; unless its log differs from ours."""
        for key, data in found:
            partition = self._broker.replicas.partitions.get((self._name(key[0], key[1]) or "", key[2]))
            if partition is not None and not data.error_code and data.diverging_epoch.epoch < 0:
                self._broker.replicas.observe_follower(partition, self._as_follower(self._wanted[key]))

    def _as_follower(self, wanted: Wanted) -> FollowerFetch:
        epoch = self._request.replica_state.replica_epoch
        return FollowerFetch(self._replica_id, epoch, wanted.fetch_offset, wanted.last_fetched_epoch, wanted.log_start_offset)

    def _waiters(self, partition: Partition) -> dict[Waiter, None]:
        return partition.followers if self._replica_id >= 0 else partition.consumers

    def _partitions(self) -> Iterator[Partition]:
        for topic_id, name, index in self._wanted:
            partition = self._broker.replicas.partitions.get((self._name(topic_id, name) or "", index))
            if partition is not None:
                yield partition

    def _wait(self, size: int) -> None:
        """`size` bytes are there, and they are too few."""
        self._lacking = self._min_bytes - size
        if self._news is not None:
            self._news.wake, self._news.answer = self._wake, self._finish
            return
        self._seen = {partition: (partition.leader_epoch, self._known_size(partition)) for partition in self._partitions()}
        for partition in self._seen:
            self._waiters(partition)[self._wake] = None

    def _wake(self) -> None:
        if self._timer is None:
            return
        if any(self._is_gone(partition) for partition in self._seen):
            self._finish()
            return
        if self._news is None and self._lacking > 1 and self._grown() < self._lacking:
            for partition in self._seen:
                self._waiters(partition)[self._wake] = None
            return
        found, size, urgent = self._read()
        self._settle(found)
        if urgent or size >= self._min_bytes:
            self._answer(found)
        else:
            self._wait(size)

    def _is_gone(self, partition: Partition) -> bool:
        """Deleted, or led by another or in another epoch, since it is waited for."""
        current = self._broker.replicas.partitions.get((partition.topic, partition.index))
        return current is not partition or partition.leader_epoch != self._seen[partition][0]

    def _grown(self) -> int:
        """How many bytes came since the last look; so that who waits for many does not read them again with each append."""
        return sum(max(0, partition.log.size_bytes - size) for partition, (_, size) in self._seen.items())

    def _finish(self) -> None:
        """Answer with what there is, unless that has been done."""
        if self._timer is not None:
            self._answer(self._read()[0])

    def _answer(self, found: Found) -> None:
        self._stop_waiting()
        self._context.respond(self._response(found))

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._context.abandon = None
        if self._news is not None:
            self._news.wake = self._news.answer = None
        for partition in self._seen:
            self._waiters(partition).pop(self._wake, None)
        self._seen = {}

    # Reading.

    def _name(self, topic_id: uuid.UUID, name: str) -> str | None:
        return self._broker.replicas.name_of(topic_id) if self._by_id else name

    def _read(self) -> tuple[Found, int, bool]:
        """The data of every partition that is to be looked at, the bytes of all, and whether an error makes waiting pointless."""
        left = self._max_bytes
        found, size, urgent = [], 0, False
        for key, wanted in self._looked_at():
            data, count = self._read_partition(key, wanted, left, at_least_one=size == 0)
            found.append((key, data))
            size += count
            left = max(0, left - count)
            failed = data.error_code != ErrorCode.NONE and data.error_code not in MISSING
            urgent = urgent or failed or data.diverging_epoch.epoch >= 0
        return found, size, urgent

    def _looked_at(self) -> list[tuple[PartitionKey, Wanted]]:
        if self._news is None:
            return list(self._wanted.items())
        return [(key, self._wanted[key]) for key in self._news.changed if key in self._wanted]

    def _read_partition(self, key: PartitionKey, wanted: Wanted, left: int, *, at_least_one: bool) -> tuple[PartitionData, int]:
        topic_id, name, index = key
        partition = None
        data = PartitionData(partition_index=index, high_watermark=-1, records=b"", aborted_transactions=None)
        found = self._name(topic_id, name)
        try:
            if found is None:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
            partition = self._broker.replicas.find(found, index)
            max_bytes = max(0, min(wanted.max_bytes, left))
            buffers = self._read_from(partition, wanted, max_bytes, at_least_one=at_least_one)
        except KafkaError as error:
            data.error_code = error.code
            if partition is not None and error.code is ErrorCode.OFFSET_OUT_OF_RANGE and self._replica_id >= 0:
                # Kafka's followers ask once more, by ListOffsets.
                data.log_start_offset = partition.log.log_start_offset
            if error.code in WRONG_LEADER and self._context.api_version >= LEADERS_SINCE:
                leader_id, leader_epoch = self._broker.leader_of(found or "", index)
                data.current_leader = LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=leader_epoch)
            return data, 0
        if isinstance(buffers, EpochEnd):
            data.diverging_epoch = EpochEndOffset(epoch=buffers.epoch, end_offset=buffers.end_offset)
            buffers = []
        data.records = buffers or b""
        data.high_watermark = data.last_stable_offset = partition.high_watermark
        data.log_start_offset = partition.log.log_start_offset
        if self._request.isolation_level == READ_COMMITTED:
            data.aborted_transactions = []
        return data, sum(map(len, buffers))

    def _read_from(self, partition: Partition, wanted: Wanted, max_bytes: int, *, at_least_one: bool) -> list[Buffer] | EpochEnd:
        if self._replica_id >= 0:
            fetch = self._as_follower(wanted)
            return self._broker.replicas.read_as_follower(
                partition, fetch, wanted.current_leader_epoch, max_bytes, at_least_one=at_least_one
            )
        partition.leading(wanted.current_leader_epoch)
        return partition.read(wanted.fetch_offset, max_bytes, at_least_one=at_least_one)

    def _known_size(self, partition: Partition) -> int:
        """Bytes of the log that this reader sees; 0 when that is not known because replicas lag behind."""
        sees_all = self._replica_id >= 0 or partition.high_watermark == partition.log.log_end_offset
        return partition.log.size_bytes if sees_all else 0

    # Answering.

    def _response(self, found: Found) -> FetchResponse:
        """All partitions in a full fetch; in an incremental one only those with news."""
        topics: dict[tuple[uuid.UUID, str], FetchableTopicResponse] = {}
        for key, data in found:
            if not self._is_news(self._wanted[key], data):
                continue
            topic_id, name, _ = key
            topic = topics.get((topic_id, name))
            if topic is None:
                topic = topics[topic_id, name] = FetchableTopicResponse(topic=name, topic_id=topic_id)
            topic.partitions.append(data)
            if self._session is not None and data.records:
                self._session.serve_last(key)
        endpoints = self._leaders(found) if self._context.api_version >= LEADERS_SINCE else []
        return FetchResponse(session_id=self._session_id, responses=list(topics.values()), node_endpoints=endpoints)

    def _is_news(self, wanted: Wanted, data: PartitionData) -> bool:
        """Whether it must be said, and remember that it is. After an error everything is news (its high watermark is -1)."""
        now = (data.high_watermark, data.log_start_offset)
        diverges = data.diverging_epoch.epoch >= 0
        if self._session is not None and wanted.told == now and not (data.error_code or data.records or diverges):
            return False
        # A follower that cuts its log takes nothing else from this answer (`ReplicaFetcher._take`).
        wanted.told = UNTOLD if diverges else now
        return True

    def _leaders(self, found: Found) -> list[NodeEndpoint]:
        """Where the leaders are that the reader should have asked (KIP-951)."""
        nodes = {data.current_leader.leader_id for _, data in found if data.error_code in WRONG_LEADER}
        reachable = [self._broker.reachable(node, self._context.listener_name) for node in sorted(nodes)]
        return [
            NodeEndpoint(node_id=broker.broker_id, host=endpoint.host, port=endpoint.port, rack=broker.rack)
            for broker, endpoint in filter(None, reachable)
        ]
