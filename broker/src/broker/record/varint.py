"""Zig-zag variable-length integers, as records use them. Reading raises IndexError at the end of the buffer."""

_BYTES_MAX = 10


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The signed number at `position` and the position after it."""
    byte = data[position]
    position += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), position
    raw = byte & 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            if raw >> 64:
                raise ValueError(f"the variable-length integer before byte {position} has more than 64 bits")
            return (raw >> 1) ^ -(raw & 1), position
        shift += 7
        if shift >= 7 * _BYTES_MAX:
            raise ValueError(f"a variable-length integer before byte {position} is longer than {_BYTES_MAX} bytes")


def write_varint(out: bytearray, value: int) -> None:
    """Append a signed number of up to 64 bits."""
    raw = (value << 1) ^ (value >> 63)
    while raw >= 0x80:
        out.append((raw & 0x7F) | 0x80)
        raw >>= 7
    out.append(raw)
