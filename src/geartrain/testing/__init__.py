"""
What tests of tasks need: a server in this process, a clock to turn, queues to drain.

Nothing else of the package imports it. pytest finds the fixtures by itself where
the package is installed, so names are imported when they are first used: every
run of pytest comes by here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geartrain.testing.clock import FakeClock
    from geartrain.testing.draining import drain
    from geartrain.testing.server import TestServer

_PLACES = {"FakeClock": "clock", "TestServer": "server", "drain": "draining"}

__all__ = ["FakeClock", "TestServer", "drain"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'geartrain.testing' has no attribute {name!r}")
    return getattr(import_module(f"geartrain.testing.{_PLACES[name]}"), name)
