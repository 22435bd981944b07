"""The tables of articles and likes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Article",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("board_id", models.BigIntegerField()),
                ("title", models.CharField(max_length=200)),
                ("content", models.TextField()),
                ("writer_id", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField()),
                ("version", models.PositiveBigIntegerField(default=1)),
                ("like_count", models.PositiveBigIntegerField(default=0)),
                ("like_version", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "db_table": "article",
                "indexes": [models.Index(fields=["board_id", "-id"], name="article_board")],
            },
        ),
        migrations.CreateModel(
            name="Like",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_id", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "article",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="likes", to="article.article"),
                ),
            ],
            options={
                "db_table": "article_like",
                "constraints": [models.UniqueConstraint(fields=("article", "user_id"), name="one_like_each")],
            },
        ),
    ]
