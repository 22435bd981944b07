"""`./board groups`: how far each group has come, in the columns of Kafka's `consumer-groups --describe`."""

import argparse

from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from demo.groups import group_rows
from demo.layout import DemoError
from demo.state import require_running


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    try:
        rows = group_rows(layout.bootstrap_servers)
    except KafkaException as error:
        raise DemoError(f"the broker at {layout.bootstrap_servers} does not answer: {error.args[0].str()}") from error
    columns = ("GROUP", "TOPIC", "PARTITION", "COMMITTED-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "HOST")
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        values = (row.group, row.topic, row.partition, row.committed, row.log_end, row.lag, row.member, row.host)
        table.add_row(*("-" if value is None else str(value) for value in values))
    console = Console(highlight=False)
    console.width = max(console.width, 160)  # never cut an offset or a member id
    console.print(table if rows else "no groups yet")
    return 0
