"""A broker on this machine: the loop, the real twins of the seam, signals, and the end of the process.

Owns what `broker start` and `broker.testing` share. A second signal during a stop ends the process at once.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable

import uvloop

from broker.clock.randomness import Randomness
from broker.clock.real import RealClock
from broker.config import BrokerConfig
from broker.log.properties import DirectoryError
from broker.network.real import RealNetwork
from broker.node.broker import Broker, World
from broker.raft.election_store import ElectionStateError
from broker.storage.real import RealStorage

log = logging.getLogger("broker.node")
MakeWorld = Callable[[asyncio.AbstractEventLoop], World]
SWITCH_INTERVAL_S = 0.0005
START_ERRORS = (OSError, DirectoryError, ElectionStateError)


class StartError(Exception):
    """The broker could not be started, or had to end; one line that says why."""


def real_world(loop: asyncio.AbstractEventLoop) -> World:
    """The real twins."""
    return World(RealClock(loop), Randomness(), RealStorage(loop.call_soon_threadsafe), RealNetwork(loop))


async def serve(
    config: BrokerConfig,
    cluster_id: str | None,
    on_ready: Callable[[Broker], None],
    stop: asyncio.Event,
    world: MakeWorld = real_world,
) -> None:
    """Run a broker until `stop` is set. StartError when it cannot start, or when its log directory fails."""
    loop = asyncio.get_running_loop()
    fatal: list[str] = []

    def on_fatal(reason: str) -> None:
        fatal.append(reason)
        stop.set()

    broker = Broker(config, world(loop), on_fatal, cluster_id)

    def ready() -> None:
        gc.collect()
        gc.freeze()
        on_ready(broker)

    try:
        broker.start(ready)
    except START_ERRORS as error:
        broker.abandon(str(error))
        raise StartError(str(error)) from error
    await stop.wait()
    if fatal:
        # Nothing can be promised about the directory: no clean marker, no flush.
        broker.abandon(fatal[0])
        await asyncio.sleep(0)  # Closed sockets leave at the next turn of the loop.
        raise StartError(fatal[0])
    stopped = asyncio.Event()
    broker.stop(stopped.set)
    await stopped.wait()


def run(config: BrokerConfig, cluster_id: str | None, on_ready: Callable[[Broker], None], world: MakeWorld = real_world) -> None:
    """Run a broker in this process until SIGTERM or SIGINT."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                sys.exit(1)
            log.info("stopping")
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await serve(config, cluster_id, on_ready, stop, world)

    uvloop.run(main())
