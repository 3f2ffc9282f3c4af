"""
The job server's table of the configuration file.

How the file is read, and what a misspelt name is told, is the business of
`geartrain.configuration`.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from geartrain.configuration import check_names, checked, read_tables, table_of
from geartrain.errors import UsageError
from geartrain.server.settings import DEFAULT_LISTEN, Settings
from geartrain.server.store_url import warn_of_readers

_TABLE = "server"
_COMPAT = ("2.0", "1.1")
# A day, for what is counted in seconds; the least is what the event loop can tell from nothing.
_PATIENCE = (0.001, 86_400)
# The most are what Linux takes.
_RANGES: dict[str, tuple[float, float]] = {
    "job_retries": (-1, 255),
    "max_packet": (1024, 2**31 - 1),
    "backlog": (1, 2**31 - 1),
    "keepalive_idle": (0, 32_767),
    "keepalive_interval": (0, 32_767),
    "keepalive_count": (0, 127),
    "partial_timeout": _PATIENCE,
    "store_timeout": _PATIENCE,
    "stalled_timeout": _PATIENCE,
    "output_limit": (1024, 2**40),
    "grace": (0, 86_400),
    "lease": (0.3, 3600),
}


def load_settings(path: Path) -> Settings:
    """Return the settings of a configuration file; raises UsageError, which names file and key."""
    table = table_of(path, read_tables(path), _TABLE)
    settings = Settings()
    known = {field.name: str(field.type) for field in fields(Settings)}
    check_names(path, f"key of [{_TABLE}]", table, list(known))
    for name, value in table.items():
        setattr(settings, name, checked(path, name, known[name], value))
    for url in (settings.store, settings.store_reader):
        warn_of_readers(path, url)
    try:
        check(settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return settings


def check(settings: Settings) -> None:
    """Raise UsageError for values that no server can run with."""
    if settings.compat not in _COMPAT:
        raise UsageError(f"compat takes {' or '.join(_COMPAT)}, not {settings.compat!r}")
    for name, (least, most) in _RANGES.items():
        value = getattr(settings, name)
        # Not a number is neither less nor more than anything.
        if not least <= value <= most:
            raise UsageError(f"{name} takes {least} to {most}, not {value}")
    if not settings.listen:
        raise UsageError(f"listen takes at least one address, such as {DEFAULT_LISTEN}")
