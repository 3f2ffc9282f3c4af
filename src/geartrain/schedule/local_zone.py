"""
The zone of this machine, by its IANA name: the one in which its cron reads crontabs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from geartrain.errors import UsageError
from geartrain.schedule.zone import read_zone

__all__ = ["machine_zone"]

_LOCALTIME: Final = Path("/etc/localtime")
_TIMEZONE: Final = Path("/etc/timezone")
# Other names of it, which machines in the cloud have.
_UTC: Final = ("Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal", "UCT", "Zulu", "Universal")
_DATABASE: Final = "zoneinfo/"


def machine_zone(localtime: Path = _LOCALTIME, timezone: Path = _TIMEZONE) -> str:
    """
    Return the name of the machine's zone: what TZ says, /etc/localtime leads to, or UTC.

    Raises:
        UsageError: There is a zone, and it has no name.

    """
    found = [os.environ.get("TZ", "").removeprefix(":")]
    if localtime.is_symlink():
        # One link after the other: what it ends at may be an alias of the name it was given by.
        found.append(_behind(os.readlink(localtime)))
        found.append(_behind(str(localtime.resolve())))
    if timezone.is_file():
        found.append(timezone.read_text(encoding="utf-8", errors="replace").strip())
    for name in found:
        if name:
            try:
                zone = read_zone(_behind(name) or name).key
                return "UTC" if zone in _UTC else zone
            except ValueError:
                continue
    if any(found) or localtime.exists():
        raise UsageError("this machine's zone has no name; give --timezone, such as Europe/Berlin")
    return "UTC"


def _behind(path: str) -> str:
    """Return what stands behind the database's directory in a path."""
    return path.partition(_DATABASE)[2]
