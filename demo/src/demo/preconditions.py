"""What must hold before the first process starts, each with a message that says what to do: directory, disk space, ports."""

import shutil
import socket
import tempfile

from demo.layout import BROKERS, HOST, PORT_BASE, DemoError, Layout

FREE_BYTES_MIN = 64 * 1024 * 1024


def check_data_directory(layout: Layout) -> None:
    """The data directory can be made and written to, and its disk has room for a start."""
    try:
        layout.data.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(layout.data).free
        with tempfile.NamedTemporaryFile(dir=layout.data, prefix=".probe-"):
            pass
        layout.log_directory.mkdir(exist_ok=True)
    except OSError as error:
        raise DemoError(
            f"the data directory {layout.data} cannot be used: {error.strerror}; mend that, or choose another with --data DIR"
        ) from error
    if free < FREE_BYTES_MIN:
        raise DemoError(
            f"the disk of {layout.data} has {free // 2**20} MiB free, at least {FREE_BYTES_MIN // 2**20} MiB are needed; "
            "free some, or choose another place with --data DIR"
        )


def check_brokers(layout: Layout) -> None:
    """The directory has the data of as many brokers as are to run: a quorum does not change by a restart."""
    if layout.external_broker:
        return
    for made_with in (1, BROKERS):
        first = layout.data / Layout(layout.data, brokers=made_with).broker_name(1)
        if made_with != layout.brokers and first.is_dir():
            raise DemoError(
                f"the data in {layout.data} is of a board with {made_with} broker{'s' * (made_with > 1)}; run it as such with "
                f"./board up --brokers {made_with}, or begin another board with --data DIR (nothing is taken over or removed)"
            )


def check_ports(layout: Layout) -> None:
    """Every port of the board can be listened on."""
    for port, owner in sorted(layout.ports().items()):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                other = PORT_BASE + 10000 if layout.port_base == PORT_BASE else PORT_BASE
                raise DemoError(
                    f"{owner} needs port {port}, which cannot be listened on: {error.strerror}; "
                    f"end what uses it, or choose other ports: ./board up --port-base {other}"
                ) from error
