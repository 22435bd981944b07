"""Rows: the migrations make what the models say, and the database itself refuses what must not be."""

import pytest
from comment import services
from comment.models import DEPTH_MAX, PATH_PART, Comment
from django.core.management import call_command
from django.db import IntegrityError
from django.db.models import ProtectedError
from servicekit.outbox.publishing import now

pytestmark = pytest.mark.usefixtures("database")


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_a_path_has_room_for_the_greatest_depth_and_id() -> None:
    path = f"{2**63 - 1:0{PATH_PART}x}" * DEPTH_MAX
    made = Comment.objects.create(id=1, article_id=7, path=path, content="c", writer_id=1, created_at=now())
    assert Comment.objects.get().path == path
    assert made.depth == DEPTH_MAX


def test_the_database_refuses_two_at_one_place() -> None:
    made = services.comment_create(article_id=7, parent_id=None, content="c", writer_id=1)
    with pytest.raises(IntegrityError):
        Comment.objects.create(id=1, article_id=7, path=made.path, content="c", writer_id=1, created_at=now())


def test_a_parent_is_not_removed_under_its_children() -> None:
    parent = services.comment_create(article_id=7, parent_id=None, content="c", writer_id=1)
    services.comment_create(article_id=7, parent_id=parent.id, content="c", writer_id=1)
    with pytest.raises(ProtectedError):
        parent.delete()
