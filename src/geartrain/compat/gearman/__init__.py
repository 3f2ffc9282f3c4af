"""
python-gearman's interface: clients, workers and administration as programs of the 2010s use them.

A program changes its import and keeps the rest::

    from geartrain.compat import gearman

    worker = gearman.GearmanWorker(["localhost:4730"])
    worker.register_task("reverse", lambda worker, job: job.data[::-1])
    worker.work()

The names are those of python-gearman 2.0.2, and `Task` and `Taskset` of 1.x. Everything
is done by this package's own clients and workers.
"""

from __future__ import annotations

import logging
import os

from geartrain.compat.gearman.admin_client import GearmanAdminClient
from geartrain.compat.gearman.client import GearmanClient
from geartrain.compat.gearman.connection_manager import DataEncoder, TextDataEncoder
from geartrain.compat.gearman.constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
    PRIORITY_HIGH,
    PRIORITY_LOW,
    PRIORITY_NONE,
)
from geartrain.compat.gearman.job import GearmanJob, GearmanJobRequest
from geartrain.compat.gearman.task import Task, Taskset
from geartrain.compat.gearman.worker import GearmanWorker
from geartrain.errors import UsageError

# The version of python-gearman whose names these are.
__version__ = "2.0.2"

# How the default encoder hands data out: "bytes", or "text" for programs that take data for
# text. The environment sets it for programs that are not to be changed at all.
DATA = os.environ.get("GEARMAN_DATA", "bytes")
if DATA not in ("bytes", "text"):
    raise UsageError(f"GEARMAN_DATA is {DATA!r} in the environment; write bytes or text")

# As in python-gearman: silent unless the program sets up logging.
logging.getLogger("gearman").addHandler(logging.NullHandler())

__all__ = [
    "DATA",
    "JOB_COMPLETE",
    "JOB_CREATED",
    "JOB_FAILED",
    "JOB_PENDING",
    "JOB_UNKNOWN",
    "PRIORITY_HIGH",
    "PRIORITY_LOW",
    "PRIORITY_NONE",
    "DataEncoder",
    "GearmanAdminClient",
    "GearmanClient",
    "GearmanJob",
    "GearmanJobRequest",
    "GearmanWorker",
    "Task",
    "Taskset",
    "TextDataEncoder",
]
