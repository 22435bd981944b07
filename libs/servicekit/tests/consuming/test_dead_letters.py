"""Dead letters, on a real broker: the record as it was, why it is there, and only with an acknowledgement."""

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from servicekit.consuming import dead_letters
from servicekit.consuming.dead_letters import DeadLetterFailed, DeadLetters

GROUP = "a-group"


def read(bootstrap_servers: str, topic: str, count: int) -> list[Message]:
    """The first `count` records of a topic of three partitions."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(3)])
        found: list[Message] = []
        while len(found) < count:
            messages = consumer.consume(count - len(found), timeout=30)
            assert messages, f"{len(found)} of {count} records came"
            assert not any(message.error() for message in messages)
            found += messages
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize(("key", "value"), [(b"100", b"\xff no event"), (b"100", None), (None, b"{}")])
def test_a_letter_is_the_record_with_headers_that_say_why(kafka, name, key, value) -> None:
    kafka.create(name, f"{name}.{GROUP}.dlt")
    kafka.send_raw(name, value, key, partition=1)
    message = read(kafka.bootstrap_servers, name, 1)[0]
    DeadLetters(kafka.bootstrap_servers, GROUP).send(message, "body: it is no JSON")
    letter = read(kafka.bootstrap_servers, f"{name}.{GROUP}.dlt", 1)[0]
    assert (letter.key(), letter.value()) == (key, value)
    headers = dict(letter.headers() or [])
    assert headers.pop("dlt.time").endswith(b"Z")
    assert headers == {
        "trace": b"t-1",
        "dlt.reason": b"body: it is no JSON",
        "dlt.topic": name.encode(),
        "dlt.partition": b"1",
        "dlt.offset": b"0",
        "dlt.group": GROUP.encode(),
    }


def test_a_letter_that_is_not_acknowledged_is_no_letter(kafka, name, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no dead letter topic, and nobody makes one; when there is one, the same sender goes on."""
    monkeypatch.setattr(dead_letters, "ACKNOWLEDGE_SECONDS", 3.0)
    kafka.create(name)
    kafka.send_raw(name, b"no event")
    message = read(kafka.bootstrap_servers, name, 1)[0]
    letters = DeadLetters(kafka.bootstrap_servers, GROUP)
    with pytest.raises(DeadLetterFailed):
        letters.send(message, "a reason")
    kafka.create(f"{name}.{GROUP}.dlt")
    letters.send(message, "another reason")
    found = read(kafka.bootstrap_servers, f"{name}.{GROUP}.dlt", 1)
    assert [dict(letter.headers() or [])["dlt.reason"] for letter in found] == [b"another reason"]


@pytest.mark.parametrize("size", [999_900, 1_040_000])
def test_one_that_is_too_large_is_sent_without_its_value(kafka, name, size: int) -> None:
    """Alone, or only with its headers: it would hold up its partition for ever."""
    kafka.create(name, f"{name}.{GROUP}.dlt")
    kafka.send_raw(name, b"x" * size, partition=1)
    message = read(kafka.bootstrap_servers, name, 1)[0]
    DeadLetters(kafka.bootstrap_servers, GROUP).send(message, "body: " + "it is no JSON " * 20)
    letter = read(kafka.bootstrap_servers, f"{name}.{GROUP}.dlt", 1)[0]
    headers = dict(letter.headers() or [])
    assert (letter.key(), letter.value()) == (b"100", None)
    assert headers["dlt.value"].startswith(b"left out")
    assert (headers["dlt.topic"], headers["dlt.partition"], headers["dlt.offset"]) == (name.encode(), b"1", b"0")
