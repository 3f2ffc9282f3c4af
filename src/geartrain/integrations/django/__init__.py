"""
Tasks in a Django project: a backend for Django's own, the project's app, a worker command.

::

    INSTALLED_APPS = [..., "geartrain.integrations.django"]
    TASKS = {"default": {"BACKEND": "geartrain.integrations.django.backend.GeartrainBackend"}}
    GEARTRAIN = {"SERVERS": ["127.0.0.1:4730"]}

Nothing of Django is imported before it is used, so that the settings may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geartrain.integrations.django.project import delay_on_commit as delay_on_commit
    from geartrain.tasks.app import App

    app: App

__all__ = ["app", "delay_on_commit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from geartrain.integrations.django import project

    return project.project_app() if name == "app" else getattr(project, name)
