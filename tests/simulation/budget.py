"""How much a cluster may lose and still keep its promise, watched from outside.

Any number of processes may die. The power of a host may fail, and take what was not fsynced, while for each of its partitions
somebody else who is up may lead: is in the ISR, or in the ELR. Until the host is back in all its ISRs it has *torn* replicas, and
the death of another process counts as well when it leaves such a partition without anybody else: Kafka cannot tell one from the
other and takes whoever did not stop cleanly out of ISR and ELR. A power cut behind a clean stop costs nothing.
"""

from collections.abc import Mapping

from broker.storage.simulated import CrashMode
from simulation.metadata_view import MetadataView, PartitionView
from simulation.world import Host


class Budget:
    """See the module. `hosts` by node id."""

    def __init__(self, view: MetadataView, hosts: Mapping[int, Host]) -> None:
        self._view = view
        self._hosts = hosts
        self._ids = {host.name: node_id for node_id, host in hosts.items()}
        # Hosts whose power failed and that have not been in all ISRs since, and those of them that are not ready yet.
        self.torn: dict[int, None] = {}
        self.exceeded = 0

    def allows(self, host: Host, mode: CrashMode) -> bool:
        """Whether this death leaves somebody for every partition."""
        dying = self._ids[host.name]
        torn = self.torn.keys() | ({dying} if mode == "torn" else set())
        return all(self._is_safe(partition, torn, dying) for partition in self._view.partitions.values())

    def _is_safe(self, partition: PartitionView, torn: set[int], dying: int) -> bool:
        """Whether a partition without torn replicas, or somebody who may lead it."""
        if not any(one in torn for one in partition.replicas):
            return True
        return any(one != dying and one not in torn and self._hosts[one].ready for one in {*partition.isr, *partition.elr})

    def died(self, host: Host, mode: CrashMode) -> bool:
        """Note a death; whether it was within the budget."""
        allowed = self.allows(host, mode)
        self.exceeded += not allowed
        if mode == "torn":
            self.torn[self._ids[host.name]] = None
        return allowed

    def settle(self) -> list[int]:
        """Forget hosts that are back in all their ISRs; which."""
        back = []
        for node_id in list(self.torn):
            mine = [one for one in self._view.partitions.values() if node_id in one.replicas]
            if self._hosts[node_id].ready and all(node_id in one.isr for one in mine):
                del self.torn[node_id]
                back.append(node_id)
        return back
