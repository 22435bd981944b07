"""All partitions on this node: led or followed as the metadata says, found by name or id, waited for.

Appends and high watermarks wake waiters once per turn of the loop, however many there were. Leaves out: what a leader or a
follower does (`partition`), who the ISR is (`leader_state`, `isr_updates`), how records come from a leader (`fetcher`).
A partition that a full disk leaves no room for is answered with KAFKA_STORAGE_ERROR and made as soon as there is some. Many new
ones are made some at a time, so that heartbeats go on meanwhile.
Source: ``ReplicaManager``.
"""

import errno
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping

from broker.clock.port import Clock, Timer
from broker.config import BrokerConfig, TopicConfig
from broker.log.failure import DISK_FULL, LogDirFailure
from broker.log.log_manager import LogManager
from broker.log.partition_log import AppendInfo
from broker.log.properties import DirectoryError
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE, MetadataImage, PartitionImage, TopicImage
from broker.metadata.topic_names import CONSUMER_OFFSETS
from broker.protocol.errors import ErrorCode, KafkaError
from broker.replication.fetcher import ReplicaFetcher
from broker.replication.isr_updates import ControllerChannel, IsrUpdates
from broker.replication.leader_state import NO_BROKER_EPOCH
from broker.replication.news import News
from broker.replication.partition import ALL_REPLICAS, EpochEnd, FollowerFetch, Limits, Partition
from broker.replication.waiting import SWEEP_MS, OnAnswer
from broker.storage.port import Buffer

log = logging.getLogger("broker.replication")
# How long one turn of the loop may make new partitions: on a busy disk each takes milliseconds.
MAKING_MS = 10
# A deadline that does not come.
NEVER_MS = 2**62
Key = tuple[str, int]
MakeFetcher = Callable[[int, str, int], ReplicaFetcher]


