"""`manage.py web --host HOST --port PORT`: the service's web process."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from servicekit.processes import CannotListen, port_number, serve_web


class Command(BaseCommand):
    help = "Serve the REST API."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=port_number, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            serve_web(options["host"], options["port"])
        except CannotListen as error:
            raise CommandError(str(error)) from error
