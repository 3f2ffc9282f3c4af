"""
A set of jobs' numbers that fits into one value of a few bytes, for stores without an index.

Numbers are kept as bits of blocks. Numbers of jobs are given out in a row and
jobs end about in that order, so nearly all blocks are either full or empty, and
full blocks in a row take one entry.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

__all__ = ["NumberSet"]

BITS: Final = 8
FULL: Final = (1 << (1 << BITS)) - 1
MASK_BYTES: Final = (1 << BITS) // 8

_encode: Final = msgspec.msgpack.Encoder().encode
# Of each entry the first block, and how many full ones or the bits of one.
_decode: Final = msgspec.msgpack.Decoder(list[tuple[int, int | bytes]]).decode


class NumberSet:
    """A set of whole numbers of up to 63 bits, which doesn't change."""

    def __init__(self, blocks: dict[int, int] | None = None) -> None:
        self._blocks = blocks or {}

    def __contains__(self, number: int) -> bool:
        return bool(self._blocks.get(number >> BITS, 0) >> (number & ((1 << BITS) - 1)) & 1)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers in their order."""
        for block in sorted(self._blocks):
            mask = self._blocks[block]
            while mask:
                lowest = mask & -mask
                yield (block << BITS) + lowest.bit_length() - 1
                mask ^= lowest

    def __len__(self) -> int:
        return sum(mask.bit_count() for mask in self._blocks.values())

    def changed(self, more: Iterable[int], less: Iterable[int]) -> NumberSet:
        """Return a set with these numbers added, and then those removed."""
        blocks = self._blocks.copy()
        for number in more:
            block = number >> BITS
            blocks[block] = blocks.get(block, 0) | 1 << (number & ((1 << BITS) - 1))
        for number in less:
            block = number >> BITS
            mask = blocks.get(block, 0) & ~(1 << (number & ((1 << BITS) - 1)))
            if mask:
                blocks[block] = mask
            else:
                blocks.pop(block, None)
        return NumberSet(blocks)

    def packed(self) -> bytes:
        """Return the set as a value."""
        entries: list[tuple[int, int | bytes]] = []
        first = count = 0
        for block in sorted(self._blocks):
            mask = self._blocks[block]
            if mask == FULL and count and block == first + count:
                count += 1
                continue
            if count:
                entries.append((first, count))
                count = 0
            if mask == FULL:
                first, count = block, 1
            else:
                entries.append((block, mask.to_bytes(MASK_BYTES, "little")))
        if count:
            entries.append((first, count))
        return zlib.compress(_encode(entries), 1)

    @classmethod
    def unpacked(cls, value: bytes) -> NumberSet:
        """Return the set of a value; raises ValueError where it is none."""
        try:
            entries = _decode(zlib.decompress(value))
        except (zlib.error, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"no set of numbers: {error}") from None
        blocks: dict[int, int] = {}
        for first, what in entries:
            if isinstance(what, int):
                if not 0 < what < 1 << 32:
                    raise ValueError(f"{what} blocks in a row")
                blocks.update(dict.fromkeys(range(first, first + what), FULL))
            else:
                blocks[first] = int.from_bytes(what[:MASK_BYTES], "little")
        return cls(blocks)
