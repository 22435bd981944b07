"""Events of the comment service, on comment-topic. Owned by that service.

The aggregate is all comments of one article (`article-comments`): its version grows with each comment that comes or goes, and
every event carries the absolute count.
"""

SOURCE = "board/comment"
COMMENTS = "article-comments"
CREATED, DELETED = "comment.created", "comment.deleted"
