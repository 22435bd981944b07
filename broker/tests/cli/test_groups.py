"""Groups as their coordinators know them."""

from collections.abc import Callable, Iterator

import pytest
from broker.cli.cluster import Cluster
from broker.cli.group_offsets import commit
from broker.cli.groups import describe_group, list_groups
from broker.cli.membership import Member, MemberSettings
from broker.protocol.errors import ErrorCode, KafkaError

from .conftest import Fresh, MakeTopic

Join = Callable[..., Member]


@pytest.fixture
def join(bootstrap: str) -> Iterator[Join]:
    """A member of a group in a topic, which leaves at the end."""
    held: list[tuple[Member, Cluster]] = []

    def join_group(group: str, topic: str, **settings: object) -> Member:
        cluster = Cluster(bootstrap, "described")
        chosen = MemberSettings()._replace(**settings)  # type: ignore[arg-type]
        member = Member(cluster, group, chosen, lambda topics: dict.fromkeys(topics, 2))
        held.append((member, cluster))
        member.join({topic})
        return member

    yield join_group
    for member, cluster in held:
        member.leave()
        cluster.close()


def test_listing_by_state(cluster: Cluster, make_topic: MakeTopic, fresh: Fresh, join: Join) -> None:
    topic, empty, stable = make_topic(2), fresh("empty"), fresh("stable")
    commit(cluster, empty, {(topic, 0): 1})
    join(stable, topic)

    def ids(*states: str) -> set[str]:
        return {group.group_id for group in list_groups(cluster, states)} & {empty, stable}

    assert ids() == {empty, stable}
    assert ids("Empty") == {empty}
    assert ids("Stable", "Dead") == {stable}
    listed = {group.group_id: group for group in list_groups(cluster)}
    assert (listed[stable].group_state, listed[stable].protocol_type) == ("Stable", "consumer")
    assert list(listed) == sorted(listed)
    assert list_groups(cluster, types=["Consumer"]) == []


def test_describing_members(cluster: Cluster, make_topic: MakeTopic, fresh: Fresh, join: Join) -> None:
    topic, group = make_topic(2), fresh("described")
    join(group, topic, group_instance_id="one")
    found = describe_group(cluster, group)
    assert (found.group_id, found.state, found.protocol, found.coordinator.node_id) == (group, "Stable", "range", 1)
    (member,) = found.members
    assert (member.instance_id, member.client_id, member.host) == ("one", "described", "/127.0.0.1")
    assert member.partitions == [(topic, 0), (topic, 1)]


def test_describing_a_group_of_offsets_alone(cluster: Cluster, make_topic: MakeTopic, fresh: Fresh) -> None:
    group = fresh("simple")
    commit(cluster, group, {(make_topic(), 0): 1})
    found = describe_group(cluster, group)
    assert (found.state, found.protocol, found.members) == ("Empty", "", [])


def test_a_group_that_does_not_exist(cluster: Cluster) -> None:
    with pytest.raises(KafkaError, match="group 'nobody' does not exist; --list shows those that do") as raised:
        describe_group(cluster, "nobody")
    assert raised.value.code is ErrorCode.GROUP_ID_NOT_FOUND
