"""
Numbers that look random and are always the same: by them entries are spread over time.

They come from a hash of the schedule's key, so that no restart and no other
machine moves a run.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

__all__ = ["jittered", "number_for"]

_MILLISECOND: Final = timedelta(milliseconds=1)


def number_for(seed: str, count: int) -> int:
    """Return a number from 0 to ``count - 1``, as likely one as another."""
    digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def jittered(
    key: str, nominal: datetime, window: timedelta, following: datetime | None
) -> datetime:
    """
    Return when a fire is due: up to ``window`` later than its nominal time.

    Args:
        key: The schedule's identity.
        nominal: The instant at which the entry fires; aware.
        window: How much later at most, in whole milliseconds; not reached itself.
        following: The fire after this one, which it stays before; None if there is none.

    """
    if following is not None:
        window = min(window, following - nominal)
    count = window // _MILLISECOND
    if count < 1:
        return nominal
    return nominal + number_for(f"{key}\0{nominal.timestamp():.0f}", count) * _MILLISECOND
