"""
Reads a server's configuration file again, and has its policies kept from then on.

Nothing else of the file takes effect before the server starts anew; where something
else has changed, that is said. A file that can't be used changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from geartrain.broker.policy import Policy
from geartrain.errors import UsageError
from geartrain.server.configuration import load_settings
from geartrain.server.policies import load_policies
from geartrain.server.server import JobServer
from geartrain.server.settings import Settings

__all__ = ["PolicyFile"]

logger = logging.getLogger("geartrain.server")


class PolicyFile:
    """
    The file with a server's policies.

    Args:
        path: Where it is; None where the server has none.

    Raises:
        UsageError: It can't be read, or says what can't be.

    Attributes:
        settings: What its ``[server]`` says, or the defaults.
        policies: What its ``[functions]`` says.

    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.settings = load_settings(path) if path else Settings()
        self.policies = load_policies(path) if path else []
        # As they were read: options of the command may win over them.
        self.read = replace(self.settings)

    def reload(self, server: JobServer) -> None:
        """Read it again, and say what has changed."""
        if self.path is None:
            logger.warning("SIGHUP: there is no configuration file to read again (--config)")
            return
        try:
            settings, policies = load_settings(self.path), load_policies(self.path)
        except UsageError as error:
            logger.error("SIGHUP: everything stays as it was: %s", error)
            return
        server.configure(policies)
        logger.info("SIGHUP: %s", difference(self.policies, policies))
        if settings != self.read:
            logger.warning("SIGHUP: what has changed in [server] takes a restart")
        self.policies, self.read = policies, settings


def difference(old: list[Policy], new: list[Policy]) -> str:
    """Return in words which policies have come, gone or changed."""
    before = {policy.pattern: policy.values() for policy in old}
    after = {policy.pattern: policy.values() for policy in new}
    words = [f"+ {text(name)}" for name in after if name not in before]
    words += [f"- {text(name)}" for name in before if name not in after]
    words += [f"~ {text(name)}" for name in after if name in before and after[name] != before[name]]
    if not words and list(before) != list(after):
        words = ["their order"]
    return "policies: " + (", ".join(words) or "nothing has changed")


def text(name: bytes) -> str:
    """Return the name of a function, or a pattern, for the log."""
    return ascii(name.decode("utf-8", "replace"))
