"""Randomness as a port: ids and jitter come from here, so that a simulation repeats them from its seed."""

import random
import uuid


class Randomness:
    """The real twin draws from the system; a seed makes the simulated one."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._rng: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def uuid4(self) -> uuid.UUID:
        """A random uuid that does not begin with a dash in Kafka's spelling (Kafka's tools would take it for an option)."""
        while True:
            made = uuid.UUID(int=self._rng.getrandbits(128), version=4)
            if made.bytes[0] >> 2 != 62:
                return made

    def randint(self, first: int, last: int) -> int:
        """From `first` to `last`, both included."""
        return self._rng.randint(first, last)
