"""
The dead man's handle: a URL that hears from us as long as all is well.

Who watches it from outside notices when this machine, its network or the schedulers are gone,
which is what nothing on the inside can say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from geartrain.alerts.channel import ChannelError
from geartrain.alerts.webhook import post, read_place

__all__ = ["Ping"]

logger = logging.getLogger("geartrain.alerts")


class Ping:
    """
    Posts an empty body to a URL at an interval, on a thread of its own.

    Args:
        url: Whom.
        every: Seconds.
        well: Whether all is well; asked each time, and nothing is posted while it is not.
        allow: Hosts that may be addresses of a private network.

    """

    def __init__(
        self, url: str, every: float, well: Callable[[], bool], allow: tuple[str, ...] = ()
    ) -> None:
        self.place = read_place(url)
        self.every = every
        self.well = well
        self.allow = allow
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="geartrain-ping", daemon=True)

    def start(self) -> None:
        """Begin with a first one."""
        self._thread.start()

    def stop(self) -> None:
        """End, after one that is under way. Safe to call twice, or without ``start``."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            if self.well():
                self._post()
            if self._stopping.wait(self.every):
                return

    def _post(self) -> None:
        headers = {"User-Agent": "geartrain", "Content-Type": "text/plain"}
        try:
            status, answer = post(self.place, b"", headers, self.allow)
        except ChannelError as error:
            logger.warning("the ping was not taken: %s", error)
            return
        if not 200 <= status < 300:
            logger.warning("the ping was answered %s: %s", status, answer)
