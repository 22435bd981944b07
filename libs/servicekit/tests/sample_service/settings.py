"""Settings of the sample service: what every service has, a database and a relay."""

from servicekit.settings import base_settings

globals().update(base_settings("sample_service", [], database=True, worker_components=["servicekit.outbox.relay.make_relay"]))
