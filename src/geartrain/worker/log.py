"""What workers log about jobs and servers, all under ``geartrain.worker``."""

from __future__ import annotations

import logging

from geartrain.client.address import Address
from geartrain.errors import ServerError
from geartrain.worker.job import Ending
from geartrain.worker.session import Assignment

logger = logging.getLogger("geartrain.worker")

# Servers of which it was said that they are not ours: once, not at every connection.
_OTHER_SERVERS: set[Address] = set()


def log_ending(assignment: Assignment, ending: Ending) -> None:
    """Log a job that did not end well."""
    logger.warning("%s %s", printable_handle(assignment), ending.log, extra=fields(assignment))


def log_dropped(assignment: Assignment) -> None:
    """Log a result that nobody waits for any more."""
    logger.warning(
        "%s: the connection it came by is gone, and the server gave the job to another worker; "
        "the result is dropped",
        printable_handle(assignment),
        extra=fields(assignment),
    )


def log_errors(address: Address, errors: list[ServerError]) -> None:
    """Log what a server complained about."""
    for error in errors:
        if error.code == "JOB_NOT_FOUND":
            logger.info("%s: a result came too late, another worker has the job", address)
        elif error.code == "UNKNOWN_OPTION":
            log_option_refused(address)
        else:
            logger.warning("%s answered %s", address, error)


def log_option_refused(address: Address) -> None:
    """Log that a server does not know an option; all that are sent but one are our servers' own."""
    if address not in _OTHER_SERVERS:
        _OTHER_SERVERS.add(address)
        logger.warning(
            "%s is no geartrain server: no retries, limits, kept results there",
            address,
        )


def log_loss(address: Address, reason: str, held: int) -> None:
    """Log a connection that ended."""
    logger.warning(
        "%s: %s; it gives the jobs held here (%d) to other workers", address, reason, held
    )


def log_no_connection(address: Address, reason: str, attempts: int) -> None:
    """Log an attempt to connect that failed: once aloud, since a server may be down for long."""
    level = logging.WARNING if attempts == 1 else logging.DEBUG
    logger.log(level, "%s: %s; trying again until it is there", address, reason)


def printable_handle(assignment: Assignment) -> str:
    """Return a handle as text."""
    return assignment.handle.decode("ascii", "backslashreplace")


def fields(assignment: Assignment) -> dict[str, str]:
    """Return the fields that log records about a job carry."""
    return {
        "handle": printable_handle(assignment),
        "unique": assignment.unique.decode("utf-8", "backslashreplace"),
    }


__all__ = [
    "fields",
    "log_dropped",
    "log_ending",
    "log_errors",
    "log_loss",
    "log_no_connection",
    "log_option_refused",
    "logger",
    "printable_handle",
]
