"""
The module that programs of python-gearman import.

It puts ``geartrain.compat.gearman`` in its own place, modules included, so that
there is one of each: classes are the same by either name.
"""

from __future__ import annotations

import sys
from importlib import import_module

_CARRIER = "geartrain.compat.gearman"
_MODULES = (
    "admin_client",
    "client",
    "connection",
    "connection_manager",
    "constants",
    "errors",
    "job",
    "protocol",
    "task",
    "util",
    "worker",
)

for _name in _MODULES:
    sys.modules[f"{__name__}.{_name}"] = import_module(f"{_CARRIER}.{_name}")
sys.modules[__name__] = import_module(_CARRIER)
