"""The suite of servicekit runs on the sample service of its tests."""

import sys
from pathlib import Path

from service_suite import database, postgresql_url, prepare, sqlite_url

__all__ = ["database", "postgresql_url", "sqlite_url"]

sys.path.insert(0, str(Path(__file__).parent / "tests"))
prepare("sample_service.settings")
