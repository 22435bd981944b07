"""Keeps the current image and tells its subscribers, in the order in which they came, of every new one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from broker.metadata.image import MetadataImage
from broker.metadata.records import decode_record, is_no_op

Subscriber = Callable[[MetadataImage, MetadataImage], None]


class MetadataPublisher:
    """`image` is what this node knows to be committed. It listens to the Raft driver.

    Subscribers hear nothing before `begin`: a node that starts replays its whole log first and follows the result alone.
    """

    def __init__(self) -> None:
        self.image = MetadataImage()
        self._told = self.image
        self._begun = False
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """`subscriber(before, after)` is called for every new image."""
        self._subscribers.append(subscriber)

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        """A batch of records was committed; of one that says nothing nobody is told."""
        if is_no_op(values):
            self.image = replace(self.image, offset=last_offset)
            return
        self.image = self.image.apply([decode_record(value) for value in values], last_offset)
        if self._begun:
            self._tell()

    def handle_snapshot(self, batches: Iterable[Sequence[bytes]], last_offset: int, last_epoch: int) -> None:
        """Everything anew, as a snapshot has it."""
        records = ([decode_record(value) for value in values] for values in batches)
        self.image = MetadataImage.from_snapshot(records, last_offset)
        if self._begun:
            self._tell()

    def handle_leader_change(self, leader_id: int, epoch: int) -> None:
        """Leaders of the quorum concern the controller and the node alone."""

    def begin(self) -> None:
        """Everything that was there at the start is in the image: tell of it, and of every change from now on."""
        self._begun = True
        self._tell()

    def _tell(self) -> None:
        before, self._told = self._told, self.image
        for subscriber in self._subscribers:
            subscriber(before, self.image)
