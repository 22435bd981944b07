"""Rows of the comment service.

A comment's `path` is the path of its parent and its own id, in hexadecimal of one length: sorted by it, comments are in
thread order. `Thread` is the aggregate, one row per article: its lock gives the changes of an article's comments one order.
"""

from django.db import models

CONTENT_MAX = 4096
# How deep an answer to an answer may go.
DEPTH_MAX = 10
PATH_PART = 16


class Thread(models.Model):
    """All comments of one article: how many can be read, and the version that grows with each change."""

    article_id = models.BigIntegerField(primary_key=True)
    comment_count = models.PositiveBigIntegerField(default=0)
    comment_version = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "thread"


class Comment(models.Model):
    """One comment. A deleted one stays, without its content, until its last answer has gone."""

    id = models.BigIntegerField(primary_key=True)
    article_id = models.BigIntegerField()
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    path = models.CharField(max_length=PATH_PART * DEPTH_MAX)
    content = models.CharField(max_length=CONTENT_MAX)
    writer_id = models.BigIntegerField()
    created_at = models.DateTimeField()
    deleted = models.BooleanField(default=False)

    class Meta:
        db_table = "comment"
        constraints = [  # noqa: RUF012 - Django's own shape
            models.UniqueConstraint(fields=["article_id", "path"], name="comment_thread_order")
        ]

    @property
    def depth(self) -> int:
        """1 for a comment on the article itself."""
        return len(self.path) // PATH_PART
