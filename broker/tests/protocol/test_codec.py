"""`decode` and `encode` as such: damaged bytes, hostile lengths, fields that a version lacks, unknown tagged fields."""

import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from broker.protocol.codec import ELEMENTS_MAX, MalformedMessage, UnsupportedField, decode, decode_prefix, encode, encoded_size
from broker.protocol.message import Message
from broker.protocol.messages.api_versions import ApiVersionsRequest
from broker.protocol.messages.fetch import FetchRequest, FetchResponse, ReplicaState
from broker.protocol.messages.metadata import MetadataRequest
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from sample_messages import body_bytes, generate, message_classes, mutate, structs_within, versions_of

CLASSES = message_classes()
MUTATIONS_PER_VERSION = 60
# What decoding a damaged frame of at most some hundred bytes may allocate at its peak.
PEAK_BYTES_MAX = 2_000_000


def frames(cls: type[Message], styles: tuple[str, ...] = ("plain", "plain", "lowest")) -> Iterator[tuple[int, Any, bytes]]:
    """Version, message and bytes."""
    for version in versions_of(cls):
        rng = random.Random(f"{cls.__name__} {version}")
        for style in styles:
            message = generate(cls, version, rng, style)
            yield version, message, body_bytes(message, version)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_frame_that_ends_early_is_malformed(cls: type[Message]) -> None:
    for version, _, data in frames(cls):
        for end in range(len(data)):
            with pytest.raises(MalformedMessage, match=r"\w"):
                decode(cls, version, memoryview(data)[:end])


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_damaged_frames_are_read_or_malformed(cls: type[Message]) -> None:
    """Whatever comes out can be written again, or was refused by MalformedMessage: never another exception, never much memory."""
    rng = random.Random(cls.__name__)
    tracemalloc.start()
    try:
        for version, _, data in frames(cls, ("plain",)):
            for _ in range(MUTATIONS_PER_VERSION):
                damaged = mutate(data, rng)
                try:
                    read = decode(cls, version, memoryview(damaged))
                except MalformedMessage:
                    continue
                assert decode(cls, version, body_bytes(read, version)) == read
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_follows_the_message_is_malformed_or_left(cls: type[Message]) -> None:
    for version, message, data in frames(cls, ("plain",)):
        with pytest.raises(MalformedMessage, match="1 bytes are left over"):
            decode(cls, version, data + b"\0")
        assert decode_prefix(cls, version, b"??" + data + b"!", 2) == (message, 2 + len(data))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_fields_that_the_version_lacks_are_dropped_or_refused(cls: type[Message]) -> None:
    """Ignorable ones are dropped, as Kafka does; any other that is set is refused, and the error names it."""
    for version in versions_of(cls):
        message = generate(cls, version, random.Random(1))
        data = body_bytes(message, version)
        for owner in list(structs_within(message, version)):
            for field in owner.FIELDS:
                if version in field.versions or not (field.kind == "array" or isinstance(field.kind, str)):
                    continue
                before = getattr(owner, field.name)
                setattr(owner, field.name, _other_value(field.kind, field.element, before))
                if field.ignorable:
                    assert body_bytes(message, version) == data
                else:
                    with pytest.raises(UnsupportedField, match=rf"{type(owner).__name__}\.{field.name}\b.*version {version}"):
                        encode(message, version)
                setattr(owner, field.name, before)


def _other_value(kind: str, element: Any, value: Any) -> Any:
    """Something that is not the field's default; it is never written."""
    if kind == "array":
        return [element() if not isinstance(element, str) else 1]
    if kind == "boolean":
        return not value
    if kind in ("string", "bytes", "records"):
        return "other" if kind == "string" else b"other"
    return object() if kind == "uuid" else 77


def test_an_array_length_beyond_the_bytes_is_refused_before_anything_is_made() -> None:
    count = (2**31 - 1).to_bytes(4, "big")
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage, match=r"MetadataRequest\.topics: 2147483647 elements do not fit"):
            decode(MetadataRequest, 1, count + b"abc")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_negative_array_length_is_refused() -> None:
    with pytest.raises(MalformedMessage, match=r"MetadataRequest\.topics: -2 elements"):
        decode(MetadataRequest, 1, (-2).to_bytes(4, "big", signed=True))
    with pytest.raises(MalformedMessage, match=r"MetadataRequest\.topics: -1 elements"):
        decode(MetadataRequest, 0, b"\xff\xff\xff\xff")  # null is allowed from version 1


def test_null_is_refused_where_it_is_not_allowed() -> None:
    with pytest.raises(MalformedMessage, match=r"ApiVersionsRequest\.client_software_name: null is not allowed"):
        decode(ApiVersionsRequest, 3, b"\x00\x01\x00")


def test_a_message_has_a_limit_of_elements_however_they_are_nested() -> None:
    """Twenty thousand topics of twenty partitions each are more objects than any request needs."""
    topic = b"\x00\x00" + (20).to_bytes(4, "big") + bytes(20 * 8)
    body = b"\xff\xff\x00\x01\x00\x00\x00\x64" + (20_000).to_bytes(4, "big") + topic * 20_000
    with pytest.raises(MalformedMessage, match=f"more than {ELEMENTS_MAX} array elements"):
        decode(ProduceRequest, 3, body)


