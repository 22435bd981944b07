"""One broker without sockets for each test."""

from collections.abc import Iterator

import pytest

from .world import Node, running


@pytest.fixture
def node() -> Iterator[Node]:
    with running() as started:
        yield started
