"""Rows: the migrations make what the models say, and the database itself refuses what must not be."""

import pytest
from article import services
from article.models import Like
from django.core.management import call_command
from django.db import IntegrityError
from servicekit.outbox.publishing import now

pytestmark = pytest.mark.usefixtures("database")


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_database_refuses_a_second_like() -> None:
    article = services.article_create(board_id=1, title="t", content="c", writer_id=1)
    Like.objects.create(article=article, user_id=7, created_at=now())
    with pytest.raises(IntegrityError):
        Like.objects.create(article=article, user_id=7, created_at=now())


def test_the_database_refuses_a_like_of_nothing() -> None:
    with pytest.raises(IntegrityError):
        Like.objects.create(article_id=5, user_id=7, created_at=now())
