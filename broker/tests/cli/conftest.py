"""One broker in a thread for all tests of the command line, and a way to run a command in this process."""

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import pytest
from broker.cli import main as cli
from broker.cli.cluster import Cluster
from broker.testing import BrokerThread

from .fake_broker import free_address

_numbers = count(1)


class Result(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output, runs of blanks as one, without empty lines."""
        return [" ".join(line.split()) for line in self.out.splitlines() if line.strip()]


Run = Callable[..., Result]
MakeTopic = Callable[..., str]
Fresh = Callable[[str], str]


@pytest.fixture(scope="session")
def controller_address() -> str:
    """Where the controller of the broker listens."""
    return free_address()


@pytest.fixture(scope="session")
def bootstrap(controller_address: str) -> Iterator[str]:
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:0,CONTROLLER://{controller_address}",
        "controller.quorum.voters": f"1@{controller_address}",
        "offsets.topic.num.partitions": "3",
        "group.min.session.timeout.ms": "100",
    }
    with BrokerThread(settings) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def cluster(bootstrap: str) -> Iterator[Cluster]:
    with Cluster(bootstrap, "tests") as found:
        yield found


@pytest.fixture
def fresh() -> Fresh:
    """A name that nobody used yet."""
    return lambda prefix: f"{prefix}-{next(_numbers)}"


@pytest.fixture
def run(bootstrap: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("topics", "--list")`, against the broker unless `server` names another; `stdin` is what the command reads.

    With `option` the address is that of another option than --bootstrap-server.
    """

    def run_command(*arguments: str, stdin: bytes = b"", server: str | None = None, option: str = "--bootstrap-server") -> Result:
        reading, writing = os.pipe()
        os.write(writing, stdin)
        os.close(writing)
        capfdbinary.readouterr()
        with os.fdopen(reading) as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stream)
            command, *rest = arguments
            status = cli.main([command, option, server or bootstrap, *rest])
        out, err = capfdbinary.readouterr()
        return Result(status, out.decode(), err.decode())

    return run_command


@pytest.fixture
def make_topic(run: Run, fresh: Fresh) -> MakeTopic:
    """A function that creates a fresh topic and returns its name."""

    def make(partitions: int = 1, *arguments: str) -> str:
        name = fresh("topic")
        assert run("topics", "--create", "--topic", name, "--partitions", str(partitions), *arguments).status == 0
        return name

    return make
