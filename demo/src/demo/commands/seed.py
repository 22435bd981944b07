"""`./board seed`: the same small board every time, in Korean and English, through the REST API.

Deterministic in content, not in ids. Running it again adds the same posts once more. Done when the projections show it.
"""

import argparse
import random
import time
from dataclasses import dataclass

from demo.api import Board, NoAnswer, Refused
from demo.groups import wait_for_groups
from demo.layout import DemoError
from demo.prepare import GROUPS
from demo.state import require_running
from demo.terminal import Terminal

SEED = 20240101
SHOWN_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05
BOARDS = ("1", "2")
USERS = tuple(str(1000 + number) for number in range(12))
POSTS = (
    ("카프카 없이 카프카 배우기", "브로커 세 대를 노트북에서 띄우고 하나를 죽여 봅시다. 무엇이 남을까요?"),
    ("Why an outbox?", "Because a database and a broker never commit together. Write the event where you write the row."),
    ("오프셋은 누구의 것인가", "컨슈머 그룹마다 자기 오프셋이 있습니다. 같은 글을 두 그룹이 각자의 속도로 읽습니다."),
    ("At least once, and then?", "Duplicates will come. Make the effect idempotent instead of hoping."),
    ("인기글 점수는 어떻게 매기나", "좋아요 3점, 댓글 2점, 조회 1점. 하루가 끝나면 목록은 더 이상 움직이지 않습니다."),
    ("A projection you can throw away", "If you can rebuild it from offset 0, losing it is an inconvenience, not a disaster."),
    ("high watermark 한 줄 요약", "모두가 받은 데까지만 보여 줍니다."),
    ("Ordering is per key", "One article, one partition, one order. Across articles nobody promised you anything."),
    ("점심 메뉴 추천 받습니다", "비 오는 날엔 역시 칼국수 아닌가요?"),
    ("What does acks=all wait for?", "For every replica in the ISR, and min.insync.replicas says how few is too few."),
    ("삭제된 글은 어디로 가나요", "이벤트로 남습니다. 다시 살아나지 않도록 묘비를 세워 둡니다."),
    ("Backpressure is a feature", "A queue without a bound is a memory leak with good manners."),
    ("한글 제목도 잘 보이나요? 🙂", "이모지와 함께 테스트합니다."),
    ("Reading your own writes", "The fast view is behind by a few milliseconds. The answer says by how many."),
    ("주말에 읽을 만한 글", "로그에 관한 오래된 글 한 편이 아직도 가장 좋습니다."),
)
COMMENTS = (
    "좋은 글 감사합니다.",
    "I learned something today.",
    "저는 조금 다르게 생각해요.",
    "Could you show the numbers?",
    "ㅋㅋㅋ 공감합니다",
    "+1",
)


@dataclass(frozen=True)
class Post:
    """What was written of one post."""

    article_id: str
    likes: int
    comments: int


def run(arguments: argparse.Namespace) -> int:
    layout, _ = require_running(arguments.data)
    terminal = Terminal()
    board = Board.of(layout)
    rng = random.Random(SEED)
    posts: list[Post] = []
    try:
        with terminal.progress() as progress:
            for title, content in progress.track(POSTS, description="seeding"):
                posts.append(_seed_post(board, rng, title, content))
            count = f"{len(posts)} posts, {sum(p.comments for p in posts)} comments, {sum(p.likes for p in posts)} likes"
            progress.add_task("waiting until the projections show it", total=None)
            began = time.monotonic()
            shown = _wait_shown(board, posts) and wait_for_groups(layout.bootstrap_servers, GROUPS, SHOWN_TIMEOUT_SECONDS) == []
    except (Refused, NoAnswer) as error:
        raise DemoError(f"seeding stopped after {len(posts)} posts: {error}") from error
    if not shown:
        raise DemoError(f"{count} are written, but not shown within {SHOWN_TIMEOUT_SECONDS:.0f} s; see ./board status")
    terminal.say(f"seeded {count}; all groups had them {time.monotonic() - began:.1f} s later")
    return 0


def _seed_post(board: Board, rng: random.Random, title: str, content: str) -> Post:
    article_id = board.create_article(rng.choice(BOARDS), title, content, rng.choice(USERS))["id"]
    likers = rng.sample(USERS, rng.randint(0, 9))
    for user in likers:
        board.like(article_id, user, liked=True)
    comments = rng.randint(0, 6)
    parent: str | None = None
    for _ in range(comments):
        comment = board.create_comment(article_id, rng.choice(COMMENTS), rng.choice(USERS), parent)
        # Every other comment answers the first of its thread, so that there are threads to look at.
        parent = comment["id"] if parent is None and rng.random() < 0.5 else None
    return Post(article_id, likes=len(likers), comments=comments)


def _wait_shown(board: Board, posts: list[Post]) -> bool:
    """Whether the projection of read-view shows every post with its counts in time."""
    deadline = time.monotonic() + SHOWN_TIMEOUT_SECONDS
    for post in posts:
        while not _is_shown(board, post):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    return True


def _is_shown(board: Board, post: Post) -> bool:
    answer = board.find("read-view", f"articles/{post.article_id}")
    if answer is None or answer.headers.get("X-Source") != "projection":
        return False
    view = answer.json()
    return (int(view["like_count"]), int(view["comment_count"])) == (post.likes, post.comments)
