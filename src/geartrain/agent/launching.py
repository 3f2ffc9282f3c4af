"""
What a command is started with: shell, user, directory and environment, as cron has them.

Nothing of the agent's own environment gets through.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from geartrain.agent.allowing import check_command, check_environment
from geartrain.agent.settings import AgentSettings
from geartrain.errors import UsageError
from geartrain.schedule.envelope import Envelope, text_of

__all__ = ["Account", "Launch", "account_for", "launch_of"]

_SHELL: Final = "/bin/sh"
_PATH: Final = "/usr/bin:/bin"
_IDENTITY: Final = ("LOGNAME", "USER")


@dataclass(frozen=True, slots=True)
class Account:
    """
    Whom a command runs as.

    Attributes:
        arguments: What `subprocess.Popen` is told to change to it; empty for the agent's own.

    """

    name: str
    home: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is started with."""

    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    account: Account
    stdin: bytes


def launch_of(envelope: Envelope, settings: AgentSettings) -> Launch:
    """Return what a fire's command is started with; raises UsageError where it may not be."""
    account = account_for(envelope.user, settings)
    given = {
        "SHELL": _SHELL,
        "PATH": _PATH,
        "HOME": account.home,
        "LOGNAME": account.name,
        "USER": account.name,
    }
    # As in cron, an entry that says it is somebody else is not listened to.
    wanted = [(name, value) for name, value in envelope.environment if name not in _IDENTITY]
    check_environment(wanted, given, settings.allow_environment)
    environment = given | dict(wanted)
    directory = envelope.directory or environment["HOME"]
    check_command(envelope.command, settings.allow, environment["PATH"], directory)
    return Launch(
        (environment["SHELL"], "-c", envelope.command),
        directory,
        environment | _facts(envelope),
        account,
        envelope.payload,
    )


def account_for(wanted: str, settings: AgentSettings) -> Account:
    """
    Return the account that an entry's user stands for.

    Args:
        wanted: The entry's user; empty for the agent's ``user``, or whom it runs as itself.
        settings: Says who may be asked for.

    Raises:
        UsageError: There is no such user, or it may not be had.

    """
    own = _own()
    name = wanted or settings.user or own.name
    if name == own.name:
        return own
    if name != settings.user and name not in settings.allow_users:
        raise UsageError(f"user {name!r} may not be had here; add it to [agent] allow_users")
    if os.geteuid() != 0:
        raise UsageError(
            f"the agent runs as {own.name!r}, so it can't run anything as {name!r}; "
            "start it as root"
        )
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"there is no user {name!r} on this machine") from None
    return Account(
        name,
        found.pw_dir,
        {
            "user": found.pw_uid,
            "group": found.pw_gid,
            "extra_groups": os.getgrouplist(name, found.pw_gid),
        },
    )


def _own() -> Account:
    try:
        found = pwd.getpwuid(os.geteuid())
    except KeyError:
        # In containers there are numbers without names.
        return Account(str(os.geteuid()), "/")
    return Account(found.pw_name, found.pw_dir)


def _facts(envelope: Envelope) -> dict[str, str]:
    """Return what a command may want to know of its fire."""
    facts = {
        "GEARTRAIN_ENTRY": envelope.entry,
        "GEARTRAIN_KEY": envelope.key,
        "GEARTRAIN_NOMINAL": text_of(envelope.nominal),
        "GEARTRAIN_ATTEMPT": str(envelope.attempt),
    }
    if envelope.previous:
        facts["GEARTRAIN_PREVIOUS"] = text_of(envelope.previous)
    if envelope.shard is not None:
        facts["GEARTRAIN_SHARD"] = "{}/{}".format(*envelope.shard)
    return facts
