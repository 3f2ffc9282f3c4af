"""
Instants as text, as RFC 3339 has them: in UTC and whole seconds, the same wherever they are shown.
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["written", "written_seconds"]


def written(instant: datetime) -> str:
    """Return an aware instant as text, such as ``2026-02-01T00:00:00Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def written_seconds(moment: float) -> str:
    """Return seconds since 1970 as ``written`` does, the fraction cut off."""
    return written(datetime.fromtimestamp(int(moment), UTC))
