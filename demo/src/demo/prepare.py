"""What must exist before the services start: tables and topics. Safe to repeat, and given up at once when asked to stop."""

import base64
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from demo.child import LOG_TAIL_LINES, die_with_parent
from demo.layout import DemoError, Layout

TOPICS = ("article-topic", "comment-topic")
GROUPS = ("popular", "read-view")
PARTITIONS = 3
MIGRATE_TIMEOUT_SECONDS = 120
REQUEST_TIMEOUT_SECONDS = 10
CREATE_TIMEOUT_SECONDS = 15
POLL_SECONDS = 0.05

CLUSTER_FILE = "cluster-id"

# Raises when the board is asked to stop.
Check = Callable[[], None]


def dead_letter_topics() -> list[str]:
    """One per topic and group that reads it."""
    return [f"{topic}.{group}.dlt" for topic in TOPICS for group in GROUPS]


def name_cluster(layout: Layout) -> None:
    """Choose the id of a cluster of several brokers, once: before the first of them formats its directory."""
    if len(layout.broker_ids) > 1 and not layout.cluster_id_file.exists():
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        layout.cluster_id_file.write_text(cluster_id + "\n")


def create_topics(bootstrap_servers: str, check: Check) -> None:
    """Create the board's topics where they are absent; DemoError when the broker does not do it in time.

    `retention.ms=-1`: the projections are rebuilt from offset 0, so it has to be there always. The replication factor is
    the broker's default.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    wanted = [
        NewTopic(name, num_partitions=PARTITIONS, replication_factor=-1, config={"retention.ms": "-1"})
        for name in (*TOPICS, *dead_letter_topics())
    ]
    deadline = time.monotonic() + CREATE_TIMEOUT_SECONDS
    while True:
        try:
            for future in admin.create_topics(wanted, request_timeout=REQUEST_TIMEOUT_SECONDS).values():
                _wait_created(future, check)
        except KafkaException as error:
            if time.monotonic() > deadline:
                why = error.args[0].str()
                raise DemoError(f"the topics could not be created on the broker at {bootstrap_servers}: {why}") from error
            time.sleep(POLL_SECONDS)
        else:
            return


def check_cluster(layout: Layout) -> None:
    """The data directory belongs to the cluster that it was first used with: offsets and projections are kept in it.

    DemoError names both when another broker answers. To be called once the broker answers.
    """
    admin = AdminClient({"bootstrap.servers": layout.bootstrap_servers, "log_level": 0})
    try:
        cluster_id = str(admin.describe_cluster(request_timeout=REQUEST_TIMEOUT_SECONDS).result().cluster_id)
    except KafkaException as error:
        raise DemoError(f"the broker at {layout.bootstrap_servers} does not answer: {error.args[0].str()}") from error
    path = layout.data / CLUSTER_FILE
    if not path.exists():
        path.write_text(cluster_id + "\n")
    known = path.read_text().strip()
    if known != cluster_id:
        raise DemoError(
            f"the data in {layout.data} belongs to the cluster {known}, the broker at {layout.bootstrap_servers} is of the "
            f"cluster {cluster_id}; use another data directory with --data DIR"
        )


def _wait_created(future: "Future[None]", check: Check) -> None:
    while not future.done():
        check()
        time.sleep(POLL_SECONDS)
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def migrate(layout: Layout, service: str, check: Check) -> None:
    """Bring the service's database to its newest schema; DemoError with the command's own words when that fails."""
    (layout.data / service).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            layout.manage("migrate", "--no-input", "--verbosity", "0"),
            cwd=layout.service_directory(service),
            env=layout.service_env(service),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
        )
        deadline = time.monotonic() + MIGRATE_TIMEOUT_SECONDS
        try:
            while process.poll() is None:
                check()
                if time.monotonic() > deadline:
                    raise DemoError(f"migrating {service} took longer than {MIGRATE_TIMEOUT_SECONDS} s")
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            output.seek(0)
            words = output.read().decode(errors="replace").strip().splitlines()
            raise DemoError("\n    ".join([f"migrating {service} failed:", *words[-LOG_TAIL_LINES:]]))
