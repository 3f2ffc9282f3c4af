"""
What a scheduler that comes back leaves alone at first: entries that agents may have fired.

No scheduler was there, or nothing would be late. Agents that were cut off for as long have run what
they could by themselves, and report it when they greet, every ten seconds. A late moment that was
dealt with before that would be called missed, and somebody would be told. So such entries wait, and
what comes due while they do is on time all the same.

Pure: the times are the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geartrain.schedule.agents import LEASE, is_local, may_be_local
from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.targeting import targets_of
from geartrain.store.schedule_rows import Agent, Schedule

__all__ = ["Returning"]

# Seconds in which agents that are there have greeted, and between two looks whether they have.
_PATIENCE: Final = 30.0
_LOOKS: Final = 1.0
# Seconds by which an entry that has waited may be dealt with later than that.
_SLACK: Final = 5.0
_AGENT: Final = "agent:"


class Returning:
    """A scheduler that came back at some time."""

    def __init__(self) -> None:
        self.since = float("-inf")

    def begin(self, now: float) -> None:
        """Take note that it is back from now on."""
        self.since = now

    def wait(self, row: Schedule, now: float, agents: Sequence[Agent]) -> float:
        """Return when a due entry is to be looked at again; 0 if it need not wait."""
        if not self._is_new(now, 0.0) or row.paused_at or not may_be_local(row):
            return 0.0
        entry = from_definition(row.definition)
        if not is_local(entry) or self._has_reported(entry, agents):
            return 0.0
        late = row.next_fire < now - entry.grace
        if not late and targets_of(entry, row.id, row.next_fire, agents):
            return 0.0
        if late and not entry.target.startswith(_AGENT):
            # Which agents may have run it is not known: no look would find that they have greeted.
            return self.since + _PATIENCE
        return min(now + _LOOKS, self.since + _PATIENCE)

    def waited(self, row: Schedule, now: float) -> float:
        """Return by how many seconds an entry's moments may be late because it has waited."""
        waits = self._is_new(now, _SLACK) and may_be_local(row)
        return now - self.since if waits else 0.0

    def _is_new(self, now: float, more: float) -> bool:
        return self.since <= now < self.since + _PATIENCE + more

    def _has_reported(self, entry: Entry, agents: Sequence[Agent]) -> bool:
        """Whether the one agent that may have run it has greeted, and reported all of it."""
        if not entry.target.startswith(_AGENT):
            return False
        name = entry.target.removeprefix(_AGENT)
        return any(one.name == name and one.expires >= self.since + LEASE for one in agents)
