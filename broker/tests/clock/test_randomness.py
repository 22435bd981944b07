"""Randomness repeats from a seed, and makes no uuid that a command line would take for an option."""

from broker.clock.randomness import Randomness
from broker.protocol.types import uuid_to_base64


def test_a_seed_repeats() -> None:
    def draws(seed: int | str) -> list[object]:
        source = Randomness(seed)
        return [source.uuid4(), source.randint(0, 10**9), source.uuid4()]

    assert draws(7) == draws(7)
    assert draws("a") == draws("a")
    assert draws(7) != draws(8)


def test_the_real_one_does_not() -> None:
    assert Randomness().uuid4() != Randomness().uuid4()


def test_uuids_are_of_version_4_and_do_not_begin_with_a_dash() -> None:
    source = Randomness(1)
    made = [source.uuid4() for _ in range(2000)]
    assert {value.version for value in made} == {4}
    assert len(set(made)) == len(made)
    firsts = {uuid_to_base64(value)[0] for value in made}
    assert "-" not in firsts
    assert len(firsts) == 63


def test_both_ends_are_included() -> None:
    source = Randomness(1)
    assert {source.randint(3, 5) for _ in range(200)} == {3, 4, 5}
