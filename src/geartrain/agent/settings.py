"""
An agent's tables of the configuration file, ``[agent]`` and ``[agent.apps]``.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from geartrain.configuration import (
    bytes_of,
    check_names,
    checked,
    read_tables,
    seconds_of,
    table_of,
)
from geartrain.errors import UsageError
from geartrain.schedule.greeting import check_agent_name

__all__ = ["AgentSettings", "check_settings", "load_agent_settings"]

_TABLE: Final = "agent"
_SECONDS: Final = ("grace", "kill_delay", "offline_after", "copy_lifetime", "keep_for")


@dataclass(slots=True)
class AgentSettings:
    """
    Settings of an agent; docs/reference/agent.md says what each does. Durations are seconds.
    """

    name: str = ""
    servers: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    state: str = "geartrain-agent"
    concurrency: int = 4
    allow: list[str] = field(default_factory=list)
    allow_environment: list[str] = field(
        default_factory=lambda: ["LANG", "LANGUAGE", "LC_*", "TZ", "MAILTO"]
    )
    user: str = ""
    allow_users: list[str] = field(default_factory=list)
    output_limit: int = 64 * 1024
    kill_delay: float = 5.0
    grace: float = 30.0
    offline_after: float = 30.0
    copy_lifetime: float = 7 * 86_400.0
    keep_for: float = 14 * 86_400.0
    key_file: str = ""
    sendmail: str = ""
    apps: dict[str, str] = field(default_factory=dict)


def load_agent_settings(path: Path) -> AgentSettings:
    """Return the settings of a configuration file; raises UsageError, which names file and key."""
    table = table_of(path, read_tables(path), _TABLE)
    settings = AgentSettings()
    known = {one.name: str(one.type) for one in fields(AgentSettings)}
    check_names(path, f"key of [{_TABLE}]", table, list(known))
    for name, value in table.items():
        setattr(settings, name, _read(path, name, known[name], value))
    try:
        check_settings(settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return settings


def check_settings(settings: AgentSettings) -> None:
    """Fill in the name, and raise UsageError for values that no agent can run with."""
    settings.name = check_agent_name(settings.name or socket.gethostname())
    if settings.concurrency < 1:
        raise UsageError(f"concurrency takes a number from 1 up, not {settings.concurrency}")
    if settings.output_limit < 0:
        raise UsageError(f"output_limit takes bytes, from 0 up, not {settings.output_limit}")
    if settings.keep_for < settings.copy_lifetime:
        raise UsageError(
            f"keep_for is {settings.keep_for:g} s, less than copy_lifetime: an agent has to know "
            "what it ran for as long as it may run it by itself"
        )
    if not settings.state:
        raise UsageError("state takes a directory, in which the agent keeps what it ran")


def _read(path: Path, name: str, kind: str, value: Any) -> Any:
    try:
        if name in _SECONDS:
            return float(seconds_of(value))
        if name == "output_limit":
            return bytes_of(value)
    except UsageError as error:
        raise UsageError(f"{path}: {name} {error}") from None
    if name == "apps":
        if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
            return value
        raise UsageError(f'{path}: [agent.apps] takes lines such as nightly = "module:function"')
    return checked(path, name, kind, value)
