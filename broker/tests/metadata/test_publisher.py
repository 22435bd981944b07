"""Publishing images: nothing before the beginning, then every image once and in order."""

from broker.metadata.image import MetadataImage
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.records import NO_OP, encode_record
from broker.protocol.messages.metadata_records import FeatureLevelRecord


def level(number: int) -> list[bytes]:
    return [encode_record(FeatureLevelRecord(name="f", feature_level=number))]


def levels(image: MetadataImage) -> int:
    return image.features.get("f", 0)


def test_the_start_is_told_as_one_image() -> None:
    publisher = MetadataPublisher()
    heard: list[tuple[int, int]] = []
    publisher.subscribe(lambda before, after: heard.append((levels(before), levels(after))))
    for number in (1, 2, 3):
        publisher.handle_commit(level(number), number)
    publisher.handle_leader_change(1, 1)
    assert heard == []
    assert (levels(publisher.image), publisher.image.offset) == (3, 3)
    publisher.begin()
    assert heard == [(0, 3)]
    publisher.handle_commit(level(4), 4)
    publisher.handle_commit(level(5), 5)
    assert heard == [(0, 3), (3, 4), (4, 5)]


def test_what_says_nothing_is_nobodys_news() -> None:
    publisher = MetadataPublisher()
    heard: list[tuple[int, int]] = []
    publisher.subscribe(lambda before, after: heard.append((before.offset, after.offset)))
    publisher.handle_commit(level(1), 1)
    publisher.begin()
    publisher.handle_commit([NO_OP], 2)
    publisher.handle_commit([NO_OP, NO_OP], 4)
    assert (publisher.image.offset, levels(publisher.image), heard) == (4, 1, [(-1, 1)])
    publisher.handle_commit(level(2), 5)
    assert (levels(publisher.image), heard[1:]) == (2, [(1, 5)])
    publisher.handle_commit([NO_OP, *level(3)], 7)
    assert levels(publisher.image) == 3


def test_subscribers_hear_in_the_order_in_which_they_came() -> None:
    publisher = MetadataPublisher()
    heard: list[str] = []
    for name in ("one", "two"):
        publisher.subscribe(lambda before, after, name=name: heard.append(name))  # type: ignore[misc]
    publisher.begin()
    assert heard == ["one", "two"]


def test_whoever_asks_finds_the_new_image() -> None:
    publisher = MetadataPublisher()
    seen: list[bool] = []
    publisher.subscribe(lambda before, after: seen.append(publisher.image is after))
    publisher.begin()
    publisher.handle_commit(level(1), 0)
    assert seen == [True, True]
