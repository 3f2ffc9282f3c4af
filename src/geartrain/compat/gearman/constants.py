"""python-gearman's constants: the port, priorities, and the states of a request."""

from __future__ import annotations

from typing import Final

DEFAULT_GEARMAN_PORT: Final = 4730

PRIORITY_NONE: Final = None
PRIORITY_LOW: Final = "LOW"
PRIORITY_HIGH: Final = "HIGH"

# Not submitted, or its connection was lost.
JOB_UNKNOWN: Final = "UNKNOWN"
# Submitted, and not accepted by the server yet.
JOB_PENDING: Final = "PENDING"
# Accepted; for a background job that is all there is to know.
JOB_CREATED: Final = "CREATED"
JOB_FAILED: Final = "FAILED"
JOB_COMPLETE: Final = "COMPLETE"

__all__ = [
    "DEFAULT_GEARMAN_PORT",
    "JOB_COMPLETE",
    "JOB_CREATED",
    "JOB_FAILED",
    "JOB_PENDING",
    "JOB_UNKNOWN",
    "PRIORITY_HIGH",
    "PRIORITY_LOW",
    "PRIORITY_NONE",
]
