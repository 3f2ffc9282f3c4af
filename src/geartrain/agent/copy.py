"""
The agent's copy of the entries that it fires while it is cut off: signed, and for a limited time.

It is a file of its own, so that a person can read it, and take it away. A copy is believed only
with the scheduler's signature, never replaced by an older one, and used only as long as a scheduler
confirmed it not too long ago.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geartrain.agent.journal import Journal
from geartrain.errors import UsageError
from geartrain.schedule.greeting import Reply, Table, read_table

__all__ = ["LocalCopy"]

_FILE: Final = "entries.json"


class LocalCopy:
    """
    The copy of one agent.

    Args:
        directory: Where it is kept.
        journal: Where it is noted when a scheduler last confirmed it.
        agent: The agent's name.
        key: What tables are signed with; without one there is no copy.
        lifetime: For how many seconds it is used after it was confirmed.

    Attributes:
        table: The entries; None without a copy.
        confirmed: When a scheduler last said that it is the newest, in seconds since 1970.
        fault: Why there is none, where there should be one.

    """

    def __init__(
        self, directory: Path, journal: Journal, agent: str, key: bytes, lifetime: float
    ) -> None:
        self.path = directory / _FILE
        self.journal = journal
        self.agent = agent
        self.key = key
        self.lifetime = lifetime
        self.table: Table | None = None
        self.confirmed = float(journal.fact("confirmed") or 0)
        self.fault = ""

    @property
    def revision(self) -> int:
        """Revision of the table; 0 without one."""
        return 0 if self.table is None else self.table.revision

    def load(self) -> None:
        """Read the copy of an earlier start."""
        if not self.key:
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise UsageError("it is no object")
            self.table = read_table(found, self.key, self.agent)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError, UsageError) as error:
            self.fault = f"the copy of entries {self.path} can't be used: {error}"

    def take(self, reply: Reply, now: float) -> None:
        """Take over what a scheduler answered, on disk; ``fault`` says what is wrong with it."""
        if not self.key or not reply.revision:
            return
        if reply.revision < self.revision:
            self.fault = (
                f"the scheduler's entries went back from revision {self.revision} to "
                f"{reply.revision}; if its store was replaced on purpose, stop the agent and "
                f"delete {self.path}"
            )
            return
        if reply.table is not None:
            try:
                table = read_table(reply.table, self.key, self.agent)
                if table.revision != reply.revision:
                    raise UsageError("the table of entries is of another revision than was said")
                self._write(reply.table)
            except (OSError, UsageError) as error:
                self.fault = f"the scheduler's entries can't be taken over: {error}"
                return
            self.table = table
            self.journal.note(revision=str(table.revision), entries=str(len(table.entries)))
        elif reply.revision != self.revision:
            return
        self.confirmed = now
        self.fault = ""
        self.journal.note(confirmed=str(now))

    def is_expired(self, now: float) -> bool:
        """Whether it is too old to be used."""
        return self.table is not None and now - self.confirmed > self.lifetime

    def _write(self, found: Mapping[str, Any]) -> None:
        """Put a new copy in the place of the old one: whole, whenever the power goes."""
        new = self.path.with_suffix(".new")
        with open(new, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
