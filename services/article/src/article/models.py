"""Rows of the article service.

`version` counts the changes of the article itself; `like_version` those of its likes. Both are raised under the lock of the
article's row, so events of one article have one order.
"""

from django.db import models

TITLE_MAX = 200
CONTENT_MAX = 65_536


class Article(models.Model):
    """A post. The id is a snowflake id: newer articles have larger ones."""

    id = models.BigIntegerField(primary_key=True)
    board_id = models.BigIntegerField()
    title = models.CharField(max_length=TITLE_MAX)
    content = models.TextField()
    writer_id = models.BigIntegerField()
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    version = models.PositiveBigIntegerField(default=1)
    like_count = models.PositiveBigIntegerField(default=0)
    like_version = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "article"
        indexes = [models.Index(fields=["board_id", "-id"], name="article_board")]  # noqa: RUF012 - Django's own shape


class Like(models.Model):
    """Who likes what, once."""

    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="likes")
    user_id = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "article_like"
        constraints = [models.UniqueConstraint(fields=["article", "user_id"], name="one_like_each")]  # noqa: RUF012
