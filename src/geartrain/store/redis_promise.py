"""
What Redis keeps when it ends, read from its settings and said in words.

Only ``appendonly yes`` with ``appendfsync always`` has a job on disk when it is
acknowledged. WAITAOF could ask for the same under ``everysec``; but the sync it
waits for comes once a second, which is longer than a submission may wait.
"""

from __future__ import annotations

from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

__all__ = ["largest_value", "read_promise"]

ALWAYS: Final = "an acknowledged job is on disk"
EVERY_SECOND: Final = (
    "an acknowledged job survives the end of Redis, but the last two seconds of jobs may be lost "
    "when its machine fails; for none, set appendfsync always"
)
WHENEVER: Final = (
    "an acknowledged job survives the end of Redis, but when its machine fails, jobs are lost that "
    "the system had not written yet; for none, set appendfsync always"
)
REWRITING: Final = (
    "an acknowledged job is on disk, except while Redis rewrites its log; "
    "set no-appendfsync-on-rewrite no"
)
SNAPSHOTS: Final = (
    "jobs acknowledged since its last snapshot are lost when Redis ends; "
    "for none, set appendonly yes and appendfsync always"
)
NOTHING: Final = (
    "jobs survive a restart of this server only, and are lost when Redis ends; "
    "for none, set appendonly yes and appendfsync always"
)
UNKNOWN: Final = "its settings can't be read, so what an acknowledged job survives is not known"
EVICTING: Final = " (and it may drop the queue when its memory is full: set maxmemory-policy {})"

# What a value may have where nobody says otherwise, in bytes.
_LARGEST: Final = 512 * 1024 * 1024

_NAMES: Final = ("appendonly", "appendfsync", "save", "no-appendfsync-on-rewrite")


def read_promise(client: Redis) -> tuple[str, bool | None]:
    """
    Return what an acknowledged job survives, in words.

    Returns also True where nothing can be lost, False where Redis forgets
    everything when it ends, None for anything between.
    """
    try:
        found = {name: setting(client, name) for name in _NAMES}
        policy = setting(client, "maxmemory-policy")
        limited = setting(client, "maxmemory") not in ("", "0")
    except ResponseError:
        # A service that somebody else runs may not say.
        return UNKNOWN, None
    promise, keeps = promise_of(found)
    if limited and policy.startswith("allkeys"):
        return promise + EVICTING.format("noeviction"), False if keeps is False else None
    return promise, keeps


def promise_of(found: dict[str, str]) -> tuple[str, bool | None]:
    """Return the promise that settings make."""
    if found["appendonly"] != "yes":
        return (SNAPSHOTS, None) if found["save"] else (NOTHING, False)
    if found["appendfsync"] == "always":
        return (REWRITING, None) if found["no-appendfsync-on-rewrite"] == "yes" else (ALWAYS, True)
    return (EVERY_SECOND if found["appendfsync"] == "everysec" else WHENEVER), None


def largest_value(client: Redis) -> int:
    """Return how many bytes a value may have."""
    try:
        return int(setting(client, "proto-max-bulk-len") or _LARGEST)
    except ResponseError:
        return _LARGEST


def setting(client: Redis, name: str) -> str:
    """Return one setting, empty for one that this server has not got."""
    found: Any = client.config_get(name)
    value = found.get(name, found.get(name.encode(), ""))
    return value.decode() if isinstance(value, bytes) else str(value)
