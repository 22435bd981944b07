"""From records to documents: the consumer of group `read-view`."""

from django.conf import settings
from events.envelope import Envelope
from events.topics import TOPICS
from servicekit.consuming.positions import Step
from servicekit.consuming.runner import GroupConsumer
from servicekit.consuming.store import Change, Document, ProjectionStore, connect

from read_view import projection


class ReadViewProjection:
    """Applies events to documents in Valkey."""

    def __init__(self, store: ProjectionStore) -> None:
        self.store = store

    def apply(self, step: Step, envelope: Envelope) -> None:
        def decide(document: Document | None) -> Change | None:
            after = projection.apply(document, envelope)
            return None if after == document else projection.change(after)

        self.store.apply(step, envelope.subject, decide, int(envelope.time.timestamp() * 1000))


def live_store() -> ProjectionStore:
    return ProjectionStore(connect(settings.VALKEY_URL), settings.SERVICE)


def make_consumer() -> GroupConsumer:
    """For WORKER_COMPONENTS."""
    return GroupConsumer(settings.KAFKA_BOOTSTRAP_SERVERS, settings.GROUP, TOPICS, ReadViewProjection(live_store()))
