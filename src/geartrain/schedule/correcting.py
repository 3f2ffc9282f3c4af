"""
Says in the log which entries a correction of the clock keeps from firing.

Wall times that a gap of more than three hours leaves out are not run, and leave no row: nothing
else tells of them but an explanation that somebody asks for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from geartrain.schedule.entry import from_definition
from geartrain.schedule.sequence import correction
from geartrain.store.schedule_rows import Plan, Schedule

__all__ = ["tell_corrections"]

logger = logging.getLogger("geartrain.schedule")

# Entries that are named on one line.
_NAMED: Final = 5


def tell_corrections(plans: Iterable[tuple[Schedule, Plan]]) -> None:
    """
    Log the entries that are kept from firing before their next moment, one line for each gap.

    Args:
        plans: Entries as they were, and what became of them.

    """
    kept: dict[str, list[str]] = {}
    for row, made in plans:
        # One that was put off has the moment it had.
        if made.next_fire <= row.next_fire:
            continue
        if what := _passed(row, made):
            kept.setdefault(what, []).append(row.name)
    for what, names in kept.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        logger.warning(
            "clocks leave out %s, more than three hours: not run is what falls into it of %s%s",
            what,
            ", ".join(names[:_NAMED]),
            more,
        )


def _passed(row: Schedule, made: Plan) -> str:
    """Return the gap that an entry has before its next moment; empty where there is none."""
    try:
        entry = from_definition(row.definition)
        gap = correction(entry, row.next_fire, made.next_fire)
    except Exception:
        # A line of the log is not worth the loop that fires everything.
        logger.exception("entry %s: what a correction keeps from firing is not known", row.name)
        return ""
    return f"{gap.begin} to {gap.end} in {entry.timezone}" if gap is not None else ""
