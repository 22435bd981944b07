"""The partition of a key, as Kafka's own clients choose it: murmur2 of the key, without its sign, modulo the count."""

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
ROTATION = 24
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby) of 32 bits with Kafka's seed, unsigned."""
    length = len(data)
    whole = length - length % 4
    hashed = SEED ^ length
    for position in range(0, whole, 4):
        part = int.from_bytes(data[position : position + 4], "little") * MULTIPLIER & MASK
        part = (part ^ part >> ROTATION) * MULTIPLIER & MASK
        hashed = hashed * MULTIPLIER & MASK ^ part
    if whole < length:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & MASK
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & MASK
    return hashed ^ hashed >> 15


def partition_for_key(key: bytes, partition_count: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partition_count
