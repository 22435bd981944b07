"""A cluster found through some of its brokers."""

import pytest
from broker.cli.cluster import BOOTSTRAP_CONTROLLER, Cluster
from broker.cli.failures import Unavailable, UsageError
from broker.protocol.errors import ErrorCode, KafkaError

from .conftest import Fresh, MakeTopic
from .fake_broker import free_address


@pytest.mark.parametrize(
    "text", ["localhost", "localhost:", ":9092", "localhost:http", "localhost:0", "a:99999", "a:9092,b", "", ","]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--bootstrap-server"):
        Cluster(text, "tests")


def test_any_of_the_addresses_will_do(bootstrap: str) -> None:
    with Cluster(f"{free_address()}, {bootstrap}", "tests") as cluster:
        assert cluster.node_ids() == [1]
        assert cluster.any() is cluster.any() is cluster.node(1)


def test_none_of_the_addresses_answers() -> None:
    first, second = free_address(), free_address()
    with Cluster(f"{first},{second}", "tests") as cluster, pytest.raises(Unavailable) as raised:
        cluster.any()
    assert first in str(raised.value)
    assert second in str(raised.value)
    assert "is --bootstrap-server right?" in str(raised.value)


def test_brokers_and_controllers_are_described_by_their_own(cluster: Cluster, bootstrap: str, controller_address: str) -> None:
    assert [(one.broker_id, f"{one.host}:{one.port}") for one in cluster.describe().brokers] == [(1, bootstrap)]
    with Cluster(controller_address, "tests", option=BOOTSTRAP_CONTROLLER) as controllers:
        described = controllers.describe()
        assert [(one.broker_id, f"{one.host}:{one.port}") for one in described.brokers] == [(1, controller_address)]
        assert controllers.active_controller().address == controller_address
    with Cluster(bootstrap, "tests", option=BOOTSTRAP_CONTROLLER) as wrong, pytest.raises(KafkaError) as raised:
        wrong.describe()
    assert "The request was sent to an endpoint of type BROKER" in str(raised.value.message)
    assert str(raised.value.message).startswith("--bootstrap-controller: ")


def test_the_option_that_is_wrong_is_named() -> None:
    with pytest.raises(UsageError, match="--bootstrap-controller x is not of the form"):
        Cluster("x", "tests", option=BOOTSTRAP_CONTROLLER)
    with Cluster(free_address(), "tests", option=BOOTSTRAP_CONTROLLER) as cluster, pytest.raises(Unavailable) as raised:
        cluster.describe()
    assert "is --bootstrap-controller right?" in str(raised.value)


def test_a_lost_connection_is_made_again(cluster: Cluster) -> None:
    lost = cluster.any()
    lost.close()
    assert cluster.any() is not lost
    assert cluster.node_ids() == [1]


def test_a_broker_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(Unavailable, match="broker 77 is not in the cluster"):
        cluster.node(77)


def test_leaders(cluster: Cluster, make_topic: MakeTopic) -> None:
    assert cluster.leaders(make_topic(3)) == {0: 1, 1: 1, 2: 1}


def test_an_unknown_topic_is_named_with_the_way_to_make_it(cluster: Cluster) -> None:
    with pytest.raises(KafkaError) as raised:
        cluster.leaders("nowhere")
    assert raised.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert raised.value.message == "topic 'nowhere' does not exist; broker topics --create --topic nowhere makes it"
    with pytest.raises(KafkaError, match="bad name"):
        cluster.topic("bad name")


def test_a_topic_is_made_when_that_is_wanted(cluster: Cluster, fresh: Fresh) -> None:
    name = fresh("made")
    assert cluster.topic(name, create=True).name == name
    assert cluster.leaders(name) == {0: 1}


def test_the_coordinator_has_a_connection_of_its_own(cluster: Cluster) -> None:
    assert cluster.coordinator_node("group-x").node_id == 1
    held = cluster.coordinator("group-x")
    assert held is cluster.coordinator("group-x")
    assert held is not cluster.any()
    cluster.forget_coordinator("group-x")
    assert not held.usable
    assert cluster.coordinator("group-x") is not held
    cluster.forget_coordinator("group-y")
