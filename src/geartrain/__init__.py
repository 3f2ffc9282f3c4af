"""
A distributed job system that speaks the Gearman protocol.

Names are imported when they are first used, so that ``import geartrain``
costs next to nothing and pulls in no driver, framework or event loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The same names, for type checkers.
    from geartrain.client.admin import AdminClient as AdminClient
    from geartrain.client.admin_aio import AsyncAdminClient as AsyncAdminClient
    from geartrain.client.aio import AsyncClient as AsyncClient
    from geartrain.client.keepalive import Keepalive as Keepalive
    from geartrain.client.reports import JobEvent as JobEvent
    from geartrain.client.reports import JobHandle as JobHandle
    from geartrain.client.reports import Progress as Progress
    from geartrain.client.reports import Status as Status
    from geartrain.client.submission import Submission as Submission
    from geartrain.client.sync import Client as Client
    from geartrain.errors import Fail as Fail
    from geartrain.worker.aio import AsyncWorker as AsyncWorker
    from geartrain.worker.sync import Worker as Worker

__version__ = "0.1.0"

# Public name -> module that defines it, by room.
_EXPORTS: dict[str, str] = {
    # Clients.
    "AdminClient": "geartrain.client.admin",
    "AsyncAdminClient": "geartrain.client.admin_aio",
    "AsyncClient": "geartrain.client.aio",
    "Client": "geartrain.client.sync",
    "JobEvent": "geartrain.client.reports",
    "JobHandle": "geartrain.client.reports",
    "Keepalive": "geartrain.client.keepalive",
    "Progress": "geartrain.client.reports",
    "Status": "geartrain.client.reports",
    "Submission": "geartrain.client.submission",
    # Workers.
    "AsyncWorker": "geartrain.worker.aio",
    "Fail": "geartrain.errors",
    "Worker": "geartrain.worker.sync",
}

__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module 'geartrain' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
