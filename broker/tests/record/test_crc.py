"""The checksum is CRC-32C, by its published check value, bit by bit, and in parts."""

import random

from broker.record.crc import crc32c

POLYNOMIAL = 0x82F63B78


def bit_by_bit(data: bytes, value: int = 0) -> int:
    value ^= 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_the_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_against_the_definition_and_in_parts() -> None:
    rng = random.Random(1)
    for size in (1, 7, 8, 63, 64, 65, 1000):
        data = rng.randbytes(size)
        cut = rng.randrange(size + 1)
        assert crc32c(data) == bit_by_bit(data)
        assert crc32c(memoryview(data)[cut:], crc32c(bytearray(data[:cut]))) == crc32c(data)
