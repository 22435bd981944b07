"""The suite of the article service."""

from service_suite import database, postgresql_url, prepare, sqlite_url

__all__ = ["database", "postgresql_url", "sqlite_url"]

prepare("article.settings")
