"""Three whole brokers: they start, one of them dies, all of them die, they come back and leave in order."""

from itertools import permutations

import pytest
from broker.metadata.image import EndpointImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from broker.protocol.messages.describe_topic_partitions import DescribeTopicPartitionsRequest, TopicRequest
from broker.protocol.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from broker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest

from .machines import IDS, Machines

# ConfigSource of what all brokers were told at run time.
DYNAMIC_DEFAULT_BROKER_CONFIG = 3
# The default of replica.fetch.wait.max.ms: how long a leader holds a fetch that finds nothing.
REPLICA_FETCH_WAIT_MS = 500


@pytest.mark.parametrize("seed", range(5))
def test_a_cluster_starts_at_once(seed: int) -> None:
    made = Machines(seed)
    began = made.time.now_ms
    made.start()
    assert made.time.now_ms - began <= 2500, "an election and a registration"
    made.create()
    assert made.produce() is ErrorCode.NONE
    assert made.partition().isr == IDS


@pytest.mark.parametrize("victim", IDS)
def test_a_leader_that_dies_is_replaced_at_once(machines: Machines, victim: int) -> None:
    """The active controller among them: then a new one has to be elected first."""
    machines.create("u", (victim, *(one for one in IDS if one != victim)))
    assert machines.produce("u") is ErrorCode.NONE
    machines[victim].kill()
    took = machines.until(lambda: machines.partition("u").leader not in (victim, -1))
    assert took <= 1000
    assert machines.produce("u") is ErrorCode.NONE
    assert victim not in machines.partition("u").isr
    assert machines[victim].node_id == victim


@pytest.mark.parametrize("victim", IDS)
def test_a_broker_that_comes_back_is_let_in_at_once_and_catches_up(machines: Machines, victim: int) -> None:
    machines[victim].kill()
    machines.until(lambda: machines.partition().leader not in (victim, -1))
    assert machines.produce() is ErrorCode.NONE
    began = machines.time.now_ms
    machines.start(victim)
    machines.wait_until_in_sync()
    assert machines.time.now_ms - began <= 2000


@pytest.mark.parametrize("victim", IDS)
def test_a_broker_that_is_back_before_anybody_knocked(machines: Machines, victim: int) -> None:
    """Its session has not ended, and its door is open: it must not wait for nine seconds because of its former life."""
    machines[victim].kill()
    machines[victim].start()
    took = machines.until(lambda: machines[victim].ready)
    assert took <= 3000
    machines.wait_until_in_sync()


@pytest.mark.parametrize("order", list(permutations(IDS)))
def test_all_die_and_come_back_in_any_order(machines: Machines, order: tuple[int, ...]) -> None:
    """Without an orderly stop nobody is eligible any more: the last known leader leads, with all that its disk has kept."""
    end = machines[machines.partition().leader].broker.services.replicas.find("t", 0).log.log_end_offset
    for one in IDS:
        machines[one].kill()
    for one in order:
        machines[one].start()
        machines.run(700)
    began = machines.time.now_ms
    machines.until(lambda: all(machines[one].ready for one in IDS))
    machines.until(lambda: machines.partition().leader >= 0)
    machines.wait_until_in_sync()
    assert machines.time.now_ms - began <= 5000, "nobody waits for the end of a session"
    assert machines.produce() is ErrorCode.NONE
    assert machines[1].broker.services.replicas.find("t", 0).log.log_end_offset == end + 1


def test_an_orderly_stop_moves_the_leaders_first(machines: Machines) -> None:
    leader = machines.partition().leader
    epoch = machines.partition().leader_epoch
    began = machines.time.now_ms
    machines[leader].stop()
    assert machines.time.now_ms - began <= 1000, "nobody waits for the next heartbeat of the others"
    found = machines.partition()
    assert found.leader not in (leader, -1)
    assert (found.leader_epoch, leader in found.isr) == (epoch + 1, False)
    assert machines.produce() is ErrorCode.NONE


@pytest.mark.parametrize("victim", IDS)
def test_a_restart_in_order_is_short(machines: Machines, victim: int) -> None:
    machines[victim].stop()
    began = machines.time.now_ms
    machines.start(victim)
    machines.wait_until_in_sync()
    assert machines.time.now_ms - began <= 2000


def test_the_last_one_stops_as_well(machines: Machines) -> None:
    """Without a majority nobody can give leave."""
    for one in IDS:
        began = machines.time.now_ms
        machines[one].stop()
        assert machines.time.now_ms - began <= 4000
    machines.start()
    machines.until(lambda: machines.partition().leader >= 0)
    machines.wait_until_in_sync()
    assert machines.produce() is ErrorCode.NONE


