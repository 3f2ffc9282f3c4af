"""
A scheduler with all that stands beside it: a worker that answers agents, the sending of alerts, and
the entries of a configuration file. ``geartrain serve`` and ``geartrain dev`` have one in threads
of their own, ``geartrain scheduler`` is one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geartrain.configuration import read_tables, table_of
from geartrain.errors import GeartrainError, UsageError
from geartrain.schedule.key_file import read_key
from geartrain.schedule.settings import SchedulerSettings
from geartrain.store.schedule_notice import Lookout

if TYPE_CHECKING:
    from geartrain.alerts.notifying import Notifying
    from geartrain.alerts.ping import Ping
    from geartrain.alerts.settings import AlertSettings
    from geartrain.schedule.entry import Entry
    from geartrain.schedule.scheduler import Scheduler
    from geartrain.server.server import JobServer
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["Beside", "Scheduling", "keeps_schedules", "own_servers", "scheduler_beside"]

logger = logging.getLogger("geartrain.schedule")

# Seconds between looks at a file without schedules: the first entry is to fire within a second, and
# what keeps schedules takes a part of that to be imported.
_LOOKS: Final = 0.1
# Seconds without a pass after which a scheduler is not well.
_SILENCE: Final = 60.0
_PATIENCE: Final = 10.0
_WHO: Final = "configuration"


def keeps_schedules(url: str) -> bool:
    """Whether a store of jobs is one that keeps entries as well."""
    return url.partition(":")[0].partition("+")[0].lower() in (
        "sqlite",
        "postgresql",
        "postgres",
        "mysql",
        "mariadb",
    )


def own_servers(addresses: Sequence[str]) -> list[str]:
    """Return where a server that listens on these addresses is reached on its own machine."""
    found = []
    for address in addresses:
        if address.startswith("http://"):
            continue
        for everywhere, here in (("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")):
            if address.startswith(everywhere):
                address = here + address.removeprefix(everywhere)
        found.append(address)
    # One is enough: they lead to the same server.
    return found[:1]


class Scheduling:
    """
    A scheduler and what stands beside it.

    Args:
        settings: See `SchedulerSettings`; ``store`` is a URL of a database here.
        servers: Job servers.
        config: File with entries and alert settings, if there is one.

    Raises:
        UsageError: Something of these can't be used.

    """

    def __init__(
        self, settings: SchedulerSettings, servers: Sequence[str], config: Path | None = None
    ) -> None:
        from geartrain.alerts.settings import read_alerts
        from geartrain.schedule.declaring import declared

        self.settings = settings
        self.servers = list(servers)
        self.config = config
        self.key = read_key(settings.key_file, "[scheduler] key_file")
        tables = read_tables(config) if config else {}
        place = config or "the configuration"
        self.alerts: AlertSettings = read_alerts(
            place, table_of(config, tables, "alerts") if config else {}
        )
        self.entries: list[Entry] = declared(config) if config else []
        self.scheduler: Scheduler | None = None
        self._stopping = threading.Event()

    @property
    def is_wanted(self) -> bool:
        """Whether the configuration alone has something for it to do."""
        return bool(self.entries or self.key or self.alerts.channels or self.alerts.ping)

    def stop(self) -> None:
        """Have ``run`` end. To be called from any thread."""
        self._stopping.set()
        if self.scheduler is not None:
            self.scheduler.stop()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until it is stopped; the store may come and go meanwhile."""
        from geartrain.agent.desk import Desk
        from geartrain.schedule.groups import Groups
        from geartrain.schedule.scheduler import Scheduler
        from geartrain.store.schedule_sql import open_schedules

        groups = {**self.settings.groups, "": self.servers}
        store = open_schedules(self.settings.store, reader=self.settings.store_reader)
        self.scheduler = Scheduler(
            store,
            lambda tell: Groups(groups, tell),
            self.settings,
            self.alerts.suppression.merge,
            secret=self.key,
        )
        if self._stopping.is_set():
            return
        desk = Desk([one for some in groups.values() for one in some], store, self.key)
        notifying = self._notifying(store)
        begun = threading.Event()

        def begin() -> None:
            self._declare(store)
            begun.set()
            desk.start()
            if notifying is not None:
                notifying.start()
            ready()

        ping = self._ping()
        try:
            if ping is not None:
                ping.start()
            self.scheduler.run(begin)
        finally:
            if ping is not None:
                ping.stop()
            if notifying is not None:
                notifying.stop()
            if begun.is_set():
                desk.stop()
            store.close()

    def _declare(self, store: ScheduleStore) -> None:
        """Make the entries of the configuration file those of the store."""
        from geartrain.schedule.declaring import bring

        if self.config is None:
            return
        source = str(self.config.resolve())
        try:
            difference = bring(store, self.entries, source, _WHO)
            if difference:
                logger.info(
                    "%s: %d entries added, %d changed, %d removed",
                    self.config,
                    len(difference.added),
                    len(difference.changed),
                    len(difference.removed),
                )
        except UsageError as error:
            logger.error("%s: its entries are not taken over: %s", self.config, error)

    def _notifying(self, store: ScheduleStore) -> Notifying | None:
        """Return what has alerts told; None where no channel is known, but perhaps elsewhere."""
        from geartrain.alerts.notifier import Notifier
        from geartrain.alerts.notifying import Notifying

        if not self.alerts.channels:
            return None
        notifier = Notifier(store, self.alerts.speaking(), self.alerts.channels)
        return Notifying(notifier, lambda: self.scheduler.me if self.scheduler else None)

    def _ping(self) -> Ping | None:
        from geartrain.alerts.ping import Ping

        if not self.alerts.ping:
            return None
        return Ping(self.alerts.ping, self.alerts.ping_every, self._is_well, self.alerts.ping_allow)

    def _is_well(self) -> bool:
        scheduler = self.scheduler
        return scheduler is not None and time.monotonic() - scheduler.well_at < _SILENCE


