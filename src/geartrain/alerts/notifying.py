"""
The thread that has messages sent while a scheduler works, so that a slow channel holds up nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from geartrain.alerts.notifier import Notifier
from geartrain.errors import LeaseLost, StoreError
from geartrain.store.schedule_rows import Owner

__all__ = ["Notifying"]

logger = logging.getLogger("geartrain.alerts")

# Seconds between two looks at what is due.
POLL: Final = 1.0


class Notifying:
    """
    Has a notifier say what is due, again and again.

    Args:
        notifier: Its store may be used by other threads at the same time.
        owner: Tells as whom: the lease of the scheduler beside it, None while it has none.
        poll: Seconds between two looks.

    """

    def __init__(
        self, notifier: Notifier, owner: Callable[[], Owner | None], poll: float = POLL
    ) -> None:
        self.notifier = notifier
        self.owner = owner
        self.poll = poll
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="geartrain-alerts", daemon=True)
        self._troubled = ""

    def start(self) -> None:
        """Begin. To be called once."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the message that is being sent. Safe to call twice, or without ``start``."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self.poll):
            me = self.owner()
            if me is None:
                continue
            try:
                self.notifier.step(me)
                self._troubled = ""
            except LeaseLost:
                # The scheduler gets another; what was taken is free for all.
                continue
            except StoreError as error:
                if str(error) != self._troubled:
                    logger.error("no alert is told: %s", error)
                self._troubled = str(error)
            except Exception:
                logger.exception("an alert can't be told; it is tried again")
