"""meta.properties: what is written, what Kafka writes, and what is refused with the file's name."""

import uuid

import pytest
from broker.log.properties import DirectoryError, MetaProperties

META = MetaProperties("4L6g3nShT-eMCtK--X86sw", 3, uuid.UUID("01234567-89ab-4def-8123-456789abcdef"))


def test_what_is_written_is_read() -> None:
    assert MetaProperties.parse(META.render(), "/d") == META


def test_what_kafka_writes_is_read() -> None:
    text = """#
#Tue Nov 25 10:00:00 UTC 2025
cluster.id=4L6g3nShT-eMCtK--X86sw
directory.id=ASNFZ4mrTe-BI0VniavN7w
node.id=3
version=1
"""
    assert MetaProperties.parse(text.encode(), "/d") == META


@pytest.mark.parametrize("missing", ["cluster.id", "node.id", "directory.id"])
def test_what_is_missing_is_named(missing: str) -> None:
    lines = [line for line in META.render().decode().splitlines() if not line.startswith(missing)]
    with pytest.raises(DirectoryError, match=rf"/d/meta\.properties is damaged.*{missing}"):
        MetaProperties.parse("\n".join(lines).encode(), "/d")


@pytest.mark.parametrize("data", [b"", b"cluster.id=x\nnode.id=one\ndirectory.id=ASNFZ4mrTe-BI0VniavN7w", b"\xff\xfe"])
def test_damage_is_said(data: bytes) -> None:
    with pytest.raises(DirectoryError, match=r"/d/meta\.properties is damaged"):
        MetaProperties.parse(data, "/d")
