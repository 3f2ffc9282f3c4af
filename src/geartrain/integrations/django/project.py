"""
The one `App` of a Django project, made of the setting ``GEARTRAIN``.

Its tasks may be plain ones, declared with ``@app.task``, or Django's; one worker
runs both.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Any, Final, ParamSpec, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import close_old_connections, transaction

from geartrain.tasks.app import App
from geartrain.tasks.middleware import Middleware
from geartrain.tasks.task import RemoteTask

P = ParamSpec("P")
R = TypeVar("R")

# Key of the setting -> what holds where it is not given.
DEFAULTS: Final[dict[str, Any]] = {
    "SERVERS": None,
    "CODEC": "json",
    "NAMESPACE": "",
    "DEFAULT_TIMEOUT": None,
    "SEND_TRACEBACKS": False,
    "CLIENT_OPTIONS": None,
    # Modules of each application that are looked through for tasks.
    "MODULES": ("tasks", "workers"),
    # Pattern of names of Django's tasks -> options, as ``App.task`` takes them.
    "POLICIES": {},
}


def setting(name: str) -> Any:
    """Return one key of ``GEARTRAIN``. Raises ImproperlyConfigured where there is an unknown."""
    given: Mapping[str, Any] = getattr(settings, "GEARTRAIN", {})
    unknown = set(given) - set(DEFAULTS)
    if unknown:
        raise ImproperlyConfigured(
            f"GEARTRAIN has no key {', '.join(sorted(unknown))}; there are {', '.join(DEFAULTS)}"
        )
    return given.get(name, DEFAULTS[name])


@lru_cache(maxsize=1)
def project_app() -> App:
    """Return the project's app, always the same."""
    app = App(
        setting("SERVERS"),
        codec=setting("CODEC"),
        namespace=setting("NAMESPACE"),
        default_timeout=setting("DEFAULT_TIMEOUT"),
        send_tracebacks=setting("SEND_TRACEBACKS"),
        client_options=setting("CLIENT_OPTIONS"),
    )
    app.add_middleware(DatabaseConnections())
    return app


def policy_of(path: str) -> dict[str, Any]:
    """Return the options of ``POLICIES`` for one of Django's tasks; a later pattern wins."""
    options: dict[str, Any] = {}
    for pattern, given in setting("POLICIES").items():
        if fnmatchcase(path, pattern):
            options.update(given)
    return options


class DatabaseConnections(Middleware):
    """Does around each job what Django does around each request: closes what is too old."""

    def before_run(self, job: Any) -> None:
        """Close connections that the database has closed meanwhile."""
        close_old_connections()

    def after_run(self, job: Any, result: Any) -> None:
        """Close connections whose time is over."""
        close_old_connections()

    def on_failure(self, job: Any, error: BaseException) -> None:
        """Close connections that are broken."""
        close_old_connections()

    def on_retry(self, job: Any, error: BaseException) -> None:
        """Close connections that are broken."""
        close_old_connections()


def delay_on_commit(task: RemoteTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """
    Call a task in the background once the current transaction is committed.

    Without a transaction, now; with one that is rolled back, never.
    """
    transaction.on_commit(partial(task.delay, *args, **kwargs))


def _follow_setting(*, setting: str, value: Any, **_: Any) -> None:
    # Tests change settings while they run; tasks are declared already.
    if setting == "GEARTRAIN" and project_app.cache_info().currsize:
        project_app().servers = (value or {}).get("SERVERS")


setting_changed.connect(_follow_setting)


__all__ = ["DEFAULTS", "DatabaseConnections", "delay_on_commit", "policy_of", "project_app"]
