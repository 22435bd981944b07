"""What handlers share: who leads a partition, and where a broker is reached."""

from dataclasses import replace

from .world import Node


def test_who_leads(node: Node) -> None:
    node.topic("t")
    services = node.services
    assert services.leader_of("t", 0) == (1, 0)
    assert services.leader_of("t", 1) == services.leader_of("none", 0) == (-1, -1)
    assert services.node_id == 1


def test_where_a_broker_is_reached(node: Node) -> None:
    services = node.services
    broker, endpoint = services.reachable(1, "PLAINTEXT")
    assert (broker.broker_id, endpoint.host, endpoint.port) == (1, "broker.example", 9092)
    assert services.reachable(2, "PLAINTEXT") is services.reachable(1, "CONTROLLER") is None
    image = services.metadata.image
    services.metadata.image = replace(image, brokers={1: replace(image.brokers[1], fenced=True)})
    assert services.reachable(1, "PLAINTEXT") is None
