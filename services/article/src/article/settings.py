"""Settings of the article service; everything that varies comes from the environment."""

from servicekit.settings import base_settings

globals().update(base_settings("article", ["article"], database=True, worker_components=["servicekit.outbox.relay.make_relay"]))
