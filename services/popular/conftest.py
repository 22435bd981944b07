"""The popular service in this process, on a real Valkey."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from reading_suite import Feed, bootstrap_servers, client, publish, store, valkey_server
from service_suite import prepare

__all__ = ["bootstrap_servers", "client", "publish", "store", "valkey_server"]

prepare("popular.settings")


@pytest.fixture(autouse=True)
def _fresh_store(client: Any) -> Iterator[None]:
    """The store that the selectors hold is that of this test's settings."""
    selectors = importlib.import_module("popular.selectors")
    selectors._store.cache_clear()
    yield
    selectors._store.cache_clear()


@pytest.fixture
def feed(store: Any) -> Feed:
    return Feed(importlib.import_module("popular.consumers").PopularProjection(store))
