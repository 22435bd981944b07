"""`broker start` on a disk that a test can fill: what `BrokerProcess` runs.

Arguments: the file of the switch, then those of `broker start`.
"""

import asyncio
import sys

from broker.cli import start
from broker.clock.randomness import Randomness
from broker.clock.real import RealClock
from broker.network.real import RealNetwork
from broker.node.broker import World
from broker.testing.disk import FillableStorage, Switch


def main(argv: list[str]) -> int:
    switch = Switch(argv[0])

    def world(loop: asyncio.AbstractEventLoop) -> World:
        return World(RealClock(loop), Randomness(), FillableStorage(loop.call_soon_threadsafe, switch), RealNetwork(loop))

    return start.main(argv[1:], world)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
