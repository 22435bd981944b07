"""`./board groups`: how far each group has come, in the columns of Kafka's `consumer-groups --describe`."""

import argparse

from confluent_kafka import KafkaException

from demo.groups import group_rows
from demo.layout import DemoError
from demo.state import require_running
from demo.terminal import Terminal, plain_table


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    try:
        rows = group_rows(layout.bootstrap_servers)
    except KafkaException as error:
        raise DemoError(f"the broker at {layout.bootstrap_servers} does not answer: {error.args[0].str()}") from error
    columns = ("GROUP", "TOPIC", "PARTITION", "COMMITTED-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "HOST")
    table = plain_table(*columns)
    for row in rows:
        values = (row.group, row.topic, row.partition, row.committed, row.log_end, row.lag, row.member, row.host)
        table.add_row(*("-" if value is None else str(value) for value in values))
    terminal = Terminal()
    if rows:
        terminal.show(table)
    else:
        terminal.say("no groups yet")
    return 0
