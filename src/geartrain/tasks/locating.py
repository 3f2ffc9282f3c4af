"""Finds the app that a command line names as ``module:app``."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

from geartrain.errors import UsageError
from geartrain.tasks.app import App

DEFAULT_ATTRIBUTE: Final = "app"


def find_app(place: str) -> App:
    """
    Import a module and return its app.

    Args:
        place: ``module:app``, or ``module`` where the variable is called ``app``. Modules
            are looked for in the current directory too.

    Raises:
        UsageError: There is no such module, or no app in it.

    """
    name, _, attribute = place.partition(":")
    if not name:
        raise UsageError(f"{place!r} names no module; write module:app")
    if name.endswith(".py") or "/" in name:
        suggestion = name.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(f"{place!r} is a file; write its module, {suggestion}:app")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"there is no module {name!r} here; write module:app, from the directory that "
                "holds the module"
            ) from error
        raise
    found: object = module
    for part in (attribute or DEFAULT_ATTRIBUTE).split("."):
        found = getattr(found, part, None)
    if not isinstance(found, App):
        raise UsageError(
            f"{attribute or DEFAULT_ATTRIBUTE!r} in module {name!r} is no App; "
            "write module:variable"
        )
    return found


__all__ = ["find_app"]
