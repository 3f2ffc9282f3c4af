"""
Fires an agent's entries by itself while it is cut off, and stops when it is no more.

A thread that sleeps until something is due. What has begun is seen to its end, further attempts
included, also when a job server answers again: should the scheduler have sent the same fire
meanwhile, the runner and the journal answer for it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from geartrain.agent.copy import LocalCopy
from geartrain.agent.greeter import Greeter
from geartrain.agent.local import LocalFires
from geartrain.agent.running import Runner
from geartrain.agent.settings import AgentSettings
from geartrain.schedule.envelope import Answer, envelope_for, fire_key
from geartrain.schedule.greeting import Report
from geartrain.store.schedule_rows import Fire

__all__ = ["Firing"]

logger = logging.getLogger("geartrain.agent")

# Seconds after which the clock is looked at again, which may have been set.
_LOOK: Final = 60.0


class Firing:
    """
    What an agent fires by itself.

    Args:
        settings: Of the agent.
        copy: The entries.
        runner: Runs the fires.
        greeter: Knows whether the agent is cut off; hears of what there is to report.

    """

    def __init__(
        self, settings: AgentSettings, copy: LocalCopy, runner: Runner, greeter: Greeter
    ) -> None:
        self.settings = settings
        self.copy = copy
        self.runner = runner
        self.greeter = greeter
        self.changed = threading.Condition()
        self.fires: LocalFires | None = None
        self.running = 0
        self.stopping = False
        self.thread = threading.Thread(target=self._work, name="geartrain-firing", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self.thread.start()

    def wake(self) -> None:
        """Look again whether the agent is cut off. From any thread."""
        with self.changed:
            self.changed.notify_all()

    def stop(self) -> None:
        """Begin nothing any more."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        self.thread.join()

    def _work(self) -> None:
        with self.changed:
            while not self.stopping:
                self.changed.wait(self._turn(time.time()))

    def _turn(self, now: float) -> float | None:
        """Begin what is due; return for how many seconds there is nothing to do, None for ever."""
        alone = self.greeter.cut_off and not self.copy.is_expired(now)
        if alone and self.fires is None:
            self._begin()
        fires = self.fires
        if fires is None:
            return None
        if alone:
            for fire in fires.plan(now):
                self.runner.kill(_key(fire), "cancelled by the next fire")
        else:
            fires.forget_new()
            if fires.is_over:
                self.fires = None
                return None
        room = self.settings.concurrency - self.running
        for fire in fires.begin(now, room, again_only=not alone):
            self.running += 1
            threading.Thread(target=self._run, args=(fires, fire), daemon=True).start()
        if self.running >= self.settings.concurrency:
            # Whoever ends wakes this thread.
            return _LOOK
        following = fires.next_time()
        return min(_LOOK, max(0.0, following - time.time())) if following else _LOOK

    def _begin(self) -> None:
        table = self.copy.table
        if table is None:
            return
        # From the scheduler's last word on: what it sent since then is in the journal.
        self.fires = LocalFires(table, tuple(self.settings.tags), self.copy.confirmed)
        for name in self.fires.unreadable:
            logger.error("entry %s of the copy can't be read here and is not fired", name)
        if self.greeter.is_new:
            self.greeter.is_new = False
            self.fires.reboot(self.greeter.started)

    def _run(self, fires: LocalFires, fire: Fire) -> None:
        """Run one fire; in a thread of its own."""
        envelope = envelope_for(fires.entry_of(fire), fire)
        report = _report(fire, envelope.key)

        def is_last(answer: Answer) -> bool:
            with self.changed:
                return fires.is_last(fire, answer, time.time())

        answer = self.runner.run(envelope, report, is_last)
        with self.changed:
            self.running -= 1
            fires.end(fire, answer, time.time())
            while fires.paused:
                logger.error("entry %s fires no more: it failed too often", fires.paused.pop())
            self.changed.notify_all()
        if not self.greeter.cut_off:
            self.greeter.greet_now()


def _report(fire: Fire, key: str) -> Report:
    return Report(
        schedule=fire.schedule,
        generation=fire.generation,
        nominal=fire.nominal,
        target=fire.target,
        previous=fire.previous,
        key=key,
        origin="reboot" if fire.origin == "reboot" else "offline",
        answer=Answer(),
    )


def _key(fire: Fire) -> str:
    return fire_key(fire.schedule, fire.generation, fire.nominal, fire.target)
