"""meta.properties: whose directory this is. Source: ``MetaProperties``, version 1."""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from broker.protocol.types import uuid_from_base64, uuid_to_base64


class DirectoryError(Exception):
    """The directory cannot be used; the message says why and what to change."""


@dataclass(frozen=True)
class MetaProperties:
    """Identity of a log directory."""

    FILE: ClassVar[str] = "meta.properties"

    cluster_id: str
    node_id: int
    directory_id: uuid.UUID

    def render(self) -> bytes:
        lines = (
            "#",
            f"cluster.id={self.cluster_id}",
            f"directory.id={uuid_to_base64(self.directory_id)}",
            f"node.id={self.node_id}",
        )
        return "\n".join([*lines, "version=1", ""]).encode()

    @classmethod
    def parse(cls, data: bytes, directory: str) -> "MetaProperties":
        """DirectoryError names the file and what it lacks."""
        try:
            lines = [line for line in data.decode().splitlines() if "=" in line and not line.startswith("#")]
            found = dict(line.split("=", 1) for line in lines)
            return cls(found["cluster.id"].strip(), int(found["node.id"]), uuid_from_base64(found["directory.id"].strip()))
        except (KeyError, ValueError) as error:
            raise DirectoryError(
                f"{directory}/{cls.FILE} is damaged ({error!r}); restore it, or format the directory anew"
            ) from error
