"""Whose directory it is: formatting, finding again, and refusing what belongs to others."""

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import SimulatedClock
from broker.log.log_manager import LogManager
from broker.log.properties import DirectoryError, MetaProperties
from broker.node.identity import check_cluster_id, format_directory, identify, new_cluster_id
from broker.storage.simulated import SimulatedStorage

CLUSTER = "5L6g3nShT-eMCtK--X86sw"
OTHER = "MkU3OEVBNTcwNTJENDM2Qg"


@pytest.fixture
def storage() -> SimulatedStorage:
    return SimulatedStorage(SimulatedClock())


def claimed(storage: SimulatedStorage) -> LogManager:
    logs = LogManager(storage, SimulatedClock(), "/data", lambda failure: pytest.fail(str(failure)))
    logs.claim()
    return logs


def again(storage: SimulatedStorage, logs: LogManager) -> LogManager:
    logs.release()
    return claimed(storage)


def test_ids_are_spelled_as_kafka_spells_them() -> None:
    assert check_cluster_id(CLUSTER) == CLUSTER
    assert check_cluster_id(new_cluster_id(Randomness(3)))
    for wrong in ("", "x", CLUSTER + "==", CLUSTER[:-1], CLUSTER + "a", "5L6g3nShT+eMCtK//X86sw", "5L6g3nShT-eMCtK--X86sx"):
        with pytest.raises(DirectoryError, match="is not 22 characters of URL-safe base64; `broker random-uuid` makes one"):
            check_cluster_id(wrong)


def test_new_ids_differ_and_follow_from_the_randomness() -> None:
    assert new_cluster_id(Randomness(1)) == new_cluster_id(Randomness(1)) != new_cluster_id(Randomness(2))
    assert new_cluster_id(Randomness()) != new_cluster_id(Randomness())


def test_an_empty_directory_is_formatted_and_found_again(storage: SimulatedStorage) -> None:
    logs = claimed(storage)
    made = format_directory(logs, storage, CLUSTER, 7, Randomness(1))
    assert (made.cluster_id, made.node_id, logs.meta) == (CLUSTER, 7, made)
    assert storage.files(surviving=True)["/data/meta.properties"] == made.render(), "it survives a power cut at once"
    assert again(storage, logs).meta == made
    text = storage.read("/data/meta.properties").decode().splitlines()
    assert {f"cluster.id={CLUSTER}", "node.id=7", "version=1"} < set(text)


def test_a_formatted_directory_is_not_formatted_again(storage: SimulatedStorage) -> None:
    logs = claimed(storage)
    format_directory(logs, storage, CLUSTER, 1, Randomness(1))
    with pytest.raises(DirectoryError, match=f"/data is already formatted for cluster {CLUSTER}"):
        format_directory(logs, storage, OTHER, 1, Randomness(1))


def test_what_lies_in_a_directory_is_not_taken_over(storage: SimulatedStorage) -> None:
    logs = claimed(storage)
    storage.make_directory("/data/lost+found")
    storage.make_directory("/data/photos")
    with pytest.raises(DirectoryError, match=r"/data has no meta.properties and is not empty \(it holds photos\)"):
        identify(logs, storage, None, 1, Randomness(1), alone=True)
    storage.remove_tree("/data/photos")
    assert identify(logs, storage, None, 1, Randomness(1), alone=True).node_id == 1


def test_a_wrong_id_formats_nothing(storage: SimulatedStorage) -> None:
    logs = claimed(storage)
    with pytest.raises(DirectoryError, match="the cluster id 'nonsense' is not"):
        identify(logs, storage, "nonsense", 1, Randomness(1), alone=True)
    assert logs.meta is None
    assert not storage.exists("/data/meta.properties")


def test_the_directory_says_which_cluster_and_node_it_is_of(storage: SimulatedStorage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "broker.node")
    logs = claimed(storage)
    made = identify(logs, storage, None, 1, Randomness(1), alone=True)
    logs.release()
    assert f"formatted the empty directory /data for cluster {made.cluster_id}" in caplog.text
    caplog.clear()
    for cluster_id in (None, made.cluster_id):
        found = claimed(storage)
        assert identify(found, storage, cluster_id, 1, Randomness(2), alone=True) == made
        found.release()
    assert caplog.text == ""
    logs = claimed(storage)
    with pytest.raises(
        DirectoryError, match=f"/data belongs to cluster {made.cluster_id}, but CLUSTER_ID is {OTHER}: correct CLUSTER_ID"
    ):
        identify(logs, storage, OTHER, 1, Randomness(1), alone=True)
    with pytest.raises(DirectoryError, match=r"/data belongs to node 1, but node.id is 2: correct node.id"):
        identify(logs, storage, None, 2, Randomness(1), alone=True)


def test_several_nodes_have_to_be_told_which_cluster_they_are(storage: SimulatedStorage) -> None:
    """Each would choose an id of its own."""
    logs = claimed(storage)
    for nothing in (None, ""):
        with pytest.raises(
            DirectoryError, match=r"controller\.quorum\.voters names several nodes: set CLUSTER_ID to the same id"
        ):
            identify(logs, storage, nothing, 2, Randomness(1), alone=False)
    assert logs.meta is None
    assert not storage.exists("/data/meta.properties")
    made = identify(logs, storage, CLUSTER, 2, Randomness(1), alone=False)
    assert (made.cluster_id, made.node_id) == (CLUSTER, 2)
    assert identify(again(storage, logs), storage, None, 2, Randomness(1), alone=False) == made, "a formatted one knows it"


def test_a_damaged_identity_is_refused(storage: SimulatedStorage) -> None:
    logs = claimed(storage)
    identify(logs, storage, CLUSTER, 1, Randomness(1), alone=True)
    storage.write_atomically("/data/meta.properties", b"#\ncluster.id=x\n")
    logs.release()
    with pytest.raises(DirectoryError, match=r"/data/meta\.properties is damaged"):
        claimed(storage)


def test_the_file_reads_as_it_was_written() -> None:
    meta = MetaProperties(CLUSTER, 3, Randomness(5).uuid4())
    assert MetaProperties.parse(meta.render(), "/data") == meta
