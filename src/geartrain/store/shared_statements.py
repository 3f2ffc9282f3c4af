"""
The SQL about servers that share a database, the same for all but the clock.

``{now}`` stands for the database's clock, in seconds since 1970. Parameters are ``%s``, as both
drivers have them.
"""

from __future__ import annotations

from typing import Final

from geartrain.store.rows import COLUMNS

__all__ = ["ServerStatements"]

# Every transaction of a server writes its row first. Whoever takes the server over writes the same
# row, so that one of the two waits for the other, or is undone.
RENEW: Final = (
    "UPDATE geartrain_servers SET expires = {now} + %s, renewals = %s "
    "WHERE generation = %s AND taken_by = 0"
)
JOIN: Final = (
    "INSERT INTO geartrain_servers "
    "(generation, name, address, prefix, expires, taken_by, renewals) "
    "VALUES (%s, %s, %s, %s, {now} + %s, %s, 0)"
)
SERVERS: Final = (
    "SELECT generation, name, address, prefix, taken_by, expires - {now} "
    "FROM geartrain_servers ORDER BY generation"
)
# From a server whose lease has ended, or whatever its lease (third parameter 1).
TAKE: Final = (
    "UPDATE geartrain_servers SET taken_by = %s WHERE generation = %s "
    "AND taken_by <= 0 AND (expires < {now} OR %s = 1)"
)
END: Final = (
    "UPDATE geartrain_servers SET expires = {now}, taken_by = %s "
    "WHERE generation = %s AND taken_by = 0"
)
# Jobs from one number to another.
PAGE: Final = (
    "SELECT {columns} FROM geartrain_jobs WHERE number >= %s AND number <= %s "
    "ORDER BY number LIMIT %s"
)
# To be given marks for numbers as well.
LEFT_IN: Final = "SELECT {columns} FROM geartrain_jobs WHERE number IN ({{numbers}})"


class ServerStatements:
    """
    One database's texts.

    Args:
        now: SQL of its clock.

    """

    def __init__(self, now: str) -> None:
        self.renew = RENEW.format(now=now)
        self.renewals = "SELECT renewals FROM geartrain_servers WHERE generation = %s FOR UPDATE"
        self.join = JOIN.format(now=now)
        self.servers = SERVERS.format(now=now)
        self.take = TAKE.format(now=now)
        self.take_after = "UPDATE geartrain_servers SET taken_by = %s WHERE taken_by = %s"
        self.end = END.format(now=now)
        self.forget = "DELETE FROM geartrain_servers WHERE generation = %s AND taken_by <> 0"
        self.next_number = "SELECT min(number) FROM geartrain_jobs WHERE number >= %s"
        self.highest = "SELECT max(number) FROM geartrain_jobs WHERE number < %s"
        self.count = "SELECT count(*) FROM geartrain_jobs WHERE number >= %s AND number <= %s"
        columns = ", ".join(COLUMNS)
        self.page = PAGE.format(columns=columns)
        # Whoever joins a job and whoever takes it out write the same row, one after the other.
        self.note_joined = (
            "UPDATE geartrain_jobs SET joined = joined + 1 WHERE number IN ({numbers})"
        )
        self.take_out = "DELETE FROM geartrain_jobs WHERE number IN ({numbers}) AND joined = 0"
        self.left_in = LEFT_IN.format(columns=columns)
        # To be given as many marks of parameters as there are numbers, and keys.
        self.present = (
            "SELECT number, handle, coalesce_key FROM geartrain_jobs WHERE number IN ({numbers}) "
            "UNION ALL "
            "SELECT number, handle, coalesce_key FROM geartrain_jobs WHERE coalesce_key IN ({keys})"
        )
