"""Fetch (API key 1), versions 4-18: read batches, or wait until there are some.

Sessions (KIP-227) decide what is asked for and what has to be told; a request waits in the lists of its partitions until
min_bytes are there or max_wait_ms is over. At least one whole batch is given when there is any (KIP-74).
Not done: fetch by followers, read_committed beyond the high watermark (there are no transactions), preferred replicas.
"""

import uuid

from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.fetch import FetchableTopicResponse, FetchRequest, FetchResponse, LeaderIdAndEpoch, PartitionData
from broker.server.fetch_sessions import FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, PartitionKey, Session, Wanted
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext

MAX_WAIT_MS = 5 * 60_000


def handle(request: FetchRequest, context: RequestContext, broker: BrokerServices) -> FetchResponse | Deferred:
    if request.replica_id >= 0 or request.replica_state.replica_id >= 0:
        return FetchResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
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
        self._by_id = context.api_version >= 13
        self._session: Session | None = None
        self._session_id = NO_SESSION
        self._wanted = self._resolve()
        self._answered = False

    # Sessions.

    def _resolve(self) -> dict[PartitionKey, Wanted]:
        """What this request asks for, with what its session remembers."""
        request, sessions = self._request, self._broker.fetch_sessions
        named = self._named()
        if self._context.api_version < 7 or request.session_epoch == FINAL_EPOCH:
            sessions.close(request.session_id)
            return named
        now = self._broker.clock.monotonic_ms()
        if request.session_epoch == INITIAL_EPOCH:
            sessions.close(request.session_id)
            self._session_id = sessions.open(named, now) if named else NO_SESSION
            return named
        session = sessions.resume(request.session_id, request.session_epoch, now)
        self._session, self._session_id = session, session.session_id
        for key, wanted in named.items():
            known = session.partitions.get(key)
            if known is not None:
                wanted.told_high_watermark, wanted.told_log_start_offset = known.told_high_watermark, known.told_log_start_offset
            session.partitions[key] = wanted
        for topic in request.forgotten_topics_data:
            for index in topic.partitions:
                session.partitions.pop((topic.topic_id, topic.topic, index), None)
        return session.partitions

    def _named(self) -> dict[PartitionKey, Wanted]:
        return {
            (topic.topic_id, topic.topic, p.partition): Wanted(
                p.fetch_offset, p.partition_max_bytes, p.current_leader_epoch, p.last_fetched_epoch
            )
            for topic in self._request.topics
            for p in topic.partitions
        }

    # Waiting.

    def start(self) -> FetchResponse | Deferred:
        data, size, urgent = self._read()
        wait_ms = min(self._request.max_wait_ms, MAX_WAIT_MS)
        if urgent or size >= self._request.min_bytes or wait_ms <= 0 or not self._wanted:
            self._answered = True
            return self._response(data)
        clock = self._broker.clock
        self._timer = clock.call_at(clock.monotonic_ms() + wait_ms, self._expire)
        self._wait()
        return DEFERRED

    def _wait(self) -> None:
        for topic_id, name, index in self._wanted:
            partition = self._broker.replicas.partitions.get((self._name(topic_id, name) or "", index))
            if partition is not None:
                partition.waiters[self._wake] = None

    def _wake(self) -> None:
        if self._answered:
            return
        data, size, urgent = self._read()
        if urgent or size >= self._request.min_bytes:
            self._finish(data)
        else:
            self._wait()

    def _expire(self) -> None:
        if not self._answered:
            self._finish(self._read()[0])

    def _finish(self, data: list[tuple[PartitionKey, PartitionData]]) -> None:
        self._answered = True
        self._timer.cancel()
        for topic_id, name, index in self._wanted:
            partition = self._broker.replicas.partitions.get((self._name(topic_id, name) or "", index))
            if partition is not None:
                partition.waiters.pop(self._wake, None)
        self._context.respond(self._response(data))

    # Reading.

    def _name(self, topic_id: object, name: str) -> str | None:
        return self._broker.replicas.name_of(topic_id) if self._by_id else name  # type: ignore[arg-type]

    def _read(self) -> tuple[list[tuple[PartitionKey, PartitionData]], int, bool]:
        """Every partition's data, the bytes of all, and whether an error makes waiting pointless."""
        left = min(self._request.max_bytes, self._broker.config.fetch_max_bytes)
        found, size, urgent = [], 0, False
        for key, wanted in self._wanted.items():
            data, count = self._read_partition(key, wanted, left, at_least_one=size == 0)
            found.append((key, data))
            size += count
            left = max(0, left - count)
            urgent = urgent or data.error_code != ErrorCode.NONE
        return found, size, urgent

    def _read_partition(self, key: PartitionKey, wanted: Wanted, left: int, *, at_least_one: bool) -> tuple[PartitionData, int]:
        topic_id, name, index = key
        data = PartitionData(partition_index=index, high_watermark=-1, records=b"", aborted_transactions=None)
        found = self._name(topic_id, name)
        try:
            if found is None:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
            partition = self._broker.replicas.find(found, index)
            partition.check_epoch(wanted.current_leader_epoch)
            buffers = partition.read(wanted.fetch_offset, min(wanted.max_bytes, left), at_least_one=at_least_one)
        except KafkaError as error:
            data.error_code = error.code
            if error.code in (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH):
                data.current_leader = self._leader(found or "", index)
            return data, 0
        data.records = buffers or b""
        data.high_watermark = data.last_stable_offset = partition.high_watermark
        data.log_start_offset = partition.log.log_start_offset
        return data, sum(map(len, buffers))

    def _leader(self, name: str, index: int) -> LeaderIdAndEpoch:
        topic = self._broker.metadata.image.topics.get(name)
        partition = topic.partitions.get(index) if topic is not None else None
        if partition is None:
            return LeaderIdAndEpoch()
        return LeaderIdAndEpoch(leader_id=partition.leader, leader_epoch=partition.leader_epoch)

    # Answering.

    def _response(self, found: list[tuple[PartitionKey, PartitionData]]) -> FetchResponse:
        """All partitions in a full fetch; in an incremental one only those with news."""
        topics: dict[tuple[uuid.UUID, str], FetchableTopicResponse] = {}
        for key, data in found:
            wanted = self._wanted[key]
            news = data.error_code or data.records or data.high_watermark != wanted.told_high_watermark
            if self._session is not None and not news and data.log_start_offset == wanted.told_log_start_offset:
                continue
            wanted.told_high_watermark, wanted.told_log_start_offset = data.high_watermark, data.log_start_offset
            topic_id, name, _ = key
            topic = topics.get((topic_id, name))
            if topic is None:
                topic = FetchableTopicResponse(topic=name, topic_id=topic_id)
                topics[topic_id, name] = topic
            topic.partitions.append(data)
        return FetchResponse(session_id=self._session_id, responses=list(topics.values()))
