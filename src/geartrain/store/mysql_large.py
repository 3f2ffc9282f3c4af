"""
Statements with large values, written out only as they are sent.

MySQL's protocol of texts takes a value as two hexadecimal digits a byte, and a driver
makes the whole text first, and copies it: nine times the value in memory. Here the text
is a thing of a length that is cut into packets from its front, and each cut is made of
digits when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, overload

__all__ = ["LARGE", "LargeStatement", "has_large"]

# Values of more than so many bytes are worth it.
LARGE: Final = 1024 * 1024

# Text as it is sent, or a value that becomes digits.
Part = bytes | memoryview


def has_large(parameters: Sequence[object]) -> bool:
    """Return whether a parameter is large."""
    return any(type(one) is bytes and len(one) > LARGE for one in parameters)


class LargeStatement:
    """
    The text of a statement, as far as it was not sent yet.

    It is what a driver needs of ``bytes`` to send them: a length, ``text[:n]``, which are bytes,
    and ``text[n:]``, which is the rest.

    Args:
        parts: Text, and values.
        start: How much of it was sent.

    """

    def __init__(self, parts: Sequence[Part], start: int = 0) -> None:
        self._parts = parts
        self._start = start
        self._size = max(0, sum(map(size_of, parts)) - start)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, cut: slice[None, int, None]) -> bytes: ...

    @overload
    def __getitem__(self, cut: slice[int, None, None]) -> LargeStatement: ...

    def __getitem__(self, cut: slice) -> bytes | LargeStatement:
        """Return the first bytes, or what comes after them."""
        if cut.stop is None:
            return LargeStatement(self._parts, self._start + cut.start)
        return b"".join(self._pieces(self._start, self._start + cut.stop))

    def _pieces(self, start: int, stop: int) -> list[bytes]:
        """Return the text from one place to another, in pieces."""
        pieces: list[bytes] = []
        for part in self._parts:
            size = size_of(part)
            if start < size and stop > 0:
                pieces.append(text_of(part, max(0, start), min(size, stop)))
            start -= size
            stop -= size
        return pieces


def size_of(part: Part) -> int:
    """Return how long a part is when it is sent."""
    return 2 * len(part) if isinstance(part, memoryview) else len(part)


def text_of(part: Part, start: int, stop: int) -> bytes:
    """Return a part's text from one place to another."""
    if not isinstance(part, memoryview):
        return part[start:stop]
    digits = part[start // 2 : (stop + 1) // 2].hex().encode()
    return digits[start % 2 : start % 2 + stop - start]
