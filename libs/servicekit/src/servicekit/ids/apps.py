"""The Django app of the worker number leases."""

from django.apps import AppConfig


class IdsConfig(AppConfig):
    name = "servicekit.ids"
    label = "servicekit_ids"
