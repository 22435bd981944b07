"""Which deaths a cluster must bear, as seen from outside."""

from uuid import UUID

import pytest
from simulation.budget import Budget
from simulation.cluster import IDS, SETTINGS
from simulation.metadata_view import MetadataView, PartitionView
from simulation.world import Host, Simulation


class Lab:
    """Three hosts that are up, and one partition."""

    def __init__(self, isr: tuple[int, ...] = IDS, elr: tuple[int, ...] = ()) -> None:
        simulation = Simulation(1)
        self.hosts = {one: Host(simulation, f"broker-{one}", one, SETTINGS) for one in IDS}
        for host in self.hosts.values():
            host.ready = True
        self.partition = PartitionView("t", isr[0], 0, IDS, isr, elr)
        self.budget = Budget(MetadataView(partitions={(UUID(int=1), 0): self.partition}), self.hosts)


@pytest.mark.parametrize("victim", IDS)
def test_any_number_of_processes_may_die(victim: int) -> None:
    lab = Lab(isr=(victim,))
    for host in lab.hosts.values():
        assert lab.budget.died(host, "process")
        host.ready = False
    assert lab.budget.exceeded == 0


def test_the_power_may_fail_while_another_may_lead() -> None:
    assert Lab(isr=(1, 2)).budget.allows(Lab(isr=(1, 2)).hosts[1], "torn")
    lab = Lab(isr=(1,), elr=(3,))
    assert lab.budget.allows(lab.hosts[1], "torn")
    lab.hosts[3].ready = False
    assert not lab.budget.allows(lab.hosts[1], "torn")


def test_until_it_is_back_in_the_isr_nobody_else_may_be_lost_that_is_needed() -> None:
    lab = Lab()
    lab.budget.died(lab.hosts[1], "torn")
    lab.hosts[1].ready = False
    lab.partition.isr = (2, 3)
    assert lab.budget.allows(lab.hosts[2], "process"), "3 is there"
    lab.partition.isr = (2,)
    assert not lab.budget.allows(lab.hosts[2], "process")
    assert not lab.budget.allows(lab.hosts[2], "torn")
    assert lab.budget.allows(lab.hosts[3], "process"), "it is not needed"
    lab.hosts[1].ready = True
    lab.budget.settle()
    assert not lab.budget.allows(lab.hosts[2], "process"), "it is up, and not in the ISR"
    lab.partition.isr = (2, 1)
    lab.budget.settle()
    assert lab.budget.allows(lab.hosts[2], "process")


def test_what_is_too_much_is_counted() -> None:
    lab = Lab(isr=(1, 2))
    assert lab.budget.died(lab.hosts[1], "torn")
    assert not lab.budget.died(lab.hosts[2], "torn")
    assert lab.budget.exceeded == 1
