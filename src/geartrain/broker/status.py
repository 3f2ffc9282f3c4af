"""
Answers GET_STATUS and GET_STATUS_UNIQUE. Anyone may ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geartrain.broker import shared
from geartrain.broker.effects import StatusResult
from geartrain.broker.job import Job
from geartrain.broker.session import Session

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker

__all__ = ["get_status", "get_status_unique", "until_nul"]


def get_status(broker: Broker, session: Session, name: bytes) -> None:
    """Answer GET_STATUS of a handle."""
    job = broker.jobs.get(name)
    if job is None and broker.shared:
        shared.get_status(broker, session, name, False)
    else:
        broker.tell(session, StatusResult(session.number, name, False, job))


def get_status_unique(broker: Broker, session: Session, name: bytes) -> None:
    """Answer GET_STATUS_UNIQUE. It names no function, so the first with the key wins."""
    found: Job | None = None
    for function in broker.functions.values():
        found = function.uniques.get(name)
        if found is not None:
            break
    if found is None and broker.shared:
        shared.get_status(broker, session, name, True)
    else:
        broker.tell(session, StatusResult(session.number, name, True, found))


def until_nul(name: bytes) -> bytes:
    """Return a handle or unique key without its end: some libraries send a NUL behind it."""
    end = name.find(b"\0")
    return name if end < 0 else name[:end]