class Beside:
    """
    A scheduler beside a job server, in the same process.

    It begins when there is something to do: as long as nobody has announced schedules in a file of
    SQLite's, looking at it ten times a second is all it costs.

    Args:
        scheduling: What to run.

    """

    def __init__(self, scheduling: Scheduling) -> None:
        self.scheduling = scheduling
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="geartrain-scheduler", daemon=True)

    def start(self) -> None:
        """Begin, once the server accepts."""
        self._thread.start()

    def stop(self) -> None:
        """End, and give the lease back. Safe without ``start``."""
        self._stopping.set()
        self.scheduling.stop()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        lookout = Lookout(self.scheduling.settings.store)
        while not (self.scheduling.is_wanted or lookout.sees_any()):
            if self._stopping.wait(_LOOKS):
                return
        while not self._stopping.is_set():
            try:
                self.scheduling.run()
            except GeartrainError as error:
                logger.error("nothing is scheduled: %s; tried again in %.0f s", error, _PATIENCE)
            except Exception:
                # A mistake of ours ends one scheduler, not all scheduling.
                logger.exception("nothing is scheduled; tried again in %.0f s", _PATIENCE)
            self._stopping.wait(_PATIENCE)


def scheduler_beside(server: JobServer, config: Path | None) -> Beside | None:
    """Return the scheduler of a server's own store; None where there is none. Raises UsageError."""
    from geartrain.cli.import_gearmand import url_of
    from geartrain.schedule.settings import load_scheduler_settings
    from geartrain.server.store_url import store_url

    settings = load_scheduler_settings(config)
    settings.store = url_of(settings.store) if settings.store else store_url(server.settings)
    if not settings.enabled or not keeps_schedules(settings.store):
        return None
    return Beside(Scheduling(settings, settings.servers, config))
