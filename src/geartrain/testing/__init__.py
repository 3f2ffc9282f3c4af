"""
What tests of tasks need: a server in this process, a clock to turn, queues to drain.

Not imported by anything else of the package. pytest finds the fixtures by itself
where the package is installed; see ``fixtures``.
"""

from __future__ import annotations

from geartrain.testing.clock import FakeClock
from geartrain.testing.draining import drain
from geartrain.testing.server import TestServer

__all__ = ["FakeClock", "TestServer", "drain"]
