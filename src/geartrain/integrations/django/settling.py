"""
Writes down what no worker was left to write: that the job server has given a job up.

A job that takes its workers along leaves a row that says it runs. The server is asked
about such a row when its result is asked for, and only where a worker seems to be lost.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.utils import timezone

from geartrain.client.admin import AdminClient
from geartrain.errors import GeartrainError, GivenUp
from geartrain.integrations.django.framework import TaskResultStatus
from geartrain.integrations.django.models import JobLog

logger = logging.getLogger("geartrain.django")

# A row that a second worker has begun is looked after at once, another when it is this old.
_PATIENCE: Final = timedelta(minutes=1)
# Seconds that the server gets to answer.
_TIMEOUT: Final = 5.0


def settle(row: JobLog) -> None:
    """Note in a row that its job is a dead letter, if it is one."""
    if row.status != TaskResultStatus.RUNNING or not row.handle or not seems_lost(row):
        return
    reason = reason_of(row)
    if reason:
        name = row.handle.encode()
        row.give_up(GivenUp(name, reason.encode(), reason, row.server))


def seems_lost(row: JobLog) -> bool:
    """Return whether the worker that runs it may be gone."""
    begun = row.last_attempted_at
    return row.attempts > 1 or begun is None or timezone.now() - begun > _PATIENCE


def reason_of(row: JobLog) -> str:
    """Return why the server gave a job up; empty where it did not, or does not say."""
    try:
        with AdminClient(row.server, timeout=_TIMEOUT) as admin:
            facts = admin.show_job(row.handle)
    except GeartrainError as error:
        # Also that it is gearmand, or knows no such job any more.
        logger.debug("%s is not known at %s: %s", row.handle, row.server, error)
        return ""
    return facts.get("reason", "") if facts.get("state") == "dead" else ""


__all__ = ["settle"]
