"""
What one scheduler decides about entries that are due: plans, or to look again a little later.

Asked in the transaction that found an entry due, so it reads nothing and takes no time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final

from geartrain.schedule.entry import from_definition
from geartrain.schedule.overlapping import in_doubt
from geartrain.schedule.planning import plan, put_off
from geartrain.schedule.returning import Returning
from geartrain.store.schedule_rows import Agent, Fire, Plan, Schedule

__all__ = ["Deciding"]

logger = logging.getLogger("geartrain.schedule")

# Seconds until an entry is looked at again that meets a mistake of ours, or one in doubt; and for
# which it may be in doubt.
_MISTAKEN: Final = 60.0
_SOON: Final = 0.25
_DOUBTFUL: Final = 10.0


class Deciding:
    """
    Decides for one scheduler.

    Args:
        name: The scheduler's.

    Attributes:
        others: The names of the schedulers that are there.
        has_copies: Whether agents have copies of entries, which they fire by themselves.
        looks_around: Whether somebody is not among the others who may have come just now.

    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.others: Collection[str] = ()
        self.has_copies = False
        self.looks_around = False
        self.returning = Returning()
        # Since when entries wait for news of what other schedulers have left behind.
        self._doubts: dict[int, float] = {}

    def decide(
        self, row: Schedule, at: float, fires: Sequence[Fire], agents: Sequence[Agent]
    ) -> Plan:
        """Return what becomes of a due entry; see ``Planner``."""
        try:
            if until := self._put_off(row, at, fires, agents):
                return put_off(row, until)
            waited = self.returning.waited(row, at) if self.has_copies else 0.0
            return plan(row, at, fires, agents, waited)
        except Exception:
            # One entry that meets a mistake of ours must not hold up all the others.
            logger.exception("entry %s can't be planned; it is tried again in a minute", row.name)
            return put_off(row, at + _MISTAKEN)

    def _put_off(
        self, row: Schedule, at: float, fires: Sequence[Fire], agents: Sequence[Agent]
    ) -> float:
        """Return when an entry is to be looked at again; 0 if it is planned now."""
        until = self.returning.wait(row, at, agents) if self.has_copies else 0.0
        return until or (at + _SOON if self._is_doubtful(row, at, fires) else 0.0)

    def _is_doubtful(self, row: Schedule, at: float, fires: Sequence[Fire]) -> bool:
        """Whether earlier fires of an entry may have ended, and it can wait to know that."""
        if not any(in_doubt(fire, at, self.name, self.others) for fire in fires):
            self._doubts.pop(row.id, None)
            return False
        entry = from_definition(row.definition)
        if entry.overlap == "allow" and entry.catch_up != "all":
            # It fires whatever became of them.
            return False
        self.looks_around = True
        return at < self._since(row, at) + _DOUBTFUL

    def _since(self, row: Schedule, at: float) -> float:
        """Return since when an entry waits; what it waited for long ago is another matter."""
        since = self._doubts.get(row.id, at)
        if not since <= at <= since + _DOUBTFUL + _MISTAKEN:
            since = at
        self._doubts[row.id] = since
        return since
