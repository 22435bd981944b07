"""Brokers for tests: `BrokerThread` (in this process), `BrokerProcess` (of its own), `Cluster` (several, to be broken)."""

from broker.testing.cluster import Cluster
from broker.testing.process import BrokerProcess
from broker.testing.thread import BrokerThread

__all__ = ["BrokerProcess", "BrokerThread", "Cluster"]
