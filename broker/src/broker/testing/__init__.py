"""Brokers for tests: `BrokerProcess` (a process of its own, which can be killed) and `BrokerThread` (in this process)."""

from broker.testing.process import BrokerProcess
from broker.testing.thread import BrokerThread

__all__ = ["BrokerProcess", "BrokerThread"]
