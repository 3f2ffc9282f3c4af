"""
Keeps in touch with the schedulers: says that the agent is there, and notices when nobody hears it.

A thread that greets each few seconds by a job, brings reports and takes over a newer copy of the
entries. An agent is *cut off* when no job server has answered for a while; a scheduler that is
down while the job servers answer is no reason to fire anything: its fires may be waiting there.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from geartrain import __version__
from geartrain.agent.copy import LocalCopy
from geartrain.agent.journal import Journal
from geartrain.agent.settings import AgentSettings
from geartrain.client.sync import Client
from geartrain.errors import GeartrainError, JobTimeout, StoreError, UsageError
from geartrain.schedule.greeting import GREETING, REPORTS, Greeting, read_reply

__all__ = ["Greeter"]

logger = logging.getLogger("geartrain.agent")

# Seconds between greetings: a third of the lease that they renew.
_INTERVAL: Final = 10.0
# Seconds for a server to answer at all, and for a scheduler to answer a greeting.
_SERVER: Final = 5.0
_SCHEDULER: Final = 10.0
# The same when the agent stops and has something left to report.
_LAST_WORDS: Final = 2.0
# Seconds that clocks may differ before it is said.
_SKEW: Final = 1.0
# Starts within so many seconds of each other get seconds of their own.
_QUICK: Final = 60.0


def new_start(journal: Journal, now: float) -> float:
    """
    Return when the agent starts, and note it: in another second than it did before.

    What fires at a start has that second in its key, and the agent may be quick to start anew.
    """
    last = int(journal.fact("started") or 0)
    # A clock that was set back by more than that is believed.
    started = last + 1.0 if int(now) <= last < now + _QUICK else now
    journal.note(started=str(int(started)))
    return started


class Greeter:
    """
    Greets until it is stopped.

    Args:
        settings: Of the agent.
        key: What is signed with.
        journal: What is to be reported, and where it is noted how things are.
        copy: Of the entries.
        on_change: Called, in the greeter's thread, when the agent is cut off, or is no more.

    Attributes:
        cut_off: Whether no job server has answered for too long.
        contact: When one last did, in seconds since 1970; 0 for never.
        started: When the agent started.
        is_new: Whether nobody has heard of this start yet, which entries may wait for.

    """

    def __init__(
        self,
        settings: AgentSettings,
        key: bytes,
        journal: Journal,
        copy: LocalCopy,
        on_change: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.key = key
        self.journal = journal
        self.copy = copy
        self.on_change = on_change
        self.started = new_start(journal, time.time())
        self.contact = float(journal.fact("contact") or 0)
        self.heard = time.monotonic()
        self.cut_off = False
        self.is_new = True
        self.alarm = ""
        self.refusal = ""
        self.said: set[str] = set()
        self.interval = min(_INTERVAL, max(0.1, settings.offline_after / 3))
        self.client: Client | None = None
        # The client, while a scheduler's answer is waited for.
        self.waiting_on: Client | None = None
        self.poked = threading.Event()
        self.stopping = False
        self.thread = threading.Thread(target=self._work, name="geartrain-greeter", daemon=True)

    def start(self) -> None:
        """Begin to greet."""
        self.journal.note(
            name=self.settings.name, alarm="", offline="", entries=str(self._entry_count())
        )
        self.thread.start()

    def greet_now(self) -> None:
        """Greet at once: there is something to report. From any thread."""
        self.poked.set()

    def stop(self) -> None:
        """Greet once more if there is something to report, and end. Safe without `start`."""
        self.stopping = True
        self.poked.set()
        client = self.waiting_on
        if client is not None:
            # Nobody may answer for long.
            client.close()
        if self.thread.is_alive():
            self.thread.join(_LAST_WORDS * 2)

    def _work(self) -> None:
        again = False
        while not self.stopping:
            again = self._turn()
            if not again:
                self.poked.wait(self.interval)
            self.poked.clear()
        if self._has_reports():
            self._turn()
        self._hang_up()

    def _turn(self) -> bool:
        again = False
        try:
            again = self._greet()
            self._look()
        except StoreError as error:
            logger.error("%s", error)
        return again

    def _has_reports(self) -> bool:
        try:
            return not self.cut_off and bool(self.journal.reports(1))
        except StoreError:
            return False

    def _greet(self) -> bool:
        """Greet once; return whether there is more to report."""
        try:
            if self.client is None:
                self.client = Client(
                    self.settings.servers or None, patience=0.0, connect_timeout=_SERVER
                )
            self.client.echo(b"agent", timeout=_SERVER)
        except GeartrainError as error:
            self._hang_up()
            self._say_once(f"no job server answers: {error}")
            return False
        self._note_contact()
        greeting = self._greeting()
        result = self._ask(self.client, greeting)
        if result is None:
            return False
        try:
            reply = read_reply(result, self.key, greeting)
        except UsageError as error:
            self.refusal = str(error)
            return False
        self.refusal = ""
        self.is_new = False
        self.said.clear()
        now = time.time()
        if abs(reply.now - now) > _SKEW:
            self._say_once(
                f"this machine's clock and the scheduler's differ by {reply.now - now:+.1f} s"
            )
        if reply.lease:
            self.interval = min(self.interval, reply.lease / 3)
        self.copy.take(reply, now)
        self.journal.reported(reply.accepted)
        return len(greeting.reports) == REPORTS

    def _ask(self, client: Client, greeting: Greeting) -> bytes | None:
        """Return what a scheduler answers; None where none does."""
        patience = _LAST_WORDS if self.stopping else _SCHEDULER
        self.waiting_on = client
        try:
            return client.call(GREETING, greeting.to_bytes(self.key), timeout=patience)
        except GeartrainError as error:
            # With the connection goes the job, whose answer nobody would wait for.
            self._hang_up()
            reason = "within time" if isinstance(error, JobTimeout) else f"({error})"
            if not self.stopping:
                self._say_once(f"no scheduler answers the agent's greeting {reason}")
            return None
        finally:
            self.waiting_on = None

    def _greeting(self) -> Greeting:
        return Greeting(
            agent=self.settings.name,
            tags=tuple(self.settings.tags),
            version=__version__,
            table=self.copy.revision,
            started=self.started,
            nonce=secrets.token_hex(8),
            reports=tuple(self.journal.reports(REPORTS)),
        )

    def _note_contact(self) -> None:
        self.heard = time.monotonic()
        self.contact = time.time()
        self.journal.note(contact=str(self.contact))
        if self.cut_off:
            self.cut_off = False
            self.journal.note(offline="")
            logger.warning("a job server answers again: it says what to fire from now on")
            self.on_change()

    def _look(self) -> None:
        """See whether the agent is cut off, and whether somebody should know."""
        silent = time.monotonic() - self.heard
        if not self.cut_off and silent >= self.settings.offline_after:
            self.cut_off = True
            self.journal.note(offline=str(time.time()))
            count = self._entry_count()
            logger.warning(
                "no job server has answered for %.0f s: %s",
                silent,
                f"the agent fires its {count} entries by itself"
                if self.copy.table is not None
                else "there is no copy of entries to go on with",
            )
            self.on_change()
        alarm = self.refusal or self.copy.fault
        if self.copy.is_expired(time.time()):
            alarm = (
                f"the copy of entries was last confirmed {self.settings.copy_lifetime:g} s ago "
                "or longer: the agent fires none of them until a scheduler answers"
            )
        if alarm != self.alarm:
            self.alarm = alarm
            self.journal.note(alarm=alarm)
            if alarm:
                logger.error("ALARM: %s", alarm)

    def _entry_count(self) -> int:
        return 0 if self.copy.table is None else len(self.copy.table.entries)

    def _say_once(self, text: str) -> None:
        """Log what may last for long: once, until things are well again."""
        kind = text[:30]
        logger.log(logging.DEBUG if kind in self.said else logging.WARNING, "%s", text)
        self.said.add(kind)

    def _hang_up(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None
