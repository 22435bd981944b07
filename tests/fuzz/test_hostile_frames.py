"""Hostile bytes against a running broker: whatever comes, it goes on serving, within bounds, and says why it closed.

For every API and version that is served: a good frame cut at every byte, seeded damage, values at the edges of their types.
Most of them name topics that exist. After each batch a newcomer is served, the broker's memory is within a bound, and its
log holds no traceback: a client that is cut off must have been cut off on purpose.
"""

import random
from collections.abc import Iterator
from uuid import UUID

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.codec import encode
from broker.protocol.message import Request
from broker.server.api_table import BROKER, Api, served_on
from broker.testing import BrokerProcess
from sample_messages import STRING_BYTES_MAX, generate, mutate, request_frame, structs_within

from .hostile import answers_in, assert_serves, create_topics, decode_answer, framed, resident_bytes, send_each

pytestmark = pytest.mark.timeout(600)
MUTATIONS_PER_VERSION = 1000
MUTATIONS_OF_BODY_PER_VERSION = 200
SAMPLES_PER_VERSION = 20
# How much larger than at its start the broker may be, whatever was sent.
GROWTH_BYTES_MAX = 150 * 2**20
APIS = served_on(BROKER)
# These shall miss: the topics are needed.
DESTRUCTIVE = frozenset({ApiKey.DELETE_TOPICS, ApiKey.CREATE_PARTITIONS})
TOPIC_FIELDS = ("topic", "name", "topic_name")
PARTITION_FIELDS = ("index", "partition", "partition_index")
# Nothing here shall wait for other members or make the disk full.
OVERRIDES = {"offsets.topic.num.partitions": "1", "log.index.size.max.bytes": "4096"}


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerProcess]:
    with BrokerProcess(OVERRIDES) as running:
        assert_serves(running)
        yield running


@pytest.fixture(scope="module")
def size_at_start(broker: BrokerProcess) -> int:
    return resident_bytes(broker.pid)


@pytest.fixture(autouse=True)
def unharmed(broker: BrokerProcess, size_at_start: int) -> Iterator[None]:
    """What holds after every batch."""
    before = len(broker.log_path.read_text())
    yield
    assert_serves(broker)
    assert resident_bytes(broker.pid) - size_at_start < GROWTH_BYTES_MAX
    written = broker.log_path.read_text()[before:]
    assert "Traceback" not in written, written[written.index("Traceback") :][:3000]


def versions(api: Api) -> range:
    return range(api.first, api.last + 1)


@pytest.fixture(scope="module")
def topics(broker: BrokerProcess) -> dict[str, UUID]:
    """Topics that exist, and their ids."""
    return create_topics(broker, "article-topic", "a")


def good_request(api: Api, version: int, seed: object, topics: dict[str, UUID], style: str = "plain") -> Request:
    rng = random.Random(f"{api.key} {version} {seed}")
    request: Request = generate(api.request, version, rng, style)
    if style == "plain" and api.key not in DESTRUCTIVE:
        aim(request, version, rng, topics)
    return request


def aim(request: Request, version: int, rng: random.Random, topics: dict[str, UUID]) -> None:
    """Let most topics and partitions be some that exist, so that more than their absence is met."""
    for part in structs_within(request, version):
        name = rng.choice(sorted(topics))
        values = {"topic_id": topics[name], **dict.fromkeys(TOPIC_FIELDS, name), **dict.fromkeys(PARTITION_FIELDS, 0)}
        for field in part.FIELDS:
            if field.name in values and isinstance(getattr(part, field.name), type(values[field.name])) and rng.random() < 0.8:
                setattr(part, field.name, values[field.name])


def sample(api: Api, version: int, seed: object, topics: dict[str, UUID], style: str = "plain") -> bytes:
    client_id = "c" * STRING_BYTES_MAX if style == "highest" else "sample"
    return request_frame(good_request(api, version, seed, topics, style), version, client_id=client_id)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.key.name)
def test_a_frame_cut_at_every_byte_gets_no_answer(broker: BrokerProcess, topics: dict[str, UUID], api: Api) -> None:
    """The length says what is there, but the request ends in the middle."""
    for version in versions(api):
        frame = sample(api, version, 0, topics)
        answers = send_each(broker.port, [framed(frame[:end]) for end in range(len(frame))])
        assert answers == [b""] * len(frame), version


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.key.name)
def test_damaged_frames(broker: BrokerProcess, topics: dict[str, UUID], api: Api) -> None:
    """Flipped bits, wrong lengths, huge counts, missing and doubled parts, in header and body."""
    for version in versions(api):
        rng = random.Random(f"{api.key} {version}")
        frames = [sample(api, version, number, topics) for number in range(SAMPLES_PER_VERSION)]
        damaged = [framed(mutate(rng.choice(frames), rng)) for _ in range(MUTATIONS_PER_VERSION)]
        for answer in send_each(broker.port, damaged):
            assert len(answers_in(answer)) <= 1


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.key.name)
def test_damaged_bodies_are_answered_in_the_right_form_or_not_at_all(
    broker: BrokerProcess, topics: dict[str, UUID], api: Api
) -> None:
    for version in versions(api):
        rng = random.Random(f"body {api.key} {version}")
        frames = []
        for number in range(MUTATIONS_OF_BODY_PER_VERSION):
            request = good_request(api, version, number, topics)
            frame = request_frame(request, version)
            body = sum(len(part) for part in encode(request, version))
            frames.append(framed(frame[: len(frame) - body] + mutate(frame[len(frame) - body :], rng)))
        for answer in send_each(broker.port, frames):
            for one in answers_in(answer):
                assert one[:4] == b"\0\0\0\x07", "the correlation id"
                decode_answer(api.request, version, one)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.key.name)
def test_values_at_the_edges(broker: BrokerProcess, topics: dict[str, UUID], api: Api) -> None:
    """Well-formed requests with the least and greatest numbers, no and very long strings, nulls, unknown ids."""
    for version in versions(api):
        frames = [framed(sample(api, version, 0, topics, style)) for style in ("lowest", "highest", "defaults")]
        frames += [framed(sample(api, version, number, topics)) for number in range(SAMPLES_PER_VERSION)]
        for answer in send_each(broker.port, frames):
            for one in answers_in(answer):
                decode_answer(api.request, version, one)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), id="tls"),
        pytest.param(bytes(10_000), id="zeros"),
        pytest.param(b"\xff" * 10_000, id="ones"),
        pytest.param(framed(b"x" * 100, -1), id="a negative length"),
        pytest.param(framed(b"x" * 100, 2**31 - 1), id="the greatest length"),
        pytest.param(framed(b"x" * 7), id="less than a header"),
        pytest.param(framed(b"\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff"), id="an unknown API"),
        pytest.param(framed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), id="negative numbers"),
        pytest.param(framed(b"\x00\x34\x00\x00\x00\x00\x00\x01\xff\xff\x00"), id="an API of controllers"),
        pytest.param(framed(b"\x00\x01\x00\x03\x00\x00\x00\x01\xff\xff"), id="a version that is gone"),
    ],
)
def test_what_is_no_request_gets_no_answer(broker: BrokerProcess, payload: bytes) -> None:
    assert send_each(broker.port, [payload] * 20) == [b""] * 20


def test_noise(broker: BrokerProcess) -> None:
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.randrange(1, 300)) for _ in range(2000)]
    payloads += [framed(rng.randbytes(rng.randrange(8, 300))) for _ in range(2000)]
    send_each(broker.port, payloads)
