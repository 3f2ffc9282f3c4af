"""
Which tasks each application of a project has.

Modules called ``tasks`` and ``workers`` of each installed application are
imported and looked through. Workers run what is found there and nothing else:
no job, and no row of the log, makes them import anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from geartrain.integrations.django.framework import Task
from geartrain.integrations.django.project import project_app, setting
from geartrain.tasks.task import RemoteTask


class Entry(NamedTuple):
    """
    One task of a project.

    Attributes:
        application: Label of the application that has it.
        name: Its function on the wire.
        kind: ``django`` or ``geartrain``.
        queue: The queue of Django's tasks; ``default`` for the others.

    """

    application: str
    name: str
    kind: str
    queue: str


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Import and yield the modules that hold tasks, each with its application's label."""
    for config in apps.get_app_configs():
        for name in setting("MODULES"):
            if module_has_submodule(config.module, name):
                yield config.label, import_module(f"{config.name}.{name}")


@lru_cache(maxsize=1)
def django_tasks() -> dict[str, Any]:
    """Return Django's tasks of this project that this package's backend runs, by their path."""
    from geartrain.integrations.django.backend import GeartrainBackend

    found = {}
    for _, module in modules():
        for value in vars(module).values():
            if isinstance(value, Task) and isinstance(value.get_backend(), GeartrainBackend):
                found[value.module_path] = value
    return found


def remote_task(path: str) -> RemoteTask[Any, Any]:
    """Return one of Django's tasks as the project's app has it. Raises KeyError."""
    from geartrain.integrations.django.running import new_remote_task

    app = project_app()
    name = wire_name(path)
    if name not in app.tasks:
        app.add(new_remote_task(app, name, path, django_tasks()[path]))
    return app.tasks[name]


def wire_name(path: str) -> str:
    """Return the function on the wire for one of Django's tasks."""
    namespace = setting("NAMESPACE")
    return f"{namespace}.{path}" if namespace else path


def entries() -> list[Entry]:
    """Return all tasks of the project; those of Django become tasks of its app."""
    listed = {}
    labels = {module.__name__: label for label, module in modules()}
    for path, task in django_tasks().items():
        remote = remote_task(path)
        label = labels.get(task.func.__module__, "")
        listed[remote.name] = Entry(label, remote.name, "django", task.queue_name)
    for name, task in project_app().tasks.items():
        if name not in listed:
            label = labels.get(task.__module__, "")
            listed[name] = Entry(label, name, "geartrain", "default")
    return sorted(listed.values())


__all__ = ["Entry", "django_tasks", "entries", "modules", "remote_task", "wire_name"]
