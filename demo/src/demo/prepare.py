"""What must exist before the services start: tables and topics. Safe to repeat."""

import subprocess
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from demo.layout import DemoError, Layout

TOPICS = ("article-topic", "comment-topic")
GROUPS = ("popular", "read-view")
PARTITIONS = 3
MIGRATE_TIMEOUT_SECONDS = 120
REQUEST_TIMEOUT_SECONDS = 10
CREATE_ATTEMPTS = 5


def dead_letter_topics() -> list[str]:
    """One per topic and group that reads it."""
    return [f"{topic}.{group}.dlt" for topic in TOPICS for group in GROUPS]


def create_topics(bootstrap_servers: str, replication_factor: int = 1) -> None:
    """Create the board's topics where they are absent.

    `retention.ms=-1`: the projections are rebuilt from offset 0, so it has to be there always.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    wanted = [
        NewTopic(name, num_partitions=PARTITIONS, replication_factor=replication_factor, config={"retention.ms": "-1"})
        for name in (*TOPICS, *dead_letter_topics())
    ]
    last_error: Exception | None = None
    for attempt in range(CREATE_ATTEMPTS):
        try:
            for future in admin.create_topics(wanted, request_timeout=REQUEST_TIMEOUT_SECONDS).values():
                _ignore_existing(future)
        except KafkaException as error:
            last_error = error
            time.sleep(0.2 * (attempt + 1))
        else:
            return
    raise DemoError(f"the topics could not be created on {bootstrap_servers}: {last_error}")


def _ignore_existing(future: "object") -> None:
    try:
        future.result()  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def migrate(layout: Layout, service: str) -> None:
    """Bring the service's database to its newest schema; DemoError with the command's own words when that fails."""
    try:
        done = subprocess.run(
            layout.manage(service, "migrate", "--no-input", "--verbosity", "0"),
            cwd=layout.service_directory(service),
            env=layout.service_env(service),
            capture_output=True,
            text=True,
            timeout=MIGRATE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DemoError(f"migrating {service} took longer than {MIGRATE_TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        raise DemoError(f"migrating {service} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
