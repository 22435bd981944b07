"""The tables of the outbox."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("topic", models.CharField(max_length=249)),
                ("key", models.CharField(max_length=64)),
                ("value", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "outbox_event",
                "indexes": [
                    models.Index(condition=models.Q(("sent_at__isnull", True)), fields=["id"], name="outbox_unsent"),
                    models.Index(fields=["sent_at"], name="outbox_sent"),
                ],
            },
        ),
        migrations.CreateModel(
            name="RelayLease",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("holder", models.UUIDField()),
                ("expires_ms", models.BigIntegerField()),
            ],
            options={"db_table": "relay_lease"},
        ),
    ]
