"""Brokers for tests: `BrokerThread` (in this process), `BrokerProcess` (of its own), `Cluster` (several, to be broken).

Each is loaded when it is first asked for: pytest imports this package in every session (`plugin`), also where nobody uses it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.testing.cluster import Cluster
    from broker.testing.process import BrokerProcess
    from broker.testing.thread import BrokerThread

__all__ = ["BrokerProcess", "BrokerThread", "Cluster"]
_MODULES = {"BrokerProcess": "process", "BrokerThread": "thread", "Cluster": "cluster"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
