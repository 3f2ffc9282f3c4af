"""
A distributed job system that speaks the Gearman protocol.

Names are imported when they are first used, so that ``import geartrain``
costs next to nothing and pulls in no driver, framework or event loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it, by room. Type checkers read __init__.pyi.
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
    # Agents.
    "Done": "geartrain.agent.callables",
    "Failed": "geartrain.agent.callables",
    "FireTask": "geartrain.agent.callables",
    "NextRun": "geartrain.agent.callables",
    # Schedules.
    "Cron": "geartrain.schedule.cron",
    # Tasks.
    "App": "geartrain.tasks.app",
    "CurrentJob": "geartrain.tasks.current",
    "Lifetime": "geartrain.worker.rules",
    "Middleware": "geartrain.tasks.middleware",
    "Reject": "geartrain.errors",
    "Retry": "geartrain.errors",
    "SoftTimeout": "geartrain.errors",
    "Task": "geartrain.tasks.task",
    "TaskHandle": "geartrain.tasks.handle",
    "TaskJob": "geartrain.tasks.job",
    "TaskWorker": "geartrain.tasks.worker",
    "current_job": "geartrain.tasks.current",
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
