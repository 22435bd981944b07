"""The table of worker number leases."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="WorkerLease",
            fields=[
                ("number", models.PositiveIntegerField(primary_key=True, serialize=False)),
                ("holder", models.UUIDField()),
                ("expires_ms", models.BigIntegerField()),
            ],
            options={"db_table": "worker_lease"},
        ),
    ]
