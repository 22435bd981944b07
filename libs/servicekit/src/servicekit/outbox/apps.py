"""The Django app of the outbox."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "servicekit.outbox"
    label = "servicekit_outbox"
