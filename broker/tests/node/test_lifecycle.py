"""The life of a broker as its controller sees it: registered, let in, fenced, forgotten, and leaving in order."""

from collections.abc import Callable
from typing import Any

import pytest
from broker.clock.simulated import SimulatedClock
from broker.node.lifecycle import FATAL, NOBODY_MS, RETRY_MS, Lifecycle, Phase
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse

DUPLICATE_MS = 30_000
INTERVAL_MS = 2000
EPOCH = 7


class World:
    """What the broker asks lies in `asked` until it is answered."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.asked: list[tuple[Any, Callable[[Any], None]]] = []
        self.heard: list[str] = []
        self.offset = 5
        self.lifecycle = Lifecycle(
            1,
            self.clock,
            self,
            registration=lambda: BrokerRegistrationRequest(broker_id=1),
            heartbeat_interval_ms=INTERVAL_MS,
            registration_timeout_ms=DUPLICATE_MS,
            metadata_offset=lambda: self.offset,
            on_registered=lambda: self.heard.append("registered"),
            on_unfenced=lambda: self.heard.append("unfenced"),
            on_fatal=self.heard.append,
        )
        self.lifecycle.start()
        self.turn()

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        self.asked.append((request, on_done))

    def turn(self, milliseconds: int = 0) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def request(self) -> Any:
        ((request, _),) = self.asked
        return request

    def answer(self, response: Any) -> None:
        ((_, on_done),) = self.asked
        self.asked.clear()
        on_done(response)
        self.turn()

    def register(self, code: ErrorCode = ErrorCode.NONE, epoch: int = EPOCH) -> None:
        assert isinstance(self.request(), BrokerRegistrationRequest)
        self.answer(BrokerRegistrationResponse(error_code=code, broker_epoch=epoch))

    def beat(self, code: ErrorCode = ErrorCode.NONE, *, fenced: bool = False, shut_down: bool = False) -> None:
        assert isinstance(self.request(), BrokerHeartbeatRequest)
        self.answer(BrokerHeartbeatResponse(error_code=code, is_fenced=fenced, should_shut_down=shut_down))

    def leave(self, timeout_ms: int = 3000) -> None:
        self.lifecycle.leave(timeout_ms, lambda: self.heard.append("left"))
        self.turn()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def serving(world: World) -> World:
    world.register()
    world.beat()
    assert world.heard == ["registered", "unfenced"]
    return world


def test_it_registers_and_asks_to_be_let_in(world: World) -> None:
    world.register()
    assert (world.lifecycle.epoch, world.lifecycle.phase, world.heard) == (EPOCH, Phase.FENCED, ["registered"])
    beat = world.request()
    assert (beat.broker_id, beat.broker_epoch, beat.current_metadata_offset, beat.want_shut_down) == (1, EPOCH, 5, False)
    world.beat(fenced=True)
    assert world.asked == []
    world.turn(RETRY_MS)
    world.beat()
    assert (world.lifecycle.phase, world.heard) == (Phase.SERVING, ["registered", "unfenced"])


def test_a_broker_that_serves_is_heard_at_every_interval(serving: World) -> None:
    for _ in range(3):
        serving.turn(INTERVAL_MS - 1)
        assert serving.asked == []
        serving.turn(1)
        serving.beat()
    assert serving.heard == ["registered", "unfenced"]


def test_one_request_is_under_way(world: World) -> None:
    world.lifecycle.hurry()
    world.turn(60_000)
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "code", [ErrorCode.NOT_CONTROLLER, ErrorCode.DUPLICATE_BROKER_REGISTRATION, ErrorCode.KAFKA_STORAGE_ERROR]
)
def test_a_registration_that_is_refused_for_now_is_tried_again(world: World, code: ErrorCode) -> None:
    world.register(code)
    world.turn(RETRY_MS)
    world.register()
    assert world.heard == ["registered"]


@pytest.mark.parametrize("code", sorted(FATAL))
def test_a_registration_that_is_refused_for_good_ends_the_broker(world: World, code: ErrorCode) -> None:
    world.register(code)
    world.turn(60_000)
    assert (world.asked, world.heard) == ([], [f"the controller refuses this broker: {code.name}: {FATAL[code]}"])


def test_two_brokers_with_one_id(world: World) -> None:
    """A former life is forgotten when its session ends; another broker stays, and somebody has to be told."""
    while world.clock.now_ms < DUPLICATE_MS:
        world.register(ErrorCode.DUPLICATE_BROKER_REGISTRATION)
        assert world.heard == []
        world.turn(RETRY_MS)
    world.register(ErrorCode.DUPLICATE_BROKER_REGISTRATION)
    assert world.heard == ["another broker with node.id=1 is in the cluster; give this one an id of its own"]
    world.turn(60_000)
    assert world.asked == []


def test_a_broker_that_was_forgotten_registers_again(serving: World) -> None:
    serving.turn(INTERVAL_MS)
    serving.beat(ErrorCode.STALE_BROKER_EPOCH)
    assert serving.lifecycle.phase is Phase.REGISTERING
    serving.register(epoch=20)
    assert serving.request().broker_epoch == 20
    serving.beat()
    assert serving.heard == ["registered", "unfenced"] * 2


def test_a_broker_that_was_fenced_asks_to_be_let_in_at_once(serving: World) -> None:
    serving.turn(INTERVAL_MS)
    serving.beat(fenced=True)
    assert serving.lifecycle.phase is Phase.FENCED
    serving.turn(RETRY_MS)
    serving.beat()
    assert (serving.lifecycle.phase, serving.heard[2:]) == (Phase.SERVING, ["unfenced"])


def test_without_a_controller_it_tries_again_soon(serving: World) -> None:
    serving.turn(INTERVAL_MS)
    serving.beat(ErrorCode.NOT_CONTROLLER)
    assert serving.lifecycle.phase is Phase.SERVING
    serving.turn(RETRY_MS)
    assert isinstance(serving.request(), BrokerHeartbeatRequest)


def test_a_new_controller_hears_at_once(serving: World) -> None:
    serving.lifecycle.hurry()
    serving.turn()
    assert isinstance(serving.request(), BrokerHeartbeatRequest)


def test_leaving_waits_for_the_leaders_to_move(serving: World) -> None:
    serving.leave()
    assert serving.request().want_shut_down
    serving.beat()
    assert serving.heard[2:] == []
    serving.turn(RETRY_MS)
    assert serving.request().want_shut_down
    serving.beat(fenced=True, shut_down=True)
    assert (serving.heard[2:], serving.lifecycle.phase) == (["left"], Phase.STOPPED)
    serving.turn(60_000)
    assert (serving.asked, serving.heard[2:]) == ([], ["left"])


def test_leaving_while_a_heartbeat_is_under_way(serving: World) -> None:
    serving.turn(INTERVAL_MS)
    serving.leave()
    assert not serving.request().want_shut_down
    serving.beat()
    serving.turn(RETRY_MS)
    assert serving.request().want_shut_down
    serving.beat(shut_down=True)
    assert serving.heard[2:] == ["left"]


def test_leaving_has_its_time(serving: World) -> None:
    serving.leave(1000)
    for _ in range(3):
        serving.beat()
        serving.turn(RETRY_MS)
    serving.turn(1000)
    assert serving.heard[2:] == ["left"]
    serving.beat(shut_down=True)
    assert serving.heard[2:] == ["left"], "told once"


def test_nobody_gives_leave_when_there_is_no_controller(serving: World) -> None:
    serving.leave(60_000)
    for _ in range(NOBODY_MS // RETRY_MS + 1):
        assert serving.heard[2:] == []
        serving.beat(ErrorCode.NOT_CONTROLLER)
        serving.turn(RETRY_MS)
    serving.beat(ErrorCode.NOT_CONTROLLER)
    assert serving.heard[2:] == ["left"]


def test_leaving_when_the_controller_has_forgotten_this_broker(serving: World) -> None:
    serving.leave()
    serving.beat(ErrorCode.STALE_BROKER_EPOCH)
    assert serving.heard[2:] == ["left"]


def test_who_does_not_serve_leaves_at_once(world: World) -> None:
    world.leave()
    assert world.heard == ["left"]
    world.answer(BrokerRegistrationResponse(broker_epoch=EPOCH))
    world.turn(60_000)
    assert (world.heard, world.asked) == (["left"], [])
