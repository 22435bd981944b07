"""`./board groups`: how far each group has come, in the columns of Kafka's `consumer-groups --describe`."""

import argparse

from demo.groups import group_rows
from demo.state import require_running
from demo.terminal import Terminal, plain_table


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    rows = group_rows(layout.bootstrap_servers)
    columns = ("GROUP", "TOPIC", "PARTITION", "COMMITTED-OFFSET", "LOG-END-OFFSET", "LAG", "MEMBER", "HOST")
    table = plain_table(*columns)
    for row in rows:
        values = (row.group, row.topic, row.partition, row.committed, row.log_end, row.lag, row.member, row.host)
        table.add_row(*("-" if value is None else str(value) for value in values))
    terminal = Terminal()
    if rows:
        terminal.show(table)
    else:
        terminal.say("no group has a partition yet; a new one waits group.initial.rebalance.delay.ms for more members")
    return 0
