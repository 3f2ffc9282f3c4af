"""
What can be set on a scheduler: the ``[scheduler]`` table of the configuration file.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from geartrain.configuration import check_names, checked, read_tables, seconds_of, table_of
from geartrain.errors import UsageError

__all__ = ["SchedulerSettings", "check_scheduler", "load_scheduler_settings"]

_TABLE: Final = "scheduler"
_SECONDS: Final = ("poll", "lease")
_RANGES: Final = {"poll": (0.05, 60.0), "lease": (3.0, 3600.0), "batch": (1, 10_000)}


@dataclass
class SchedulerSettings:
    """
    Settings of one scheduler.

    Attributes:
        enabled: Whether `geartrain serve` runs one.
        store: URL of the database of entries; empty for the job server's store.
        store_reader: URL of a copy of it, which listings are read from.
        servers: Job servers that fires are submitted to; by default the one it runs in, or
            127.0.0.1:4730.
        groups: Other servers by the name of a group, for entries that name it in ``servers``.
        instance: Its name among the schedulers of a store; empty for host and process.
        poll: Seconds between two looks at the store where nothing is due.
        lease: Seconds without a sign of life after which others take over what it has.
        batch: Entries dealt with in one transaction.
        key_file: File with the key that agents and schedulers sign with; none by default.

    """

    enabled: bool = True
    store: str = ""
    store_reader: str = ""
    servers: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    instance: str = ""
    poll: float = 1.0
    lease: float = 30.0
    batch: int = 200
    key_file: str = ""


def load_scheduler_settings(path: Path | None) -> SchedulerSettings:
    """Return the settings of a configuration file; the defaults without one. Raises UsageError."""
    settings = SchedulerSettings()
    if path is None:
        return settings
    table = table_of(path, read_tables(path), _TABLE)
    known = {one.name: str(one.type) for one in fields(SchedulerSettings)}
    check_names(path, f"key of [{_TABLE}]", table, list(known))
    for name, value in table.items():
        if name == "groups":
            settings.groups = _groups(path, value)
        elif name in _SECONDS:
            try:
                setattr(settings, name, float(seconds_of(value)))
            except UsageError as error:
                raise UsageError(f"{path}: {name} {error}") from None
        else:
            setattr(settings, name, checked(path, name, known[name], value))
    try:
        check_scheduler(settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return settings


def check_scheduler(settings: SchedulerSettings) -> None:
    """Raise UsageError for values that no scheduler can run with."""
    for name, (least, most) in _RANGES.items():
        value = getattr(settings, name)
        # Not a number is neither less nor more than anything.
        if not least <= value <= most:
            raise UsageError(f"{name} takes {least:g} to {most:g}, not {value}")
    if len(settings.instance) > 100:
        raise UsageError("instance takes at most 100 characters")


def _groups(path: Path, value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: groups has to be a table, written [{_TABLE}.groups]")
    return {
        name: checked(path, f"groups.{name}", "list[str]", some) for name, some in value.items()
    }


def host_name() -> str:
    """Return what this machine is called."""
    return socket.gethostname()
