"""
Gives memory back that the C library keeps for later.

Buffers of a few hundred kilobytes are cut from one heap, and what was freed in
the middle of it stays with the process. After a peer that left megabytes
unread this is worth a look; on the way of every packet it would cost more than
the packet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's ``malloc_trim``, or None where there is another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_TRIM = find_trim()


def give_back() -> None:
    """Return free memory to the system; may take some milliseconds, without Python's lock."""
    if _TRIM is not None:
        _TRIM(0)


__all__ = ["give_back"]
