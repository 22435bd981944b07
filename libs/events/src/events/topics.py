"""Topics of the board: names, sizes, and where records go that a group cannot read."""

ARTICLE_TOPIC = "article-topic"
COMMENT_TOPIC = "comment-topic"
TOPICS = (ARTICLE_TOPIC, COMMENT_TOPIC)
# The same for both: an article's likes and its comments are in partitions of the same number.
PARTITIONS = 3


def dead_letter_topic(topic: str, group: str) -> str:
    """Where a consumer group puts the records of a topic that it cannot read."""
    return f"{topic}.{group}.dlt"
