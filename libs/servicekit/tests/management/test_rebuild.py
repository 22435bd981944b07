"""`manage.py rebuild`, where there is nothing to rebuild. Building is tested with `consuming.rebuild`."""

import pytest
from django.core.management import CommandError, call_command


def test_a_service_without_a_projection_says_so() -> None:
    with pytest.raises(CommandError, match="sample_service has no projection"):
        call_command("rebuild")
