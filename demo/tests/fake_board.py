"""A supervisor over small children, as a process of its own: `python fake_board.py DATA NAME=BEHAVIOUR…`.

A child listens on a port of its own, notes its process id in DATA/NAME.pids, and behaves: `good`; `dies` always, before it
listens; `stubborn` ignores SIGTERM; `once` dies once, after it was ready. There are no migrations and no topics.
"""

import sys
from pathlib import Path

from broker.testing.ports import free_ports
from demo.layout import DemoError, Layout, ProcessSpec

from demo import prepare, supervisor

CHILD = """
import os, signal, socket, sys, time
from pathlib import Path
behaviour, port, pids = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
with pids.open("a") as file:
    file.write(f"{os.getpid()}\\n")
print("child starts", flush=True)
if behaviour == "dies":
    sys.exit("no reason to live")
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", port))
if behaviour == "once" and len(pids.read_text().splitlines()) == 1:
    server.accept()
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
while True:
    server.accept()[0].close()
"""


class FakeLayout(Layout):
    """The children that the command line names, the first of them one stage before the rest."""

    def processes(self) -> list[ProcessSpec]:
        specs = []
        for number, argument in enumerate(sys.argv[2:]):
            name, behaviour = argument.split("=")
            port = free_ports(1)[0]
            command = (sys.executable, "-c", CHILD, behaviour, str(port), str(self.data / f"{name}.pids"))
            specs.append(ProcessSpec(name, command, self.data, {}, min(number, 1), port))
        return specs

    def ports(self) -> dict[int, str]:
        return {}


def main() -> int:
    prepare.migrate = lambda *arguments: None
    prepare.create_topics = lambda *arguments: None
    prepare.check_cluster = lambda *arguments: None
    try:
        supervisor.Supervisor(FakeLayout(Path(sys.argv[1])), say=lambda text: print(text, flush=True)).run(
            on_ready=lambda: print("ready", flush=True)
        )
    except DemoError as error:
        print(f"error: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
