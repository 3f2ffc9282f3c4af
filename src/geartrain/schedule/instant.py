"""
Instants as people and programs give them: RFC 3339, in whole seconds; ``rfc3339`` writes them.

Inside the room an instant is a naive datetime in UTC and a wall time a naive
datetime of its zone; only what leaves the room carries a zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = [
    "FIRST",
    "LAST",
    "SECOND",
    "aware",
    "naive",
    "read_instant",
]

SECOND: Final = timedelta(seconds=1)
# Nothing is looked for outside of these, so that no zone's offset leads out of what datetime has.
FIRST: Final = datetime(2, 1, 1)
LAST: Final = datetime(9998, 12, 31)

_RFC3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.0+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def read_instant(text: str) -> datetime:
    """
    Return the aware datetime in UTC that an RFC 3339 text names.

    Raises:
        ValueError: It is none, has no offset, or a fraction of a second; says so.

    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text.strip()!r} is no instant; write whole seconds and an offset, "
            "like 2026-02-01T00:00:00Z or 2026-02-01T01:00:00+01:00"
        )
    day, time, offset = match.groups()
    try:
        return datetime.fromisoformat(f"{day}T{time}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text.strip()!r} is no instant: {error}") from None


def naive(instant: datetime) -> datetime:
    """
    Return an aware instant as a naive datetime in UTC, between ``FIRST`` and ``LAST``.

    Raises:
        ValueError: The datetime has no zone, so it is no instant.

    """
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} has no time zone; give one, such as datetime.UTC")
    try:
        found = instant.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return LAST if instant.year > LAST.year else FIRST
    return min(max(found, FIRST), LAST)


def aware(instant: datetime | None) -> datetime | None:
    """Return a naive datetime in UTC with its zone."""
    return None if instant is None else instant.replace(tzinfo=UTC)
