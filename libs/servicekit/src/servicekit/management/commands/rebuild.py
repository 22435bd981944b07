"""`manage.py rebuild`: build this service's projection anew from offset 0 and swap it in."""

from typing import Any

from confluent_kafka import KafkaException
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string
from events.topics import TOPICS

from servicekit.consuming.positions import DependencyDown
from servicekit.consuming.rebuild import RebuildFailed, rebuild
from servicekit.consuming.store import ProjectionStore, connect


class Command(BaseCommand):
    help = "Build the projection anew from offset 0, beside the live one, and put it in its place."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def handle(self, *args: Any, **options: Any) -> None:
        projection = getattr(settings, "PROJECTION", None)
        if projection is None:
            raise CommandError(f"{settings.SERVICE} has no projection")
        live = ProjectionStore(connect(settings.VALKEY_URL), settings.SERVICE)
        make_projection = import_string(projection)
        try:
            count = rebuild(settings.KAFKA_BOOTSTRAP_SERVERS, TOPICS, live, make_projection)
        except (RebuildFailed, DependencyDown, KafkaException) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"rebuilt {settings.SERVICE} from {count} records")
