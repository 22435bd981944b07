"""The bit fields of allowed operations, against the numbers that Apache Kafka 4.3.1 without ACLs answers."""

from broker.server.authorized_operations import CLUSTER_OPERATIONS, GROUP_OPERATIONS, TOPIC_OPERATIONS


def test_the_numbers_are_kafkas() -> None:
    assert (TOPIC_OPERATIONS, GROUP_OPERATIONS, CLUSTER_OPERATIONS) == (3576, 3400, 8096)