def test_what_clients_are_told_of_a_dead_broker(machines: Machines) -> None:
    machines[2].kill()
    machines.until(lambda: 2 not in machines[1].broker.metadata.image.topics["t"].partitions[0].isr)
    response = machines.ask(1, MetadataRequest(topics=None))
    assert [broker.node_id for broker in response.brokers] == [1, 3]
    (topic,) = [one for one in response.topics if one.name == "t"]
    assert (topic.partitions[0].replica_nodes, sorted(topic.partitions[0].isr_nodes)) == ([1, 2, 3], [1, 3])


def test_a_client_that_asks_at_once_is_not_sent_back_to_the_dead_leader(machines: Machines) -> None:
    """Its connection ended as early as those of the brokers: they answer when they have heard of that, too."""
    machines.create("u", (2, 1, 3))
    asker = 1 if machines.controller != 1 else 3
    machines[2].kill()
    told = machines.ask(asker, MetadataRequest(topics=[MetadataRequestTopic(name="u")]))
    assert [one.node_id for one in told.brokers] == [1, 2, 3], "nothing is decided yet"
    partition = told.topics[0].partitions[0]
    assert (partition.leader_id, partition.error_code) == (-1, ErrorCode.LEADER_NOT_AVAILABLE)
    machines.until(lambda: all(one.broker.metadata.image.topics["u"].partitions[0].leader == 1 for one in machines.up))
    told = machines.ask(asker, MetadataRequest(topics=[MetadataRequestTopic(name="u")]))
    partition = told.topics[0].partitions[0]
    assert (partition.leader_id, partition.error_code) == (1, ErrorCode.NONE)


def test_the_first_records_of_a_new_leader_are_soon_committed(machines: Machines) -> None:
    """Followers that wait at it with a fetch of before are answered, so that they ask for what it leads now."""
    machines.create("u", (2, 1, 3))
    machines.create("elsewhere", (1, 3, 2))
    machines.run(2000)
    machines[2].kill()
    machines.until(lambda: all(one.broker.metadata.image.topics["u"].partitions[0].leader == 1 for one in machines.up))
    began = machines.time.now_ms
    for _ in range(3):
        assert machines.produce("u") is ErrorCode.NONE
    assert machines.time.now_ms - began < REPLICA_FETCH_WAIT_MS


def test_controllers_make_themselves_known_in_each_of_their_lives(machines: Machines) -> None:
    machines.until(lambda: all(sorted(one.broker.metadata.image.controllers) == list(IDS) for one in machines.up))
    before = machines[1].broker.metadata.image.controllers
    assert [before[one].endpoint("CONTROLLER") for one in IDS] == [EndpointImage("CONTROLLER", f"b{one}", 9093) for one in IDS]
    machines[2].kill()
    machines.start(2)
    machines.until(lambda: machines[3].broker.metadata.image.controllers[2].incarnation_id != before[2].incarnation_id)
    after = machines[3].broker.metadata.image.controllers
    assert (after[1], after[3]) == (before[1], before[3])


def test_who_is_eligible_is_told(machines: Machines) -> None:
    machines.create("u", (1, 2))
    machines[2].stop()
    machines.run(1000)
    request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name="u")], response_partition_limit=10)
    (partition,) = machines.ask(3, request).topics[0].partitions
    assert (partition.isr_nodes, partition.eligible_leader_replicas, partition.last_known_elr) == ([1], [2], [])
    machines[1].stop()
    machines.start(2)
    machines.until(lambda: machines.partition("u").leader == 2)
    (partition,) = machines.ask(3, request).topics[0].partitions
    assert (partition.isr_nodes, partition.eligible_leader_replicas) == ([2], [1])


def test_too_few_replicas_are_said(machines: Machines) -> None:
    machines[2].kill()
    machines[3].kill()
    machines.run(500)
    assert machines.produce(timeout_ms=1000) is ErrorCode.REQUEST_TIMED_OUT, "without a majority nobody decides about the ISR"
    machines.start(2)
    machines.until(lambda: sorted(machines.partition().isr) == [1, 2])
    machines.until(lambda: machines.produce() is ErrorCode.NONE)


def test_settings_of_all_brokers_hold_everywhere(machines: Machines) -> None:
    config = AlterableConfig(name="log.retention.ms", config_operation=0, value="7777")
    resource = AlterConfigsResource(resource_type=4, resource_name="", configs=[config])
    response = machines.ask(2, IncrementalAlterConfigsRequest(resources=[resource]))
    assert response.responses[0].error_code == ErrorCode.NONE
    machines.run(1000)
    for one in machines.up:
        replicas = one.broker.services.replicas
        assert replicas.find("t", 0).log.config.retention_ms == 7777
    for one in IDS:
        wanted = DescribeConfigsResource(resource_type=2, resource_name="t", configuration_keys=["retention.ms"])
        response = machines.ask(one, DescribeConfigsRequest(resources=[wanted]))
        assert [entry.value for entry in response.results[0].configs] == ["7777"]


