"""The tables of threads and comments."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Thread",
            fields=[
                ("article_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("comment_count", models.PositiveBigIntegerField(default=0)),
                ("comment_version", models.PositiveBigIntegerField(default=0)),
            ],
            options={"db_table": "thread"},
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("article_id", models.BigIntegerField()),
                ("path", models.CharField(max_length=160)),
                ("content", models.CharField(max_length=4096)),
                ("writer_id", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                ("deleted", models.BooleanField(default=False)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="comment.comment",
                    ),
                ),
            ],
            options={
                "db_table": "comment",
                "constraints": [models.UniqueConstraint(fields=("article_id", "path"), name="comment_thread_order")],
            },
        ),
    ]
