"""The suite of the comment service."""

from service_suite import database, postgresql_url, prepare, sqlite_url

__all__ = ["database", "postgresql_url", "sqlite_url"]

prepare("comment.settings")
