"""`broker random-uuid`."""

import pytest
from broker.cli.random_uuid import main
from broker.protocol.types import uuid_from_base64


def test_another_id_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert [main([]) for _ in range(20)] == [0] * 20
    ids = capsys.readouterr().out.split()
    assert len(set(ids)) == 20
    # As kafka-storage.sh has it: no id begins like an option.
    assert all(uuid_from_base64(one).int and not one.startswith("-") for one in ids)
