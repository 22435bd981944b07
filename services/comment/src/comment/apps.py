"""The Django app."""

from django.apps import AppConfig


class CommentConfig(AppConfig):
    name = "comment"
