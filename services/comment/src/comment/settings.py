"""Settings of the comment service; everything that varies comes from the environment."""

from servicekit.settings import base_settings

globals().update(base_settings("comment", ["comment"], database=True, worker_components=["servicekit.outbox.relay.make_relay"]))
