"""
Where the parts of the store of schedules meet: the database that is written, and a copy to read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy import bindparam, select

from geartrain.errors import StoreUnavailable
from geartrain.store.schedule_mapping import FIRE, fire_of
from geartrain.store.schedule_rows import Fire
from geartrain.store.schedule_tables import OPEN, fires
from geartrain.store.schedule_transactions import (
    PATIENCE,
    ScheduleTransactions,
    Transaction,
    lots,
)

__all__ = ["SchedulePlace", "open_of"]

T = TypeVar("T")


class SchedulePlace:
    """
    What all parts of the store have in common.

    Args:
        writer: The database.
        reader: A copy of it for listings, which may be a little behind; the same by default.

    """

    def __init__(
        self, writer: ScheduleTransactions, reader: ScheduleTransactions | None = None
    ) -> None:
        self._writer = writer
        self._reader = reader or writer

    def _read(self, work: Callable[[Transaction], T], patience: float = PATIENCE) -> T:
        """Do something that only lists, for so many seconds at most."""
        if self._reader is not self._writer:
            try:
                return self._reader.read(work, patience)
            except StoreUnavailable:
                # What is listed late or not at all is worse than what costs the writer a little.
                pass
        return self._writer.read(work, patience)


def open_of(one: Transaction, identities: Sequence[int]) -> dict[int, list[Fire]]:
    """Return what has not ended of each of these entries, oldest first."""
    found: dict[int, list[Fire]] = {}
    for some in lots(identities):
        for row in one.rows(UNDERWAY, {"entries": some}):
            fire = fire_of(row)
            found.setdefault(fire.schedule, []).append(fire)
    return found


UNDERWAY: Final = (
    select(*FIRE)
    .where(
        fires.c.stage == OPEN,
        fires.c.schedule.in_(bindparam("entries", expanding=True)),
    )
    .order_by(fires.c.id)
)
