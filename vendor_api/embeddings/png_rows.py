"""Whether a PNG can hold the picture that its header claims, without decompressing it.

Pillow fills rows that are missing from a well-formed stream with black and says nothing.
"""

MAX_RATIO = 1032
"""What deflate makes of a byte at most: 258 bytes from two bits."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""

__all__ = ["can_hold"]


def can_hold(data: bytes) -> bool:
    """False when even the best compression could not have put all rows into the file's data chunks."""
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    bits = data[24] * _CHANNELS.get(data[25], 1)
    return width * height * bits <= 8 * MAX_RATIO * _count_data(data)


def _count_data(data: bytes) -> int:
    """Bytes in IDAT chunks, whose lengths may lie beyond the file's end."""
    total, place = 0, 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"IDAT":
            total += min(length, len(data) - place - 8)
        place += 12 + length
    return total
