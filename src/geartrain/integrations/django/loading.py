"""
Finds a project's tasks in a process that has just begun.

Child processes are started afresh, without Django, and look here first; so this
module imports nothing that needs Django to be set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask


def load_task(name: str) -> RemoteTask[Any, Any]:
    """Return a task by its name on the wire, in a process that has just begun."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    from geartrain.integrations.django import registry
    from geartrain.integrations.django.project import project_app

    registry.entries()
    return project_app().tasks[name]


__all__ = ["load_task"]
