"""`broker random-uuid`: an id for a new cluster, as kafka-storage.sh random-uuid prints it."""

from broker.clock.randomness import Randomness
from broker.node.identity import new_cluster_id


def main(argv: list[str]) -> int:
    print(new_cluster_id(Randomness()))
    return 0
