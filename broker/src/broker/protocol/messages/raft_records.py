"""The bodies of control records in the metadata log and its snapshots. Their key is their control record type."""

from broker.protocol.message import Record, Struct
from broker.protocol.types import UUID, array, int16, int32, int64, string, struct, uint16, uuid_


class Voter(Struct):
    voter_id: int = int32()
    voter_directory_id: UUID = uuid_("1+")


class LeaderChangeMessage(Record, key=2, versions="0-1", flexible="0+"):
    """The first record of every epoch: who leads and who voted."""

    version: int = int16()
    leader_id: int = int32()
    voters: list[Voter] = array(Voter)
    granting_voters: list[Voter] = array(Voter)


class SnapshotHeaderRecord(Record, key=3, versions="0", flexible="0+"):
    """The first record of a snapshot."""

    version: int = int16()
    last_contained_log_timestamp: int = int64()


class SnapshotFooterRecord(Record, key=4, versions="0", flexible="0+"):
    """The last record of a snapshot."""

    version: int = int16()


class KRaftVersionRecord(Record, key=5, versions="0", flexible="0+"):
    """The version of the quorum protocol."""

    version: int = int16()
    k_raft_version: int = int16()


class Endpoint(Struct):
    name: str = string()
    host: str = string()
    port: int = uint16()


class KRaftVersionFeature(Struct):
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class ResponseVoter(Struct):
    voter_id: int = int32()
    voter_directory_id: UUID = uuid_()
    endpoints: list[Endpoint] = array(Endpoint)
    k_raft_version_feature: KRaftVersionFeature = struct(KRaftVersionFeature)


class VotersRecord(Record, key=6, versions="0", flexible="0+"):
    """The voters of the quorum."""

    version: int = int16()
    voters: list[ResponseVoter] = array(ResponseVoter)
