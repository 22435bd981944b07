"""One process: started, ready, ended, and what its log says."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from broker.testing.ports import free_ports
from demo.child import LOG_TAIL_LINES, Child
from demo.layout import ProcessSpec
from waiting import wait_until


def child_of(tmp_path: Path, code: str, ready_url: str | None = None, port: int = 0) -> Child:
    command = (sys.executable, "-c", code, str(port))
    return Child(ProcessSpec("web", command, tmp_path / "work", {"WORD": "hello"}, 0, port, ready_url), tmp_path / "web.log")


def test_it_runs_in_its_directory_with_its_environment_alone(tmp_path: Path) -> None:
    child = child_of(tmp_path, "import os; print(os.getcwd(), dict(os.environ).get('WORD'), 'HOME' in os.environ)")
    assert child.end_of() is None
    child.start()
    wait_until(child.end_of, "its end")
    assert child.log_path.read_text() == f"{tmp_path / 'work'} hello False\n"
    assert child.end_of() == "exit status 0"


def test_without_a_url_it_is_ready_when_its_port_answers(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    code = "import socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: s.accept()[0].close()"
    child = child_of(tmp_path, code, port=port)
    assert not child.is_ready()
    child.start()
    wait_until(child.is_ready, "the port")
    child.signal(signal.SIGKILL)
    wait_until(child.end_of, "its end")
    assert child.end_of() == "killed by SIGKILL"
    assert not child.is_ready()
    child.signal(signal.SIGTERM)  # to nobody: no error


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_with_a_url_its_status_decides(tmp_path: Path, status: int, ready: bool) -> None:
    port = free_ports(1)[0]
    code = f"""
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status} if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
    child = child_of(tmp_path, code, f"http://127.0.0.1:{port}/readyz", port)
    child.start()
    try:
        wait_until(lambda: child.is_ready() or "GET /readyz" in child.log_path.read_text(), "an answer")
        assert child.is_ready() is ready
    finally:
        child.signal(signal.SIGKILL)
        wait_until(child.end_of, "its end")


def test_an_answer_that_is_no_http_is_not_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"no\n\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert not child_of(tmp_path, "", f"http://127.0.0.1:{port}/readyz", port).is_ready()
        thread.join()


def test_a_signal_reaches_what_it_started(tmp_path: Path) -> None:
    """A child and its own children are one group."""
    code = "import subprocess, sys\np = subprocess.Popen(['sleep', '1000'])\nprint(p.pid, flush=True)\np.wait()"
    child = child_of(tmp_path, code)
    child.spec.env["PATH"] = os.environ["PATH"]
    child.start()
    wait_until(lambda: child.log_path.exists() and child.log_path.read_text().strip(), "its child")
    grandchild = int(child.log_path.read_text())
    child.signal(signal.SIGTERM)
    wait_until(child.end_of, "its end")
    wait_until(
        lambda: not Path(f"/proc/{grandchild}/cmdline").exists() or not Path(f"/proc/{grandchild}/cmdline").read_bytes(),
        "the grandchild's end",
    )


def test_the_end_of_a_log_is_short_and_indented(tmp_path: Path) -> None:
    child = child_of(tmp_path, "")
    assert child.log_tail() == ""
    child.log_path.write_bytes(b"\xff" * 100_000 + b"\n" + b"".join(b"line %d\n" % number for number in range(100)))
    assert child.log_tail().splitlines() == [f"    line {number}" for number in range(100 - LOG_TAIL_LINES, 100)]


def test_a_program_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    child = Child(ProcessSpec("web", ("/no/such/program",), tmp_path, {}, 0, 1), tmp_path / "web.log")
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        child.start()
