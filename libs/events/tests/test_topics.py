"""Topics: Kafka takes their names, and both have the same number of partitions."""

import re

from events.topics import PARTITIONS, TOPICS, dead_letter_topic


def test_the_board_has_two_topics() -> None:
    assert TOPICS == ("article-topic", "comment-topic")
    assert PARTITIONS == 3


def test_each_group_has_its_own_dead_letters() -> None:
    assert dead_letter_topic("article-topic", "read-view") == "article-topic.read-view.dlt"
    names = {dead_letter_topic(topic, group) for topic in TOPICS for group in ("popular", "read-view")}
    assert len(names) == 4
    # Kafka mixes up names that differ only in '.' and '_' in its metrics, and refuses them.
    assert len({name.replace(".", "_") for name in names}) == 4
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) for name in names)
