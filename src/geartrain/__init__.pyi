"""The public names, for type checkers; at run time they are imported when first used."""

from __future__ import annotations

from geartrain.agent.callables import Done as Done
from geartrain.agent.callables import Failed as Failed
from geartrain.agent.callables import FireTask as FireTask
from geartrain.agent.callables import NextRun as NextRun
from geartrain.client.admin import AdminClient as AdminClient
from geartrain.client.admin_aio import AsyncAdminClient as AsyncAdminClient
from geartrain.client.aio import AsyncClient as AsyncClient
from geartrain.client.keepalive import Keepalive as Keepalive
from geartrain.client.reports import JobEvent as JobEvent
from geartrain.client.reports import JobHandle as JobHandle
from geartrain.client.reports import Progress as Progress
from geartrain.client.reports import Status as Status
from geartrain.client.submission import Submission as Submission
from geartrain.client.sync import Client as Client
from geartrain.errors import Fail as Fail
from geartrain.errors import Reject as Reject
from geartrain.errors import Retry as Retry
from geartrain.errors import SoftTimeout as SoftTimeout
from geartrain.schedule.cron import Cron as Cron
from geartrain.tasks.app import App as App
from geartrain.tasks.current import CurrentJob as CurrentJob
from geartrain.tasks.current import current_job as current_job
from geartrain.tasks.handle import TaskHandle as TaskHandle
from geartrain.tasks.job import TaskJob as TaskJob
from geartrain.tasks.middleware import Middleware as Middleware
from geartrain.tasks.task import Task as Task
from geartrain.tasks.worker import TaskWorker as TaskWorker
from geartrain.worker.aio import AsyncWorker as AsyncWorker
from geartrain.worker.rules import Lifetime as Lifetime
from geartrain.worker.sync import Worker as Worker

__version__: str
__all__: list[str]
_EXPORTS: dict[str, str]
