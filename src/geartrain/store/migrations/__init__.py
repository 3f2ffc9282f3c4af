"""
Brings tables of an earlier release up to date, with Alembic.

A new revision is a file in ``versions``; ``compiling.HEAD`` names the newest, and a new
database is created at it directly. Importing this package imports Alembic.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from geartrain.errors import UsageError

__all__ = ["config", "upgrade"]


def config(connection: Connection) -> Config:
    """Return Alembic's settings for a connection."""
    settings = Config()
    # Alembic would read a % as the start of a variable.
    here = str(Path(__file__).parent).replace("%", "%%")
    settings.set_main_option("script_location", here)
    settings.attributes["connection"] = connection
    return settings


def upgrade(connection: Connection, revision: str = "head") -> None:
    """
    Bring the tables up to a revision.

    Args:
        connection: Within a transaction, which the caller commits.
        revision: ``head``, or one of those in ``versions``.

    Raises:
        UsageError: The tables are of a revision that this release doesn't know.

    """
    try:
        command.upgrade(config(connection), revision)
    except CommandError as error:
        raise UsageError(
            f"the store was written by a newer release ({error}): install that one"
        ) from error
