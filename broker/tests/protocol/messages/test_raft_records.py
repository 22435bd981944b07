"""Control records as Apache Kafka 4.3.1 wrote them into its metadata log and its bootstrap snapshot."""

from broker.protocol.codec import decode
from broker.protocol.messages.raft_records import LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, Voter
from broker.protocol.types import ZERO_UUID
from sample_messages import body_bytes


def test_a_leader_change() -> None:
    data = bytes.fromhex("00000000000102000000010002000000010000")
    value = LeaderChangeMessage(leader_id=1, voters=[Voter(voter_id=1)], granting_voters=[Voter(voter_id=1)])
    assert value.voters[0].voter_directory_id == ZERO_UUID
    assert decode(LeaderChangeMessage, 0, data) == value
    assert body_bytes(value, 0) == data


def test_the_frame_of_a_snapshot() -> None:
    assert decode(SnapshotHeaderRecord, 0, bytes(11)) == SnapshotHeaderRecord()
    assert body_bytes(SnapshotHeaderRecord(last_contained_log_timestamp=1), 0) == bytes(9) + b"\x01\x00"
    assert decode(SnapshotFooterRecord, 0, bytes(3)) == SnapshotFooterRecord()
