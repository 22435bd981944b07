"""Threads against a model of a few lines: whatever is written in whatever order, both show the same."""

import random
from dataclasses import dataclass, field

import pytest
from comment import selectors, services
from comment.models import DEPTH_MAX
from outbox_events import outbox_events
from servicekit.problems import BadInput, NotFound

pytestmark = pytest.mark.usefixtures("database")
ARTICLE = 7
STEPS = 80


@dataclass
class Node:
    """A comment of the model; the root is the article."""

    id: int = 0
    depth: int = 0
    deleted: bool = False
    children: "list[Node]" = field(default_factory=list)

    def below(self) -> "list[Node]":
        """All below it in thread order."""
        return [node for child in self.children for node in (child, *child.below())]

    def sweep(self) -> None:
        """Drop deleted nodes with nothing left below."""
        for child in self.children:
            child.sweep()
        self.children = [child for child in self.children if not (child.deleted and not child.children)]


@pytest.mark.parametrize("seed", range(4))
def test_threads_are_what_the_model_says(seed: int) -> None:
    choose, root, told = random.Random(seed), Node(), []
    for _ in range(STEPS):
        nodes = [root, *root.below()]
        node = choose.choice(nodes)
        if choose.random() < 0.6:
            create(node, told, nodes)
        else:
            delete(node, told, nodes)
        root.sweep()
        shown = selectors.comment_list(article_id=ARTICLE, after_path=None, limit=1000)
        assert [(comment.id, comment.depth, comment.deleted) for comment in shown] == [
            (node.id, node.depth, node.deleted) for node in root.below()
        ]
    events = [(event.type, int(event.data["comment_id"]), event.data["comment_count"]) for event in outbox_events()]
    assert events == told
    assert [event.aggregateversion for event in outbox_events()] == list(range(1, len(told) + 1))
    assert selectors.thread_get(ARTICLE).comment_count == living([root, *root.below()])


def living(nodes: list[Node]) -> int:
    return sum(not node.deleted for node in nodes) - 1


def create(parent: Node, told: list[tuple[str, int, int]], nodes: list[Node]) -> None:
    def ask() -> int:
        parent_id = parent.id or None
        return services.comment_create(article_id=ARTICLE, parent_id=parent_id, content="c", writer_id=1).id

    if parent.deleted or parent.depth == DEPTH_MAX:
        with pytest.raises(BadInput, match="parent_id"):
            ask()
        return
    parent.children.append(Node(ask(), parent.depth + 1))
    told.append(("comment.created", parent.children[-1].id, living(nodes) + 1))


def delete(node: Node, told: list[tuple[str, int, int]], nodes: list[Node]) -> None:
    if node.deleted or node.id == 0:
        with pytest.raises(NotFound):
            services.comment_delete(comment_id=node.id)
        return
    services.comment_delete(comment_id=node.id)
    node.deleted = True
    told.append(("comment.deleted", node.id, living(nodes)))
