"""Rebalances under whatever members do: seeded walks with the invariants checked after every event.

Each seed lets members of one group join, sync, live, leave, come again under their instance ids and fall silent, while
appends fail now and then and the broker dies. A failing seed is in the name of the test.
"""

import random
from collections import Counter
from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup, GroupState
from broker.group.manager import GroupManager
from broker.group.membership import Client
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.heartbeat import HeartbeatRequest
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from broker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

from .offsets_log import MemoryOffsetsLog
from .stage import SETTINGS, subscription

STEPS = 400
CLIENTS = 6
LONG_MS = 60 * 60_000
RETRY = (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID)


class Walk:
    """One seeded history of one group."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = SimulatedClock()
        self.log = MemoryOffsetsLog()
        self.ids: dict[int, str] = {}
        self.generations: dict[int, int] = {}
        self.asked: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.requests = 0
        self.highest = 0
        # Who was given a share in a generation.
        self.owners: dict[tuple[int, str], int] = {}
        self.lives = 0
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.node = NodeClock(self.clock)
        config = BrokerConfig(SETTINGS | {"group.max.size": "5"})
        self.manager = GroupManager(self.node, Randomness(self.lives), config, self.log)
        self.manager.start()
        self.manager.on_elected(0)

    @property
    def group(self) -> ClassicGroup | None:
        return self.manager._coordinators[0].shard.groups.get("g")

    def reply(self, then: Any = lambda response: None) -> Any:
        """A reply that must be given exactly once, unless the broker dies."""
        number, life = self.requests, self.lives
        self.requests += 1
        self.asked[number] += 1

        def answer(response: Any) -> None:
            assert self.lives == life, "an answer of a dead broker"
            self.answered[number] += 1
            assert self.answered[number] == 1, "answered twice"
            then(response)

        return answer

    # What clients do. Even ones are static.

    def instance(self, client: int) -> str | None:
        return f"i{client}" if client % 2 == 0 else None

    def join(self, client: int) -> None:
        names = self.rng.choice([["a"], ["a", "b"], ["b", "a"]])
        request = JoinGroupRequest(
            group_id="g",
            session_timeout_ms=self.rng.choice([6000, 30_000]),
            rebalance_timeout_ms=self.rng.choice([5000, 20_000]),
            member_id="" if self.rng.random() < 0.1 else self.ids.get(client, ""),
            group_instance_id=self.instance(client),
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name=name, metadata=subscription(["t"])) for name in names],
        )

        def joined(response: Any) -> None:
            code = ErrorCode(response.error_code)
            if code in (ErrorCode.MEMBER_ID_REQUIRED, ErrorCode.NONE):
                self.ids[client] = response.member_id
            if code is ErrorCode.NONE:
                self.generations[client] = response.generation_id
                if response.members:
                    assert response.leader == response.member_id
                    assert response.member_id in {one.member_id for one in response.members}
            if code in RETRY:
                self.ids.pop(client, None)

        version = self.rng.choice([3, 9]) if self.instance(client) is None else 9
        self.manager.join_group(request, version, Client("c", "/h"), self.reply(joined))

    def sync(self, client: int) -> None:
        group = self.group
        members = list(group.members) if group is not None else []
        generation = self.generations.get(client, 0)
        request = SyncGroupRequest(
            group_id="g",
            generation_id=generation,
            member_id=self.ids.get(client, ""),
            group_instance_id=self.instance(client),
            assignments=[SyncGroupRequestAssignment(member_id=one, assignment=one.encode()) for one in members],
        )

        def synced(response: Any) -> None:
            if response.error_code == ErrorCode.NONE and response.assignment:
                share = bytes(response.assignment).decode()
                assert self.owners.setdefault((generation, share), client) == client, "two have the same share"

        self.manager.sync_group(request, self.reply(synced))

    def heartbeat(self, client: int) -> None:
        request = HeartbeatRequest(
            group_id="g", generation_id=self.generations.get(client, 0), member_id=self.ids.get(client, "")
        )
        self.manager.heartbeat(request, self.reply())

    def leave(self, client: int) -> None:
        by_instance = self.instance(client) is not None and self.rng.random() < 0.5
        identity = MemberIdentity(
            member_id="" if by_instance else self.ids.get(client, "stranger"), group_instance_id=self.instance(client)
        )
        self.manager.leave_group(LeaveGroupRequest(group_id="g", members=[identity]), 5, self.reply())

    # What happens.

    def step(self) -> None:
        client = self.rng.randrange(CLIENTS)
        chance = self.rng.random()
        if chance < 0.30:
            self.join(client)
        elif chance < 0.60:
            self.sync(client)
        elif chance < 0.80:
            self.heartbeat(client)
        elif chance < 0.85:
            self.leave(client)
        elif chance < 0.98:
            self.clock.run_until(self.clock.now_ms + self.rng.choice([10, 100, 1000, 3000]))
        elif chance < 0.99:
            self.log.refuse = self.rng.choice([ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.KAFKA_STORAGE_ERROR])
        else:
            self.crash()
        self.check()

    def crash(self) -> None:
        self.node.crash()
        self.asked = Counter(self.answered)
        self.highest = 0
        # A generation that was not written yet is given out again.
        self.owners.clear()
        self.start()

    def check(self) -> None:
        group = self.group
        if group is None:
            return
        members = group.members
        assert (group.leader_id in members) == bool(members)
        assert all(member.member_id == name for name, member in members.items())
        assert group.static_members == {one.instance_id: name for name, one in members.items() if one.instance_id is not None}
        assert set(group.pending_sync) <= set(members)
        assert not set(group.pending_members) & set(members)
        assert group.generation >= self.highest
        self.highest = group.generation
        if group.state is GroupState.EMPTY:
            assert not members
        elif group.state is not GroupState.PREPARING_REBALANCE:
            assert members
            assert group.protocol_name in ("a", "b")
        if group.state is GroupState.PREPARING_REBALANCE:
            assert group.join_timer is not None, "nothing would ever end this rebalance"
        else:
            assert not any(member.join_reply for member in members.values())
        if group.state is not GroupState.COMPLETING_REBALANCE:
            assert not any(member.sync_reply for member in members.values())
        waiting = [one for one in members.values() if one.session_timer is None and not one.is_waiting]
        assert not waiting, "somebody would never be timed out"

    def end(self) -> None:
        """Everybody falls silent: all that was asked is answered, nobody is left, and no timer but the one of expiry."""
        self.clock.run_until(self.clock.now_ms + LONG_MS)
        assert self.asked == self.answered
        group = self.group
        assert group is None or (group.state is GroupState.EMPTY and not group.pending_members)
        self.manager.close()
        assert self.clock.next_ms() is None


@pytest.mark.parametrize("seed", range(60))
def test_walk(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
    walk.end()