class ReplicaManager:
    """See the module. `apply` is subscribed to the metadata publisher; `make_fetcher(leader, host, port)` opens nothing yet."""

    def __init__(
        self,
        config: BrokerConfig,
        clock: Clock,
        logs: LogManager,
        controller: ControllerChannel,
        *,
        own_epoch: Callable[[], int],
        make_fetcher: MakeFetcher,
    ) -> None:
        self._config = config
        self._clock = clock
        self._logs = logs
        self._make_fetcher = make_fetcher
        self._isr_updates = IsrUpdates(config.node_id, clock, controller, own_epoch, self._settled)
        self.partitions: dict[Key, Partition] = {}
        self.topic_configs: dict[str, TopicConfig] = {}
        self._image = MetadataImage()
        self._dynamic: Mapping[str, str] = {}
        self._begun = False
        # Partitions of the image that wait for room on the disk.
        self._unmade: dict[Key, None] = {}
        # Those that wait for another turn, and when this one began to make some; None when it did not.
        self._later: dict[Key, None] = {}
        self._making_since_ms: int | None = None
        self._fetchers: dict[int, ReplicaFetcher] = {}
        self._fetcher_addresses: dict[int, tuple[str, int]] = {}
        # By the ids of followers.
        self._news: dict[int, News] = {}
        # Whom to wake at the end of this turn: consumers, followers.
        self._woken_consumers: dict[Partition, None] = {}
        self._woken_followers: dict[Partition, None] = {}
        # Partitions with produce requests that wait.
        self._waited_for: dict[Partition, None] = {}
        self._sweep_timer: Timer | None = None
        self._lag_timer: Timer | None = None

    def start(self) -> None:
        self._schedule_lag_check()

    def stop(self) -> None:
        """Fetch no more and answer everybody who waits."""
        for timer in (self._sweep_timer, self._lag_timer):
            if timer is not None:
                timer.cancel()
        for fetcher in self._fetchers.values():
            fetcher.close()
        self._fetchers.clear()
        self._later.clear()
        for partition in self.partitions.values():
            partition.produces.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    # Metadata.

    def apply(self, before: MetadataImage, after: MetadataImage) -> None:
        """Follow a new image: logs for new partitions, none for deleted topics, roles and settings for all.

        The first one is all that was agreed on before this node started: what else is on its disk is set aside.
        """
        self._image = after
        dynamic = dynamic_broker_settings(after, self._config.node_id)
        for name, topic in before.topics.items():
            kept = after.topics.get(name)
            if kept is None or kept.topic_id != topic.topic_id:
                self._forget(topic)
        for name, topic in after.topics.items():
            changed = after.config(TOPIC_RESOURCE, name) != before.config(TOPIC_RESOURCE, name)
            if topic is not before.topics.get(name) or changed or dynamic != self._dynamic:
                self._update(topic, after, dynamic)
        self._dynamic = dynamic
        self._check_fetchers()
        if not self._begun:
            self._begun = True
            self._logs.set_strays_aside({(topic.name, index) for topic in after.topics.values() for index in topic.partitions})

    def _update(self, topic: TopicImage, image: MetadataImage, dynamic: Mapping[str, str]) -> None:
        config = TopicConfig.from_overrides(self._config, image.config(TOPIC_RESOURCE, topic.name), dynamic)
        self.topic_configs[topic.name] = config
        for index in topic.partitions:
            self._update_partition(topic, index, config)

    def _update_partition(self, topic: TopicImage, index: int, config: TopicConfig) -> None:
        state = topic.partitions[index]
        partition = self.partitions.get((topic.name, index))
        if partition is None:
            if self._config.node_id not in state.replicas:
                return
            partition = self._make_in_turn(topic, index, config)
            if partition is None:
                return
        if partition.log.config is not config:
            partition.log.configure(config)
            partition.limits.min_insync_replicas = config.min_insync_replicas
        if state is not partition.image:
            self._change_role(partition, state)

    def _make_in_turn(self, topic: TopicImage, index: int, config: TopicConfig) -> Partition | None:
        """None when it has to wait. At the start nothing does, and group coordinators do not wait for their partitions."""
        key = (topic.name, index)
        if self._making_since_ms is None:
            self._making_since_ms = self._clock.monotonic_ms()
            self._clock.call_soon(self._make_rest)
        if self._is_out_of_time() and self._begun and topic.name != CONSUMER_OFFSETS:
            self._later[key] = None
            return None
        self._later.pop(key, None)
        return self._make(topic, index, config)

    def _is_out_of_time(self) -> bool:
        """Whether this turn has made partitions for long enough."""
        return self._making_since_ms is not None and self._clock.monotonic_ms() - self._making_since_ms >= MAKING_MS

    def _make_rest(self) -> None:
        """Another turn: go on with those that wait for it."""
        self._making_since_ms = None
        if self._later:
            self._try_again(self._later)

    def _try_again(self, keys: Iterable[Key]) -> None:
        """Make partitions that could not be made before."""
        for name, index in list(keys):
            if self._is_out_of_time():
                break
            self._update_partition(self._image.topics[name], index, self.topic_configs[name])
        self._check_fetchers()

    def _make(self, topic: TopicImage, index: int, config: TopicConfig) -> Partition | None:
        """A partition with its log; None when there is no room for it now, or the log directory has failed."""
        key = (topic.name, index)
        try:
            made = self._logs.get_or_create(topic.name, index, topic.topic_id, config)
        except OSError as error:
            if error.errno not in DISK_FULL:
                self._logs.fail(LogDirFailure(f"{topic.name}-{index}", error))
            elif key not in self._unmade:
                log.error("%s-%d cannot be made now: %s", *key, error)
            self._unmade[key] = None
            return None
        except DirectoryError as error:
            self._logs.fail(LogDirFailure(f"{topic.name}-{index}", OSError(errno.EIO, str(error))))
            self._unmade[key] = None
            return None
        self._unmade.pop(key, None)
        partition = self.partitions[key] = Partition(
            topic.name,
            topic.topic_id,
            index,
            made,
            self._config.node_id,
            limits=Limits(config.min_insync_replicas, self._config.replica_lag_time_max_ms),
            eligible=self._is_eligible,
            high_watermark=self._logs.high_watermarks.get(key, 0),
        )
        return partition

    def _change_role(self, partition: Partition, state: PartitionImage) -> None:
        before = partition.image
        epoch_changed = before is None or before.leader_epoch != state.leader_epoch
        if state.leader == self._config.node_id:
            self._stop_fetching(partition)
            partition.lead(state, self._clock.monotonic_ms())
            self._progressed(partition)
            self._hurry_followers(partition)
        else:
            partition.follow(state)
            if epoch_changed:
                self._stop_fetching(partition)
        if epoch_changed and before is not None:
            # Whoever waits hears of the new leader.
            self._wake_soon(self._woken_consumers, partition)
            self._wake_soon(self._woken_followers, partition)

    def _forget(self, topic: TopicImage) -> None:
        config = self.topic_configs.pop(topic.name, None)
        delay = config.file_delete_delay_ms if config is not None else 0
        for index in topic.partitions:
            self._unmade.pop((topic.name, index), None)
            self._later.pop((topic.name, index), None)
            partition = self.partitions.pop((topic.name, index), None)
            if partition is not None:
                self._stop_fetching(partition)
                partition.close()
                self._logs.delete(topic.name, index, delay)
                # Not now: who is woken may ask for what the new image has and this node does not have yet.
                self._wake_soon(self._woken_consumers, partition)
                self._wake_soon(self._woken_followers, partition)

    def _is_eligible(self, broker_id: int, broker_epoch: int) -> bool:
        """Whether the metadata lets a replica into an ISR (KIP-841, KIP-903); -1: it does not say its epoch."""
        known = self._image.brokers.get(broker_id)
        if known is None or known.fenced or known.in_controlled_shutdown:
            return False
        return broker_epoch in (NO_BROKER_EPOCH, known.epoch)

    # Fetchers.

    def _stop_fetching(self, partition: Partition) -> None:
        for fetcher in self._fetchers.values():
            fetcher.remove(partition)

    def _check_fetchers(self) -> None:
        """One fetcher per leader that can be reached; each followed partition is with its leader's."""
        wanted: dict[int, list[Partition]] = {}
        for partition in self.partitions.values():
            if not partition.is_leader and partition.image is not None and partition.image.leader >= 0:
                wanted.setdefault(partition.image.leader, []).append(partition)
        for leader_id, address in list(self._fetcher_addresses.items()):
            if leader_id not in wanted or self._address(leader_id) != address:
                self._fetchers.pop(leader_id).close()
                del self._fetcher_addresses[leader_id]
        for leader_id, partitions in sorted(wanted.items()):
            fetcher = self._fetchers.get(leader_id) or self._open_fetcher(leader_id)
            if fetcher is not None:
                fetcher.follow(partitions)

    def _address(self, leader_id: int) -> tuple[str, int] | None:
        known = self._image.brokers.get(leader_id)
        endpoint = known.endpoint(self._config.inter_broker_listener_name) if known is not None else None
        return (endpoint.host, endpoint.port) if endpoint is not None else None

    def _open_fetcher(self, leader_id: int) -> ReplicaFetcher | None:
        address = self._address(leader_id)
        if address is None:
            return None
        self._fetcher_addresses[leader_id] = address
        self._fetchers[leader_id] = self._make_fetcher(leader_id, *address)
        return self._fetchers[leader_id]

    # Lookup.

    def name_of(self, topic_id: uuid.UUID) -> str | None:
        return self._image.names_by_id.get(topic_id)

    def find(self, topic: str, index: int) -> Partition:
        """KafkaError: UNKNOWN_TOPIC_OR_PARTITION when there is no such partition, NOT_LEADER_OR_FOLLOWER when it is elsewhere."""
        partition = self.partitions.get((topic, index))
        if partition is None:
            if (topic, index) in self._unmade:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no room for {topic}-{index} on the disk")
            known = self._image.topics.get(topic)
            elsewhere = known is not None and index in known.partitions
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER if elsewhere else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return partition

    # Appending.

    def append(self, partition: Partition, batch: Buffer, required_acks: int) -> AppendInfo:
        """Append for a client. KafkaError when it is refused. Whether it is committed, `when_committed` says."""
        info = partition.append(batch, required_acks, self._clock.monotonic_ms(), self._clock.wall_ms())
        self._appended(partition)
        return info

    def append_own(self, partition: Partition, batch: Buffer) -> AppendInfo:
        """Append what this node made itself, to be acknowledged by all."""
        info = partition.append_own(batch, ALL_REPLICAS, self._clock.monotonic_ms(), self._clock.wall_ms())
        self._appended(partition)
        return info

    def _appended(self, partition: Partition) -> None:
        partition.mark()
        if partition.followers or partition.news:
            self._wake_soon(self._woken_followers, partition)
        if partition.leader is not None and len(partition.news) < len(partition.leader.followers):
            self._hurry_followers(partition)
        self._progressed(partition)

    def _hurry_followers(self, partition: Partition) -> None:
        """Answer the fetches of followers that wait without asking for this partition: by now they may know that they should."""
        for replica_id in partition.leader.followers if partition.leader is not None else ():
            news = self._news.get(replica_id)
            if news is not None and news.answer is not None and replica_id not in partition.news:
                self._clock.call_soon(news.answer)
                news.answer = None

    def when_committed(self, partition: Partition, info: AppendInfo, timeout_ms: int, answer: OnAnswer) -> None:
        """`answer(NONE)` when the records are below the high watermark: at once, or when the followers have them."""
        end_offset = info.last_offset + 1
        if partition.high_watermark >= end_offset:
            answer(ErrorCode.NONE)
            return
        partition.produces.add(end_offset, self._clock.monotonic_ms() + timeout_ms, answer)
        self._waited_for[partition] = None
        if self._sweep_timer is None:
            self._schedule_sweep()

    def on_commit(self, partition: Partition, end_offset: int, committed: Callable[[], None]) -> None:
        """Call `committed` when everything below `end_offset` is; never when this node stops to lead before."""
        if partition.high_watermark >= end_offset:
            committed()
        else:
            partition.commits.add(end_offset, NEVER_MS, lambda code: committed() if code is ErrorCode.NONE else None)

    def _schedule_sweep(self) -> None:
        self._sweep_timer = self._clock.call_at(self._clock.monotonic_ms() + SWEEP_MS, self._sweep)

    def _sweep(self) -> None:
        """Answer produce requests whose time is over."""
        now = self._clock.monotonic_ms()
        for partition in list(self._waited_for):
            partition.produces.expire(now)
            if not partition.produces:
                del self._waited_for[partition]
        self._sweep_timer = None
        if self._waited_for:
            self._schedule_sweep()

    # Followers.

    def read_as_follower(
        self, partition: Partition, fetch: FollowerFetch, leader_epoch: int, max_bytes: int, *, at_least_one: bool
    ) -> list[Buffer] | EpochEnd:
        """What a follower lacks, or where its log differs. KafkaError."""
        leader = partition.leading(leader_epoch)
        follower = leader.followers.get(fetch.replica_id)
        if follower is None:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{fetch.replica_id} is no replica of {partition}")
        known = self._image.brokers.get(fetch.replica_id)
        registered = known.epoch if known is not None else NO_BROKER_EPOCH
        if follower.is_stale(fetch.broker_epoch) or NO_BROKER_EPOCH < fetch.broker_epoch < registered:
            why = f"{fetch.replica_id} fetches in broker epoch {fetch.broker_epoch}, which is over"
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, why)
        return partition.read_as_follower(fetch, max_bytes, at_least_one=at_least_one)

    def observe_follower(self, partition: Partition, fetch: FollowerFetch) -> None:
        """A fetch was served: the follower has all before its offset. Its log agrees with this one up to there."""
        leader = partition.leader
        follower = leader.followers.get(fetch.replica_id) if leader is not None else None
        if leader is None or follower is None:
            return
        now = self._clock.monotonic_ms()
        follower.observe_fetch(fetch.offset, fetch.log_start_offset, fetch.broker_epoch, partition.log.log_end_offset, now)
        if partition.advance(now):
            self._progressed(partition)
        isr = leader.expanded_isr(fetch.replica_id, partition.high_watermark)
        if isr is not None:
            self._isr_updates.propose(partition, isr)

    def news_of(self, replica_id: int) -> News:
        """What a follower that begins a session is to be told; whoever had this id before is not told any more."""
        news = self._news[replica_id] = News()
        return news

    def is_told(self, replica_id: int, news: News) -> bool:
        """Whether a follower's session is the one that is kept informed."""
        return self._news.get(replica_id) is news

    def rest_if_quiet(self, partition: Partition, replica_id: int, news: News, offset: int, told: tuple[int, int]) -> None:
        """A fetch got nothing of a partition: it is looked at again when there is news. `told`: high watermark, log start."""
        leader = partition.leader
        now = (partition.high_watermark, partition.log.log_start_offset)
        if leader is None or replica_id not in leader.followers:
            return
        # Quiet or not, the fetch that waits is woken by what is appended from now on.
        partition.news[replica_id] = news
        if replica_id in leader.isr and offset == partition.log.log_end_offset and told == now:
            leader.followers[replica_id].quiet = news
            news.changed.pop((partition.topic_id, "", partition.index), None)

    def _schedule_lag_check(self) -> None:
        interval_ms = max(1, self._config.replica_lag_time_max_ms // 2)
        self._lag_timer = self._clock.call_at(self._clock.monotonic_ms() + interval_ms, self._check_lag)

    def _check_lag(self) -> None:
        """Take those out of ISRs who fell behind."""
        now = self._clock.monotonic_ms()
        for partition in self.partitions.values():
            if partition.leader is not None:
                isr = partition.leader.shrunk_isr(partition.log.log_end_offset, now)
                if isr is not None:
                    self._isr_updates.propose(partition, isr)
        self._schedule_lag_check()

    def _settled(self, partition: Partition) -> None:
        """An ISR changed."""
        partition.advance(self._clock.monotonic_ms())
        self._progressed(partition)

    # Waking.

    def _progressed(self, partition: Partition) -> None:
        """The high watermark may have moved, or the ISR changed."""
        partition.answer_produces()
        if partition.consumers:
            self._wake_soon(self._woken_consumers, partition)

    def _wake_soon(self, woken: dict[Partition, None], partition: Partition) -> None:
        if not self._woken_consumers and not self._woken_followers:
            self._clock.call_soon(self._wake_all)
        woken[partition] = None

    def _wake_all(self) -> None:
        consumers, self._woken_consumers = self._woken_consumers, {}
        followers, self._woken_followers = self._woken_followers, {}
        waiters = {waiter: None for partition in followers for waiter in partition.take_followers()}
        waiters |= {waiter: None for partition in consumers for waiter in partition.take_consumers()}
        for waiter in waiters:
            waiter()

    # Upkeep.

    def checkpoint_high_watermarks(self) -> None:
        if self._unmade:
            self._try_again(self._unmade)
        self._logs.write_high_watermarks({key: partition.high_watermark for key, partition in self.partitions.items()})

    def apply_retention(self) -> None:
        self._logs.apply_retention(self._high_watermark_of)
        for partition in self.partitions.values():
            partition.mark()

    def _high_watermark_of(self, key: Key) -> int:
        partition = self.partitions.get(key)
        return partition.high_watermark if partition is not None else 0


def dynamic_broker_settings(image: MetadataImage, node_id: int) -> Mapping[str, str]:
    """Broker settings changed at run time: those of all brokers, and over them those of this one."""
    return {**image.config(BROKER_RESOURCE, ""), **image.config(BROKER_RESOURCE, str(node_id))}
