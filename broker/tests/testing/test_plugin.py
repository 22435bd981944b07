"""The pytest plugin, in sessions of their own: what its fixtures give, what it costs who does not use them, and its manual."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(400)
MANUAL = Path(__file__).resolve().parents[3] / "docs/testing.md"
# ```python or ```ini, and in its first line the name of the file.
EXAMPLE = re.compile(r"^```(?:python|ini)\n# (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TIMEOUT_S = 100
USES = """
import json, os
from pathlib import Path
from broker.testing import BrokerProcess, Cluster

def test_one(kafka_broker, kafka_topic):
    assert isinstance(kafka_broker, BrokerProcess) and kafka_broker.running
    first, second = kafka_topic(), kafka_topic(partitions=2, retention_ms=1000)
    assert first != second and first.startswith("test_one-")
    Path(os.environ["TOLD"]).write_text(json.dumps([kafka_broker.pid, kafka_broker.port, str(kafka_broker.directory)]))

def test_two(kafka_broker):
    assert kafka_broker.pid == json.loads(Path(os.environ["TOLD"]).read_text())[0]
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:randomly", *arguments, timeout=TIMEOUT_S)


def test_who_does_not_use_it_loads_nothing_of_the_broker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("broker")
            loaded = {name for name in sys.modules if name == "broker" or name.startswith("broker.")}
            assert loaded == {"broker", "broker.testing", "broker.testing.plugin"}
            assert not {"uvloop", "crc32c", "cramjam"} & set(sys.modules)
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_sessions_at_the_same_time_have_brokers_of_their_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(test_uses=USES)
    sessions = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("TOLD", str(pytester.path / f"{worker}.json"))
        command = [sys.executable, "-m", "pytest", "-p", "no:randomly", f"--basetemp={pytester.path / worker}", "-q"]
        sessions.append(subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, text=True))
    for session in sessions:
        output, _ = session.communicate(timeout=TIMEOUT_S)
        assert session.returncode == 0, output
    first, second = (json.loads((pytester.path / f"{worker}.json").read_text()) for worker in ("gw0", "gw1"))
    assert all(one != other for one, other in zip(first, second, strict=True))
    for worker, (pid, _, directory) in (("gw0", first), ("gw1", second)):
        assert Path(directory).is_relative_to(pytester.path / worker)
        assert (Path(directory) / "broker.log").exists()
        assert not Path(f"/proc/{pid}").exists(), "the broker outlived its session"


def test_a_cluster_is_whole_again_for_the_next_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it_is_broken(kafka_cluster, kafka_topic):
            topic = kafka_topic()
            assert kafka_cluster.isr_of(topic, 0) == [1, 2, 3]
            kafka_cluster.kill(1)
            kafka_cluster.pause(2)
            kafka_cluster.fill_disk(3)
            kafka_cluster.cut(2, 3)

        def test_it_is_whole(kafka_cluster, kafka_topic):
            assert all(broker.running for broker in kafka_cluster.brokers.values())
            assert kafka_cluster.isr_of(kafka_topic(), 0) == [1, 2, 3]
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_settings_come_from_the_ini_file_and_the_command_line(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkafka_settings =\n    num.partitions=3\n    message.max.bytes = 2000\n")
    pytester.makepyfile(
        "def test_settings(kafka_settings):\n    assert kafka_settings == {'num.partitions': '5', 'message.max.bytes': '2000'}"
    )
    run(pytester, "--kafka-setting", "num.partitions=5").assert_outcomes(passed=1)
    wrong = run(pytester, "--kafka-setting", "num.partitions")
    wrong.assert_outcomes(errors=1)
    wrong.stdout.fnmatch_lines(["*kafka settings are lines of name=value, not 'num.partitions'*"])


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_uses(kafka_broker):\n    pass")
    result = run(pytester, "-p", "no:broker")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'kafka_broker' not found*"])


def test_the_examples_of_the_manual_run_as_they_stand(pytester: pytest.Pytester) -> None:
    examples = dict(EXAMPLE.findall(MANUAL.read_text()))
    assert len(examples) == MANUAL.read_text().count("```") // 2
    for name, text in examples.items():
        (pytester.path / name).write_text(text)
    run(pytester).assert_outcomes(passed=sum(name.startswith("test_") for name in examples))
    for name in examples:
        if name.endswith(".py") and not name.startswith("test_"):
            command = [sys.executable, name]
            done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
            assert done.returncode == 0, f"{name}:\n{done.stderr}"
