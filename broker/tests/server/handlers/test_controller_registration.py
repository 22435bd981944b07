"""ControllerRegistration through its handler: a controller makes its endpoints known, and reads them in the metadata."""

from typing import Any

from broker.metadata.records import decode_record
from broker.protocol.messages.controller_registration import ControllerRegistrationRequest, Feature, Listener
from broker.protocol.messages.metadata_records import RegisterControllerRecord
from broker.protocol.types import UUID
from broker.record.batch import iter_batches
from broker.record.records import iter_records

from ..world import Node, codes

REQUEST = ControllerRegistrationRequest(
    controller_id=1,
    incarnation_id=UUID(int=5),
    listeners=[Listener(name="CONTROLLER", host="c1", port=9093)],
    features=[Feature(name="metadata.version", min_supported_version=7, max_supported_version=30)],
)


def registered(node: Node) -> list[Any]:
    """Of other lives than this node's own, which makes itself known when it starts."""
    log = node.broker.driver.log
    found = []
    for buffer in log.read(0, 1 << 20, log.log_end_offset):
        for header, batch in iter_batches(buffer):
            if not header.is_control:
                found += [decode_record(record.value or b"") for record in iter_records(batch, header)]
    return [
        record
        for record in found
        if isinstance(record, RegisterControllerRecord) and record.incarnation_id == REQUEST.incarnation_id
    ]


def test_a_controller_is_written_down(node: Node) -> None:
    asked = node.send(REQUEST, 0, listener="CONTROLLER")
    assert asked.answers == [], "it is on the disk before it is said"
    node.until(lambda: bool(asked.answers))
    assert codes(asked.answers) == ["NONE"]
    (record,) = registered(node)
    assert (record.controller_id, record.incarnation_id, record.zk_migration_ready) == (1, UUID(int=5), False)
    assert [(one.name, one.host, one.port) for one in record.end_points] == [("CONTROLLER", "c1", 9093)]
    assert [(one.name, one.min_supported_version, one.max_supported_version) for one in record.features] == [
        ("metadata.version", 7, 30)
    ]


def test_a_controller_that_is_not_active(node: Node) -> None:
    node.broker.controller.stop()
    assert codes([node.ask(REQUEST, 0, listener="CONTROLLER")]) == ["NOT_CONTROLLER"]
    assert registered(node) == []
