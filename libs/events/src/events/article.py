"""Events of the article service, on article-topic. Owned by that service.

`article.created`, `article.updated`, `article.deleted` carry the article's own version as `aggregateversion`; likes are an
aggregate of their own beside it (`article-likes`), with absolute counts and a version that grows with each change.
"""

SOURCE = "board/article"
ARTICLE, LIKES = "article", "article-likes"
CREATED, UPDATED, DELETED = "article.created", "article.updated", "article.deleted"
LIKED, UNLIKED = "article.liked", "article.unliked"
