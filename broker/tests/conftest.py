"""What the broker's unit tests share: the option that writes scenario files anew."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the expected traces of scenario files anew")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether scenario files are to be written anew."""
    return bool(request.config.getoption("--rewrite", default=False))
