"""The partition of a key, against kafka-python's and against values that Kafka's own tests have."""

import random

import pytest
from broker.client.partitioner import murmur2, partition_for_key
from kafka.partitioner.default import murmur2 as other_murmur2

# From UtilsTest.testMurmur2, as unsigned numbers.
KAFKAS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), KAFKAS.items())
def test_kafkas_own_values(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_any_key_as_kafka_python_has_it() -> None:
    rng = random.Random(7)
    for size in range(200):
        key = rng.randbytes(size)
        assert murmur2(key) == other_murmur2(key) & 0xFFFFFFFF
        assert partition_for_key(key, 13) == (other_murmur2(key) & 0x7FFFFFFF) % 13


def test_keys_spread_over_all_partitions() -> None:
    counts = [0] * 3
    for number in range(3000):
        counts[partition_for_key(b"article-%d" % number, 3)] += 1
    assert min(counts) > 800