def test_a_limit_is_per_message() -> None:
    request = MetadataRequest(topics=[])
    for _ in range(3):
        data = (ELEMENTS_MAX // 2).to_bytes(4, "big") + b"\x00\x00" * (ELEMENTS_MAX // 2)
        assert len(decode(MetadataRequest, 0, data).topics or ()) == ELEMENTS_MAX // 2
    assert decode(MetadataRequest, 0, body_bytes(request, 0)) == request


def test_a_string_longer_than_kafka_reads_is_refused() -> None:
    """The compact form could say more than the 32767 bytes that Kafka's reader and the older versions allow."""
    long = ApiVersionsRequest(client_software_name="x" * 32768, client_software_version="1")
    with pytest.raises(UnsupportedField, match=r"ApiVersionsRequest\.client_software_name"):
        encode(long, 3)
    data = b"\x81\x80\x02" + b"x" * 32768 + b"\x021\x00"
    with pytest.raises(MalformedMessage, match=r"ApiVersionsRequest\.client_software_name: .*32768"):
        decode(ApiVersionsRequest, 3, data)


def test_a_string_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedMessage, match=r"ApiVersionsRequest\.client_software_name version 3: a string is not UTF-8"):
        decode(ApiVersionsRequest, 3, b"\x02\xff\x021\x00")


def test_a_string_that_utf8_cannot_write_is_refused() -> None:
    with pytest.raises(UnsupportedField, match=r"ApiVersionsRequest\.client_software_name"):
        encode(ApiVersionsRequest(client_software_name="\ud800", client_software_version="1"), 3)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, None, "7", 1.5])
def test_a_number_that_does_not_fit_is_refused(value: Any) -> None:
    with pytest.raises(UnsupportedField, match=r"FetchRequest\.\w+ version 11 cannot be written"):
        encode(FetchRequest(max_wait_ms=value), 11)


def test_null_where_the_version_has_none_is_refused() -> None:
    with pytest.raises(UnsupportedField, match=r"MetadataRequest\.topics version 0"):
        encode(MetadataRequest(topics=None), 0)
    assert body_bytes(MetadataRequest(topics=None), 1) == b"\xff\xff\xff\xff"


def test_unknown_tagged_fields_are_skipped() -> None:
    plain = body_bytes(ApiVersionsRequest(client_software_name="n", client_software_version="1"), 3)
    assert plain[-1:] == b"\0"
    extended = plain[:-1] + b"\x02" + b"\x05\x03abc" + b"\xe9\x07\x00"
    assert decode(ApiVersionsRequest, 3, extended) == decode(ApiVersionsRequest, 3, plain)


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"\x02\x05\x00\x05\x00", id="the same tag twice"),
        pytest.param(b"\x02\x05\x00\x04\x00", id="descending tags"),
        pytest.param(b"\x01\x05\x09abc", id="longer than the message"),
        pytest.param(b"\xff\xff\xff\xff\x0f\x05\x00", id="more fields than bytes"),
        pytest.param(b"\x01\xff\xff\xff\xff\xff\x00", id="a tag of more than 32 bits"),
        pytest.param(b"\x01\xff\xff\xff\xff\x1f\x00", id="a tag of 33 bits"),
    ],
)
def test_bad_tagged_fields_are_malformed(tail: bytes) -> None:
    plain = body_bytes(ApiVersionsRequest(client_software_name="n", client_software_version="1"), 3)
    with pytest.raises(MalformedMessage):
        decode(ApiVersionsRequest, 3, plain[:-1] + tail)


def test_a_known_tagged_field_that_is_not_as_long_as_it_says_is_malformed() -> None:
    data = body_bytes(FetchRequest(replica_state=ReplicaState(replica_id=3, replica_epoch=4)), 15)
    state = (3).to_bytes(4, "big") + (4).to_bytes(8, "big") + b"\0"
    assert data.endswith(b"\x01\x01\x0d" + state)
    for size in (0x0C, 0x0E):
        with pytest.raises(MalformedMessage):
            decode(FetchRequest, 15, data[: -len(state) - 1] + bytes([size]) + state + b"\0")


def test_records_are_passed_on_without_a_copy() -> None:
    batches = [b"first" * 1000, memoryview(b"second" * 1000)]
    request = ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=[PartitionProduceData(records=batches)])])
    parts = encode(request, 7)
    assert [part for part in parts if any(part is batch for batch in batches)] == batches
    assert encoded_size(parts) == len(b"".join(parts))
    frame = memoryview(b"".join(parts))
    records = decode(ProduceRequest, 7, frame).topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview)
    assert records.obj is frame.obj
    assert records == b"".join(batches)


def test_null_records_stay_null() -> None:
    response = generate(FetchResponse, 13, random.Random(5), "plain")
    for topic in response.responses:
        for partition in topic.partitions:
            partition.records = None
    assert decode(FetchResponse, 13, body_bytes(response, 13)) == response
