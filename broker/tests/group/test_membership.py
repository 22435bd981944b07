"""Requests of members: bounds, ids, and what a refused one leaves behind. Conversations are in `testdata` (`test_manager`)."""

from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.group import membership as module
from broker.group.membership import Client, Membership
from broker.group.shard import Shard
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol

from .offsets_log import MemoryOffsetsLog
from .stage import SETTINGS, subscription


class Fixture:
    """The members of one shard on a virtual clock."""

    def __init__(self, **settings: str) -> None:
        config = BrokerConfig(SETTINGS | {name.replace("_", "."): value for name, value in settings.items()})
        self.clock = SimulatedClock()
        self.shard = Shard(0, MemoryOffsetsLog())
        self.membership = Membership(self.shard, self.clock, Randomness(1), config)

    def join(self, version: int = 9, **options: Any) -> Any:
        values: dict[str, Any] = {
            "group_id": "g",
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 60_000,
            "protocol_type": "consumer",
            "protocols": [JoinGroupRequestProtocol(name="range", metadata=subscription(["t"]))],
        }
        answers: list[Any] = []
        request = JoinGroupRequest(**{**values, **options})
        self.membership.join(request, version, Client("the-client", "/127.0.0.1"), answers.append)
        return answers[0] if answers else None


def test_ids_begin_with_the_client_or_the_instance() -> None:
    fixture = Fixture()
    first, second = fixture.join().member_id, fixture.join().member_id
    assert first.startswith("the-client-")
    assert first != second
    assert fixture.join(group_instance_id="i1") is None
    (member,) = fixture.shard.groups["g"].members.values()
    assert member.member_id.startswith("i1-")
    assert (member.client_id, member.client_host) == ("the-client", "/127.0.0.1")


def test_so_many_ids_may_be_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENDING_MEMBERS_MAX", 3)
    fixture = Fixture()
    codes = [ErrorCode(fixture.join().error_code).name for _ in range(4)]
    assert codes == ["MEMBER_ID_REQUIRED"] * 3 + ["GROUP_MAX_SIZE_REACHED"]
    # They are taken back after a session, and there is room again.
    fixture.clock.run_until(10_000)
    assert fixture.join().error_code == ErrorCode.MEMBER_ID_REQUIRED


@pytest.mark.parametrize(
    ("session_ms", "code"),
    [
        (5999, "INVALID_SESSION_TIMEOUT"),
        (6000, "NONE"),
        (1_800_000, "NONE"),
        (1_800_001, "INVALID_SESSION_TIMEOUT"),
        (-1, "INVALID_SESSION_TIMEOUT"),
    ],
)
def test_sessions_have_bounds(session_ms: int, code: str) -> None:
    fixture = Fixture(group_initial_rebalance_delay_ms="0")
    answer = fixture.join(version=3, session_timeout_ms=session_ms)
    assert (answer is None) == (code == "NONE")
    if answer is not None:
        assert ErrorCode(answer.error_code).name == code
        assert fixture.shard.groups == {}


def test_a_member_that_does_not_exist_makes_no_group() -> None:
    fixture = Fixture()
    assert fixture.join(member_id="stranger").error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert fixture.shard.groups == {}


@pytest.mark.parametrize("size", [1, 2])
def test_the_size_is_looked_at_before_anything_else(size: int) -> None:
    fixture = Fixture(group_initial_rebalance_delay_ms="0", group_max_size=str(size))
    for _ in range(size):
        assert fixture.join(version=3) is None
    fixture.clock.run_until(0)
    refused = fixture.join(version=3, protocol_type="connect")
    assert (ErrorCode(refused.error_code).name, refused.member_id) == ("GROUP_MAX_SIZE_REACHED", "")
    assert len(fixture.shard.groups["g"].members) == size


def test_an_id_that_is_out_is_lost_when_the_group_is_full() -> None:
    fixture = Fixture(group_initial_rebalance_delay_ms="0", group_max_size="1")
    out = fixture.join().member_id
    assert fixture.join(version=3) is None
    refused = fixture.join(member_id=out)
    assert refused.error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert fixture.shard.groups["g"].pending_members == {}
