"""The real twin: what only sockets have."""

import asyncio
import socket

import pytest
import uvloop
from broker.network.real import RealNetwork


def test_every_address_is_an_empty_host() -> None:
    loop = uvloop.new_event_loop()
    listener = RealNetwork(loop).listen("", 0, asyncio.BufferedProtocol)
    with socket.create_connection(("127.0.0.1", listener.port), 30):
        pass
    listener.close()
    loop.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_host_with_colons_is_ipv6() -> None:
    loop = uvloop.new_event_loop()
    try:
        listener = RealNetwork(loop).listen("::1", 0, asyncio.BufferedProtocol)
    except OSError as error:
        pytest.skip(f"no IPv6 on the loopback: {error}")
    assert (listener.host, listener.port > 0) == ("::1", True)
    listener.close()
    loop.close()


def test_a_listener_may_be_closed_before_and_after_it_accepts() -> None:
    loop = uvloop.new_event_loop()
    network = RealNetwork(loop)
    early = network.listen("127.0.0.1", 0, asyncio.BufferedProtocol)
    early.accept()
    early.close()
    late = network.listen("127.0.0.1", 0, asyncio.BufferedProtocol)
    late.accept()
    loop.run_until_complete(asyncio.sleep(0.05))
    late.close()
    late.close()
    for listener in (early, late):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", listener.port)) != 0
    loop.close()
