"""What all connections share: the budget, the number of them, and a log that hostile clients cannot fill."""

import logging

import pytest
from broker.server.acceptor import CLOSING_LINES_PER_SWEEP, SWEEP_MS, Budget

from .wire import Client
from .world import Node, running


def test_the_budget() -> None:
    budget = Budget(100)
    assert budget.take(60)
    assert not budget.take(41)
    assert budget.take(40)
    budget.give_back(100)
    # Alone, one may be larger than the budget: else it could never come.
    assert budget.take(1000)
    assert not budget.take(1)
    # The same one may go on growing.
    assert budget.take(500, held=1000)
    budget.give_back(1500)
    assert budget.used_bytes == 0


def test_so_many_connections_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with running(max_connections="3") as node:
        clients = [Client(node) for _ in range(4)]
        assert [client.transport.aborted for client in clients] == [False, False, False, True]
        assert "max.connections=3" in caplog.text
        node.pass_time(0)
        clients[0].go()
        assert not Client(node).transport.aborted


def test_the_log_says_so_many_reasons_and_then_a_number(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "broker.connection"):
        for _ in range(CLOSING_LINES_PER_SWEEP + 7):
            Client(node).feed(b"\xff" * 8)
        assert caplog.text.count("closing the connection") == CLOSING_LINES_PER_SWEEP
        node.pass_time(SWEEP_MS)
        assert "7 more connections were closed for such reasons" in caplog.text
        Client(node).feed(b"\xff" * 8)
        assert caplog.text.count("closing the connection") == CLOSING_LINES_PER_SWEEP + 1


def test_both_listeners_are_bound_and_let_go(node: Node) -> None:
    acceptor = node.broker.acceptor
    assert {name: listener.port for name, listener in acceptor.listeners.items()} == {"PLAINTEXT": 9092, "CONTROLLER": 9093}
    node.stop()
    assert (acceptor.listeners, acceptor.connections) == ({}, {})
