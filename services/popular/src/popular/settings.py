"""Settings of the popular service; everything that varies comes from the environment."""

from servicekit import environment
from servicekit.settings import base_settings

globals().update(base_settings("popular", [], database=False, worker_components=["popular.consumers.make_consumer"]))

GROUP = "popular"
PROJECTION = "popular.consumers.PopularProjection"
# A day begins at midnight here.
BOARD_ZONE = environment.zone("BOARD_ZONE", "Asia/Seoul")
