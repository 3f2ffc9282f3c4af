"""
One connection to a database server, as the store of several servers uses it, and how it is made.

Connecting takes as long as it takes: hosts that are gone answer late or never. A thread does it,
so that whoever needs the connection can give up sooner, and the next finds it made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from geartrain.errors import StoreUnavailable
from geartrain.store.statements import Statements

__all__ = [
    "CONFLICT",
    "DAMAGED",
    "LOST",
    "PASSING",
    "REFUSED",
    "Connector",
    "Database",
    "Link",
]

# What an error means for the transaction it ended.
CONFLICT: Final = 0  # another one was in its way: nothing was written, and it can be tried again
LOST: Final = 1  # the connection is gone, or useless, and another may do
PASSING: Final = 2  # the database can't do it now
DAMAGED: Final = 3  # what is there is not what was expected
REFUSED: Final = 4  # it is more, or something else, than the database takes


class Link(Protocol):
    """A connection. The first statement begins a transaction."""

    def limit(self, end: float, idle: int) -> None:
        """
        Let what follows fail, by losing the connection, in time.

        Args:
            end: A time of ``time.monotonic``.
            idle: Seconds after which the database may end a transaction in which nothing
                happens: what a server that hangs keeps locked, others are waiting for.

        """

    def run(self, statements: Sequence[tuple[str, Sequence[object]]]) -> list[int]:
        """Run statements in their order; return how many rows each of them changed."""

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return the rows of a query that sees all that any server has committed."""

    def commit(self) -> None:
        """Make it durable. Where this fails, it may have been done or not."""

    def rollback(self) -> None:
        """Undo it."""

    def close(self) -> None:
        """Drop the connection, which undoes what was not committed."""


class Database(Protocol):
    """
    What differs between the databases.

    Attributes:
        statements: What was compiled for it.
        head: The revision of the tables that these are for.
        tables: Query of the names of the store's tables.
        now: SQL of the database's clock, in seconds since 1970.
        free: Ends the session of a server that hangs in the middle of a transaction, given its
            generation; empty where the database does that by itself.
        name: The URL without a password.
        errors: What the driver raises.
        room: Bytes that one statement may have, parameters included; 0 for no limit. Known
            when a connection was made, as is what follows.
        room_setting: What sets that limit, for people.
        remarks: Settings of the database that weaken a promise, for people.

    """

    statements: Statements
    head: str
    tables: str
    now: str
    free: str
    name: str
    errors: tuple[type[Exception], ...]
    room: int
    room_setting: str
    remarks: list[str]

    def connect(self) -> Link:
        """Connect to the first of the hosts that serves."""

    def migrate(self) -> None:
        """Bring tables of an earlier release up to date."""

    def escaped_size(self, data: bytes) -> int:
        """Return how many bytes of a statement a parameter takes."""

    def meaning(self, error: Exception) -> int:
        """Return which of CONFLICT, LOST, PASSING, DAMAGED and REFUSED an error is."""

    def is_there(self, error: BaseException | None) -> bool:
        """Return whether an error says that what was to be created is there already."""

    def masked(self, error: BaseException) -> str:
        """Return what an error says, in one line and without a password."""


class Connector:
    """
    Makes a connection in a thread of its own.

    Args:
        connect: What makes it; may take long.

    """

    def __init__(self, connect: Callable[[], Link]) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._under_way = False
        self._made: Link | Exception | None = None
        self._closed = False

    def take(self, timeout: float) -> Link:
        """Return a new connection; raises what connecting raised, StoreUnavailable when late."""
        with self._changed:
            self._closed = False
            if self._made is None and not self._under_way:
                self._under_way = True
                threading.Thread(target=self._run, name="geartrain-connect", daemon=True).start()
            self._changed.wait_for(lambda: self._made is not None, timeout)
            made, self._made = self._made, None
        if made is None:
            raise StoreUnavailable("the database does not answer")
        if isinstance(made, Exception):
            raise made
        return made

    def close(self) -> None:
        """Drop a connection that is made and was not taken, or comes later."""
        with self._changed:
            self._closed = True
            made, self._made = self._made, None
        if made is not None and not isinstance(made, Exception):
            made.close()

    def _run(self) -> None:
        made: Link | Exception
        try:
            made = self._connect()
        except Exception as error:
            made = error
        with self._changed:
            self._under_way = False
            if not self._closed:
                self._made = made
                self._changed.notify()
                return
        if not isinstance(made, Exception):
            made.close()
