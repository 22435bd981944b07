"""`manage.py worker --health-port PORT`: the service's worker process."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from servicekit.processes import CannotListen, make_worker, port_number


class Command(BaseCommand):
    help = "Run the relay and the consumers of this service."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--health-host", default="127.0.0.1")
        parser.add_argument("--health-port", type=port_number, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = make_worker().run(options["health_host"], options["health_port"])
        except CannotListen as error:
            raise CommandError(str(error)) from error
        sys.exit(status)
