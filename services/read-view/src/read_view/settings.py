"""Settings of the read-view service; everything that varies comes from the environment."""

from servicekit import environment
from servicekit.settings import base_settings

globals().update(base_settings("read_view", [], database=False, worker_components=["read_view.consumers.make_consumer"]))

GROUP = "read-view"
PROJECTION = "read_view.consumers.ReadViewProjection"
ARTICLE_URL = environment.url("ARTICLE_URL", ("http", "https"), "http://127.0.0.1:8001")
COMMENT_URL = environment.url("COMMENT_URL", ("http", "https"), "http://127.0.0.1:8002")