def test_the_minimum_of_all_brokers_holds_everywhere(machines: Machines) -> None:
    """A partition of three with one replica left, where one is enough now."""
    config = AlterableConfig(name="min.insync.replicas", config_operation=0, value="3")
    resource = AlterConfigsResource(resource_type=4, resource_name="", configs=[config])
    assert machines.ask(1, IncrementalAlterConfigsRequest(resources=[resource])).responses[0].error_code == ErrorCode.NONE
    machines.run(1000)
    assert machines.produce() is ErrorCode.NONE
    machines[3].kill()
    machines.until(lambda: 3 not in machines.partition().isr)
    machines.run(500)
    assert machines.produce() is ErrorCode.NOT_ENOUGH_REPLICAS


def test_one_minimum_holds_whatever_the_files_say() -> None:
    """The cluster's is what its first controller was told (KIP-966); the next one leads by it, too."""
    made = Machines()
    made.start()
    made.create()
    for one in IDS:
        made[one].stop()
    made.settings["min.insync.replicas"] = "3"
    made.start()
    made.until(lambda: made.partition().leader >= 0)
    made.wait_until_in_sync()
    wanted = DescribeConfigsResource(resource_type=2, resource_name="t", configuration_keys=["min.insync.replicas"])
    for one in IDS:
        (entry,) = made.ask(one, DescribeConfigsRequest(resources=[wanted])).results[0].configs
        assert (entry.value, entry.config_source) == ("2", DYNAMIC_DEFAULT_BROKER_CONFIG)
    made[made.controller].kill()
    made.until(lambda: made.partition().leader >= 0 and len(made.partition().isr) == 2)
    assert made.produce() is ErrorCode.NONE


def test_preferred_leaders_are_given_back_when_asked(machines: Machines) -> None:
    machines[1].stop()
    machines.start(1)
    machines.wait_until_in_sync()
    assert machines.partition().leader != 1
    request = ElectLeadersRequest(election_type=0, topic_partitions=[TopicPartitions(topic="t", partitions=[0])])
    response = machines.ask(3, request)
    assert response.replica_election_results[0].partition_result[0].error_code == ErrorCode.NONE
    machines.until(lambda: machines.partition().leader == 1)
    assert machines.produce() is ErrorCode.NONE


def test_preferred_leaders_are_given_back_by_themselves() -> None:
    made = Machines(leader_imbalance_check_interval_seconds="5")
    made.start()
    made.create()
    made[1].stop()
    made.start(1)
    made.wait_until_in_sync()
    made.until(lambda: made.partition().leader == 1)


def test_unclean_elections_where_they_are_allowed_now(machines: Machines) -> None:
    """The only one in the ISR is away for good; whoever is there may lead once the topic allows it."""
    machines.create("u", (3, 2))
    machines[2].kill()
    machines.until(lambda: machines.partition("u").isr == (3,))
    machines[3].kill()
    machines.start(2)
    machines.until(lambda: machines.partition("u").leader == -1)
    machines.run(3000)
    assert machines.partition("u").leader == -1
    config = AlterableConfig(name="unclean.leader.election.enable", config_operation=0, value="true")
    resource = AlterConfigsResource(resource_type=2, resource_name="u", configs=[config])
    assert machines.ask(1, IncrementalAlterConfigsRequest(resources=[resource])).responses[0].error_code == ErrorCode.NONE
    assert machines.until(lambda: machines.partition("u").leader == 2) <= 1000


def test_a_broker_that_is_forgotten_while_it_lives_comes_back(machines: Machines) -> None:
    before = machines[3].registration
    assert machines.ask(1, UnregisterBrokerRequest(broker_id=3)).error_code == ErrorCode.NONE
    machines.wait_until_in_sync()
    after = machines[3].registration
    assert before is not None
    assert after is not None
    assert after.epoch > before.epoch


def test_a_follower_that_was_cut_off_is_back_soon_after(machines: Machines) -> None:
    """A connection attempt that began while the way was cut does not keep it away."""
    leader = machines.partition().leader
    follower = next(one for one in IDS if one not in (leader, machines.controller))
    for other in IDS:
        if other != follower:
            machines.wires.part(machines[follower].host, machines[other].host)
            machines.wires.part(machines[other].host, machines[follower].host)
            machines.wires.cut_connections(machines[follower].host, machines[other].host)
    machines.until(lambda: follower not in machines.partition().isr)
    machines.run(5000)
    machines.wires.heal()
    assert machines.wait_until_in_sync() <= 4000


def test_a_full_disk_of_a_follower_holds_nobody_up_for_long(machines: Machines) -> None:
    follower = next(one for one in IDS if one != machines.partition().leader)
    storage = machines[follower].storage
    storage.capacity_bytes = storage.used_bytes
    machines.settings["replica.lag.time.max.ms"] = "30000"
    codes = [machines.produce(timeout_ms=1000) for _ in range(3)]
    assert set(codes) == {ErrorCode.REQUEST_TIMED_OUT}
    storage.capacity_bytes = None
    machines.run(3000)
    assert machines.produce() is ErrorCode.NONE
    assert machines[follower].fatal == []
