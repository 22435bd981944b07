"""Which process, where, with which settings."""

from pathlib import Path

import pytest
from demo.layout import PORT_BASE, PORT_BASE_MAX, Layout


def test_the_default_ports_are_those_of_the_readme() -> None:
    layout = Layout(Path("/data"))
    assert layout.port_base == PORT_BASE
    assert layout.bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
    assert [layout.url(service) for service in ("article", "comment", "popular", "read-view")] == [
        f"http://127.0.0.1:{port}" for port in (8001, 8002, 8003, 8004)
    ]


@pytest.mark.parametrize("port_base", [1024, PORT_BASE, PORT_BASE_MAX])
def test_every_port_is_a_port_of_its_own(port_base: int) -> None:
    ports = Layout(Path("/data"), port_base).ports()
    # Three brokers, their controllers, Valkey, four web processes, four workers.
    assert len(ports) == 15
    assert all(1024 <= port <= 65535 for port in ports)


def test_every_process_listens_where_it_is_looked_for() -> None:
    layout = Layout(Path("/data"))
    assert {spec.port for spec in layout.processes()} | {9095, 9096, 9097} == layout.ports().keys()


def test_what_the_services_stand_on_starts_first() -> None:
    stages = {spec.name: spec.stage for spec in Layout(Path("/data")).processes()}
    assert len(stages) == 12
    assert stages["broker-1"] == stages["broker-3"] == stages["valkey"] == min(stages.values())


def test_everything_listens_on_this_machine_alone() -> None:
    for spec in Layout(Path("/data")).processes():
        assert "0.0.0.0" not in " ".join(spec.command)
        assert "127.0.0.1" in " ".join(spec.command) or spec.command[2] == "worker"


def test_with_a_broker_elsewhere_none_is_started() -> None:
    layout = Layout(Path("/data"), external_broker="kafka.example:9092")
    assert not {"broker", "broker-1"} & {spec.name for spec in layout.processes()}
    assert 9092 not in layout.ports()
    assert layout.service_env("article")["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example:9092"


def test_settings_of_another_broker_in_the_shell_do_not_reach_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:1")
    monkeypatch.setenv("CLUSTER_ID", "other")
    broker = next(spec for spec in Layout(Path("/data")).processes() if spec.name == "broker-1")
    assert not {"KAFKA_LISTENERS", "CLUSTER_ID"} & broker.env.keys()


def test_one_broker_is_as_kafka_starts_alone() -> None:
    layout = Layout(Path("/data"), brokers=1)
    broker = next(spec for spec in layout.processes() if spec.name == "broker")
    assert layout.bootstrap_servers == "127.0.0.1:9092"
    assert "controller.quorum.voters=1@127.0.0.1:9093" in broker.command
    assert not [word for word in broker.command if "replica" in word]


def test_three_brokers_know_each_other_and_keep_two_copies_at_least(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.cluster_id_file.write_text("Ym9hcmQtZGVtby1jbHVzdA\n")
    brokers = [spec for spec in layout.processes() if spec.name.startswith("broker-")]
    assert [spec.name for spec in brokers] == ["broker-1", "broker-2", "broker-3"]
    for spec in brokers:
        assert spec.env["CLUSTER_ID"] == "Ym9hcmQtZGVtby1jbHVzdA"
        assert {
            "controller.quorum.voters=1@127.0.0.1:9095,2@127.0.0.1:9096,3@127.0.0.1:9097",
            "default.replication.factor=3",
            "offsets.topic.replication.factor=3",
            "min.insync.replicas=2",
        } <= set(spec.command)
    assert len({word for spec in brokers for word in spec.command if word.startswith("log.dirs")}) == 3


def test_only_services_with_rows_have_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    layout = Layout(Path("/data"))
    assert layout.service_env("comment")["DATABASE_URL"] == "sqlite:////data/comment/db.sqlite3"
    assert "DATABASE_URL" not in layout.service_env("popular")
