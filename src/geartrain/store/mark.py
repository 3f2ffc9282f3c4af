"""
What a store says of itself while it is moved, so that no server takes half of a queue for a queue.

It is kept where results of jobs are, under a name that no job has.
"""

from __future__ import annotations

import json
from typing import Final

from geartrain.errors import UsageError
from geartrain.store.batch import COMPLETED, Batch, Result
from geartrain.store.queue_store import QueueStore

__all__ = [
    "FOREVER",
    "MARK",
    "Mark",
    "check_mark",
    "check_not_moving",
    "mark",
    "mark_of",
    "read_mark",
    "unmark",
]

MARK: Final = b"geartrain:moving"
# The last second of the year 9999, after which nothing expires.
FOREVER: Final = 253402300799.0


class Mark:
    """
    What a store in the middle of a move says of itself.

    Attributes:
        role: ``source`` or ``target``.
        other: Name of the store at the other end.
        copied: Whether everything is in the target, so that the source is being emptied.

    """

    def __init__(self, role: str, other: str, copied: bool = False) -> None:
        self.role = role
        self.other = other
        self.copied = copied


def check_not_moving(store: QueueStore) -> None:
    """Raise UsageError where a move of an open store is not finished."""
    check_mark(store.name, read_mark(store))


def check_mark(name: str, found: Mark | None) -> None:
    """Raise UsageError where a store of a name has a mark."""
    if found is not None:
        way = "from" if found.role == "target" else "to"
        raise UsageError(
            f"{name} is being moved {way} {found.other}, and some of what it held may be there: "
            "finish that first, with geartrain db move or, from a file, geartrain db restore"
        )


def read_mark(store: QueueStore) -> Mark | None:
    """Return a store's mark; None for none."""
    result = store.result(MARK)
    # One that has expired was taken away, and waits to be forgotten.
    if result is None or result.expires == 0.0:
        return None
    return mark_of(result.data)


def mark_of(data: bytes) -> Mark:
    """Return what was written down as a mark."""
    try:
        role, other, copied = json.loads(data)
    except (ValueError, TypeError):
        return Mark("", "another store")
    return Mark(str(role), str(other), bool(copied))


def mark(store: QueueStore, said: Mark) -> None:
    """Set a store's mark."""
    data = json.dumps([said.role, said.other, said.copied]).encode()
    store.commit(Batch(results=[Result(MARK, 0, b"", COMPLETED, data, 0.0, FOREVER)]))


def unmark(store: QueueStore) -> None:
    """Take a store's mark away: it expires at once."""
    if store.result(MARK) is not None:
        store.commit(Batch(results=[Result(MARK, 0, b"", COMPLETED, b"", 0.0, 0.0)]))
        store.forget_results(0.0)
