"""What the services that own the data say: articles, like counts, comment counts, by REST alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.progress import Progress

from demo.api import Board, Json
from demo.ledger import Entry
from demo.verification.log_view import LogView


@dataclass
class Origins:
    """The state of the article and comment services."""

    articles: dict[str, Json] = field(default_factory=dict)
    like_counts: dict[str, int] = field(default_factory=dict)
    comment_counts: dict[str, int] = field(default_factory=dict)
    # Ids that were once there and are no more.
    deleted: set[str] = field(default_factory=set)
    # Newest first, as the origin lists them.
    boards: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, board: Board, log: LogView, ledger: Iterable[Entry], progress: Progress) -> "Origins":
        """Everything the log or the ledger has ever named, and everything the boards list."""
        origins = cls()
        known = {article_id: None for article_id, article in log.articles.items() if article.version > 0}
        known |= {entry.article_id: None for entry in ledger}
        for board_id in sorted({article.board_id for article in log.articles.values() if article.board_id}):
            origins.boards[board_id] = [item["id"] for item in board.pages("article", "articles", board_id=board_id)]
            known |= dict.fromkeys(origins.boards[board_id])
        for article_id in progress.track(list(known), description="reading the origins"):
            origins._read_article(board, article_id)
        return origins

    def _read_article(self, board: Board, article_id: str) -> None:
        answer = board.find("article", f"articles/{article_id}")
        if answer is None:
            self.deleted.add(article_id)
            return
        self.articles[article_id] = answer.json()
        likes = board.call("article", "GET", f"articles/{article_id}/likes").json()
        self.like_counts[article_id] = int(likes["like_count"])
        comments = board.call("comment", "GET", f"articles/{article_id}/comment-count").json()
        self.comment_counts[article_id] = int(comments["comment_count"])
