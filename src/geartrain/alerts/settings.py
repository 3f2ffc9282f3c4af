"""
The ``[alerts]`` table of the configuration file. docs/reference/alerts.md explains each key.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from geartrain.alerts.channel import Channel
from geartrain.alerts.mail import MailChannel, MailServer
from geartrain.alerts.program import ProgramChannel
from geartrain.alerts.service import ServiceChannel, is_service
from geartrain.alerts.speaking import Recipients, Speaking
from geartrain.alerts.suppression import Maintenance, Suppression
from geartrain.alerts.webhook import WebhookChannel
from geartrain.configuration import check_names, checked, hint, seconds_of
from geartrain.errors import UsageError

__all__ = ["AlertSettings", "read_alerts"]

KEYS: Final = [
    "to",
    "from",
    "repeat",
    "every",
    "flaps",
    "flap_time",
    "ping",
    "ping_every",
    "ping_allow",
    "channels",
    "smtp",
    "rules",
    "groups",
    "maintenance",
]
CHANNEL_KEYS: Final = ["url", "exec", "secret_file", "allow"]
SMTP: Final = {
    "host": "str",
    "port": "int",
    "sender": "str",
    "tls": "str",
    "user": "str",
    "password_file": "str",
    "ca_file": "str",
}
TLS: Final = ["", "none", "starttls", "implicit"]


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """
    Who is told, how, and how often.

    Attributes:
        channels: By name.
        ping: URL of the dead man's handle; empty for none.
        ping_every: Seconds.

    """

    channels: dict[str, Channel] = field(default_factory=dict)
    recipients: Recipients = field(default_factory=Recipients)
    suppression: Suppression = field(default_factory=Suppression)
    where: str = ""
    ping: str = ""
    ping_every: float = 60.0
    ping_allow: tuple[str, ...] = ()

    def speaking(self) -> Speaking:
        """Return what makes messages by these settings."""
        programs = frozenset(name for name, one in self.channels.items() if one.for_programs)
        return Speaking(self.suppression, self.recipients, programs, self.where)


def read_alerts(path: Path | str, table: dict[str, Any]) -> AlertSettings:
    """
    Return the settings of an ``[alerts]`` table.

    Args:
        path: The file, for messages.
        table: The table; ``{}`` where there is none.

    Raises:
        UsageError: Something in it is wrong; says what, and what it may have been meant to be.

    """
    check_names(path, "key of [alerts]", table, KEYS)
    server = _mail_server(path, _table(path, table, "smtp"))
    channels = {
        name: _channel(path, name, keys, server)
        for name, keys in _tables(path, table, "channels").items()
    }

    def names(key: str, found: Any) -> tuple[str, ...]:
        listed = tuple(checked(path, key, "list[str]", found))
        for name in listed:
            if name not in channels:
                known = hint(name, channels) if channels else "add [alerts.channels.NAME]"
                raise UsageError(f"{path}: {key} names no channel {name!r}; {known}")
        return listed

    recipients = Recipients(
        names("alerts.to", table.get("to", list(channels))),
        _routes(path, "rules", table, names),
        _routes(path, "groups", table, names),
    )
    return AlertSettings(
        channels,
        recipients,
        _suppression(path, table),
        checked(path, "alerts.from", "str", table.get("from", "")),
        checked(path, "alerts.ping", "str", table.get("ping", "")),
        _seconds(path, "alerts.ping_every", table.get("ping_every", 60)),
        tuple(checked(path, "alerts.ping_allow", "list[str]", table.get("ping_allow", []))),
    )


def _table(path: Path | str, table: dict[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{path}: alerts.{name} has to be a table, written [alerts.{name}]")
    return found


def _tables(path: Path | str, table: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    found = _table(path, table, name)
    for key, one in found.items():
        if not isinstance(one, dict):
            raise UsageError(f"{path}: alerts.{name}.{key} has to be a table")
    return found


def _routes(path: Path | str, kind: str, table: dict[str, Any], names: Any) -> dict[str, Any]:
    """Return the channels of each rule, or of each group."""
    routes = {}
    for key, keys in _tables(path, table, kind).items():
        check_names(path, f"key of [alerts.{kind}.{key}]", keys, ["to"])
        routes[key] = names(f"alerts.{kind}.{key}.to", keys.get("to", []))
    return routes


def _mail_server(path: Path | str, table: dict[str, Any]) -> MailServer:
    check_names(path, "key of [alerts.smtp]", table, SMTP)
    values = {key: checked(path, f"alerts.smtp.{key}", SMTP[key], table[key]) for key in table}
    server = MailServer(**values)
    if server.tls not in TLS:
        raise UsageError(f"{path}: alerts.smtp.tls is {server.tls!r}; {hint(server.tls, TLS[1:])}")
    if server.user and not server.password_file:
        raise UsageError(f"{path}: alerts.smtp.user needs alerts.smtp.password_file")
    return server


def _channel(path: Path | str, name: str, table: dict[str, Any], server: MailServer) -> Channel:
    where = f"alerts.channels.{name}"
    check_names(path, f"key of [{where}]", table, CHANNEL_KEYS)
    if ("url" in table) == ("exec" in table):
        raise UsageError(
            f'{path}: {where} needs one of url = "mailto:ops@example.org", '
            'url = "https://..." and exec = ["/path/to/program"]'
        )
    if "exec" in table:
        found = table["exec"]
        command = shlex.split(found) if isinstance(found, str) else found
        command = tuple(checked(path, f"{where}.exec", "list[str]", command))
        if not command:
            raise UsageError(f"{path}: {where}.exec names no program")
        return ProgramChannel(command)
    url = checked(path, f"{where}.url", "str", table["url"])
    if url.startswith("mailto:"):
        addresses = unquote(url.removeprefix("mailto:").removeprefix("//")).split(",")
        if not all(part.count("@") == 1 and part.isprintable() for part in addresses):
            raise UsageError(f"{path}: {where}.url names no address: write mailto:ops@example.org")
        return MailChannel(server, tuple(part.strip() for part in addresses))
    try:
        if is_service(url):
            for key in ("secret_file", "allow"):
                if key in table:
                    raise UsageError(f"{key} is a webhook's, and this is none")
            return ServiceChannel(url)
        return WebhookChannel(
            url,
            checked(path, f"{where}.secret_file", "str", table.get("secret_file", "")),
            tuple(checked(path, f"{where}.allow", "list[str]", table.get("allow", []))),
        )
    except UsageError as error:
        raise UsageError(f"{path}: {where}.url: {error}") from None


def _suppression(path: Path | str, table: dict[str, Any]) -> Suppression:
    usual = Suppression()
    every = table.get("every", list(usual.every))
    if not isinstance(every, list) or not all(type(one) is int and one > 0 for one in every):
        raise UsageError(f"{path}: alerts.every takes whole numbers such as [10, 100]")
    repeat = table.get("repeat", list(usual.repeat))
    if not isinstance(repeat, list):
        raise UsageError(f'{path}: alerts.repeat takes times such as ["1h", "4h", "24h"]')
    flaps = checked(path, "alerts.flaps", "int", table.get("flaps", usual.flaps))
    if flaps < 2:
        raise UsageError(f"{path}: alerts.flaps is the number of changes, at least 2")
    maintenance = table.get("maintenance", [])
    if not isinstance(maintenance, list):
        raise UsageError(f"{path}: write each maintenance as a table [[alerts.maintenance]]")
    return Suppression(
        tuple(_seconds(path, "alerts.repeat", one) for one in repeat),
        tuple(every),
        flaps,
        _seconds(path, "alerts.flap_time", table.get("flap_time", usual.flap_time)),
        tuple(_maintenance(path, one) for one in maintenance),
    )


def _seconds(path: Path | str, key: str, value: Any) -> float:
    try:
        found = seconds_of(value)
    except UsageError as error:
        raise UsageError(f"{path}: {key} {error}") from None
    if found <= 0:
        raise UsageError(f"{path}: {key} has to be more than nothing")
    return found


def _maintenance(path: Path | str, table: Any) -> Maintenance:
    where = "[[alerts.maintenance]]"
    if not isinstance(table, dict):
        raise UsageError(f"{path}: write each maintenance as a table {where}")
    patterns = ["subject", "group", "rule"]
    check_names(path, f"key of {where}", table, ["start", "end", *patterns])
    start, end = (_moment(path, where, key, table.get(key)) for key in ("start", "end"))
    if end <= start:
        raise UsageError(f"{path}: {where}: the end has to be later than the start")
    given = [checked(path, f"{where} {key}", "str", table.get(key, "*")) for key in patterns]
    return Maintenance(start, end, *given)


def _moment(path: Path | str, where: str, key: str, value: Any) -> float:
    # TOML has instants of its own.
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise UsageError(
            f"{path}: {where}: {key} takes an instant with its offset, unquoted, such as "
            "2026-12-24T18:00:00Z"
        )
    return value.timestamp()
