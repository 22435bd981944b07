"""The reading half with a message that has every type, nullable and tagged, against bytes written out by hand."""

import uuid

import pytest
from broker.protocol.codec import MalformedMessage, decode
from broker.protocol.message import Record, Struct
from broker.protocol.types import (
    UUID,
    array,
    blob,
    boolean,
    float64,
    int8,
    int16,
    int32,
    int64,
    string,
    struct,
    uint16,
    uint32,
    uuid_,
)

ONE = uuid.UUID(int=1)


class Inner(Struct):
    name: str = string()


class Everything(Record, key=1, versions="0-1", flexible="1+"):
    """Each wire type once, in the order of their sizes."""

    flag: bool = boolean()
    tiny: int = int8()
    small: int = int16()
    port: int = uint16()
    number: int = int32()
    unsigned: int = uint32()
    long: int = int64()
    real: float = float64()
    uuid: UUID = uuid_()
    text: str | None = string(nullable="0+")
    data: bytes | None = blob(nullable="0+")
    numbers: list[int] | None = array(int16, nullable="0+")
    texts: list[str] = array(string)
    uuids: list[UUID] = array(uuid_)
    inner: Inner | None = struct(Inner, "1+", nullable="1+", default=None)
    inners: list[Inner] = array(Inner)
    note: str | None = string("1+", nullable="1+", default=None, tag=0)
    extra: Inner | None = struct(Inner, "1+", nullable="1+", default=None, tag=3)


FIXED = bytes.fromhex("01 ff fffe ffff fffffffd fffffffc fffffffffffffffb 3ff8000000000000") + ONE.bytes
OLD = (
    FIXED
    + b"\x00\x02hi"
    + b"\x00\x00\x00\x01!"
    + b"\x00\x00\x00\x02\x00\x01\xff\xff"
    + b"\x00\x00\x00\x02\x00\x00\x00\x01x"
    + (b"\x00\x00\x00\x01" + ONE.bytes)
    + b"\x00\x00\x00\x01\x00\x01n"
)
NEW = (
    FIXED
    + b"\x03hi"
    + b"\x02!"
    + b"\x03\x00\x01\xff\xff"
    + b"\x03\x01\x02x"
    + (b"\x02" + ONE.bytes)
    + b"\x01\x02i\x00"
    + b"\x02\x02n\x00"
    + b"\x02\x00\x05\x05note\x03\x04\x01\x02e\x00"
)
VALUES = {
    "flag": True,
    "tiny": -1,
    "small": -2,
    "port": 65535,
    "number": -3,
    "unsigned": 2**32 - 4,
    "long": -5,
    "real": 1.5,
    "uuid": ONE,
    "text": "hi",
    "data": b"!",
    "numbers": [1, -1],
    "texts": ["", "x"],
    "uuids": [ONE],
    "inners": [Inner(name="n")],
}
OLD_VALUE = Everything(**VALUES)
NEW_VALUE = Everything(**VALUES, inner=Inner(name="i"), note="note", extra=Inner(name="e"))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_type_is_read(kind: type) -> None:
    assert decode(Everything, 0, kind(OLD)) == OLD_VALUE
    assert decode(Everything, 1, kind(NEW)) == NEW_VALUE


def test_nothing_read_holds_the_frame() -> None:
    """But for records: a request that waits must not keep its receive buffer alive for a name."""
    frame = bytearray(OLD)
    read = decode(Everything, 0, memoryview(frame))
    frame[:] = bytes(len(frame))
    assert read == OLD_VALUE
    assert type(read.data) is bytes


def test_nulls_are_read() -> None:
    old = FIXED + b"\xff\xff" + b"\xff" * 4 + b"\xff" * 4 + bytes(12)
    read = decode(Everything, 0, old)
    assert (read.text, read.data, read.numbers, read.texts, read.inner) == (None, None, None, [], None)
    new = FIXED + b"\x00\x00\x00" + b"\x01\x01" + b"\xff" + b"\x01" + b"\x01\x00\x01\x00"
    read = decode(Everything, 1, new)
    assert (read.text, read.data, read.numbers, read.inner, read.note) == (None, None, None, None, None)


def test_every_cut_is_malformed() -> None:
    for version, data in ((0, OLD), (1, NEW)):
        for end in range(len(data)):
            with pytest.raises(MalformedMessage, match=r"^(Everything|Inner)\b"):
                decode(Everything, version, data[:end])


def test_reading_starts_at_the_offset() -> None:
    assert decode(Everything, 0, b"before" + OLD, 6) == OLD_VALUE


def test_a_tagged_field_cannot_reach_beyond_its_size() -> None:
    head = NEW[: NEW.index(b"\x02\x00\x05\x05note")]
    with pytest.raises(MalformedMessage, match=r"Everything\.note"):
        decode(Everything, 1, head + b"\x01\x00\x03\x05note")
    with pytest.raises(MalformedMessage, match=r"Everything's tagged fields: its length 7"):
        decode(Everything, 1, head + b"\x01\x00\x07\x05note")
    with pytest.raises(MalformedMessage, match=r"Inner\.name|Everything\.extra"):
        decode(Everything, 1, head + b"\x01\x03\x03\x01\x02e\x00")


def test_defaults_of_absent_fields_are_fresh() -> None:
    class Growing(Record, key=2, versions="0-1"):
        """A list that came later."""

        items: list[int] = array(int8, "1+")

    first, second = decode(Growing, 0, b""), decode(Growing, 0, b"")
    first.items.append(1)
    assert second.items == []
