"""
An agent: a worker of the job servers for one machine, from its start to its end.

Its parts know nothing of each other: the runner runs what it is given, the worker brings it what
job servers hold for this machine, a second one brings orders to end something, the greeter keeps in
touch, and firing takes over while nobody can be reached. Here they are put together, and taken
apart again within the grace time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Final

from geartrain.agent.callables import Callables
from geartrain.agent.copy import LocalCopy
from geartrain.agent.firing import Firing
from geartrain.agent.greeter import Greeter
from geartrain.agent.journal import Journal
from geartrain.agent.mailing import Mailer
from geartrain.agent.running import Runner
from geartrain.agent.settings import AgentSettings, check_settings
from geartrain.errors import UsageError
from geartrain.schedule.envelope import ANY_AGENT, agent_function, control_function
from geartrain.schedule.greeting import read_end_order
from geartrain.schedule.key_file import read_key
from geartrain.supervisor.notify import notify
from geartrain.worker.bell import Bell
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker

__all__ = ["Agent", "open_state"]

logger = logging.getLogger("geartrain.agent")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# Seconds beyond the time that processes get to end, in which their answers are sent.
_LAST_WORDS: Final = 1.0
# Seconds until an agent counts as started that has not reached a job server.
_PATIENCE: Final = 5.0


class Agent:
    """
    Runs fires on this machine until it is told to stop.

    Args:
        settings: As read from the configuration.
        apps: Callables, by the names they were registered under.

    Raises:
        UsageError: It can't run with these settings.

    """

    def __init__(self, settings: AgentSettings, apps: Callables) -> None:
        check_settings(settings)
        self.settings = settings
        self.key = read_key(settings.key_file, "[agent] key_file")
        self.state = Path(settings.state)
        self.lock = open_state(self.state)
        self.journal = Journal(self.state, settings.keep_for)
        mail = Mailer(settings.sendmail) if settings.sendmail else None
        self.runner = Runner(settings, apps, self.journal, mail)
        self.copy = LocalCopy(
            self.state, self.journal, settings.name, self.key, settings.copy_lifetime
        )
        self.greeter = Greeter(settings, self.key, self.journal, self.copy, self._wake)
        self.firing = Firing(settings, self.copy, self.runner, self.greeter)
        self.worker = self._new_worker()
        self.control = self._new_control()
        self.stop_asked = False

    def run(self, ready: Callable[[Agent], None] | None = None) -> bool:
        """
        Work until SIGTERM or SIGINT; a second one ends what runs at once.

        Args:
            ready: Called once the servers know this agent, or cannot be reached for now.

        Returns:
            Whether everything that ran came to its own end.

        """
        before = {number: signal.signal(number, self._receive_signal) for number in _SIGNALS}
        # Waiting for a lock would miss a signal that comes just before, and a handler that takes
        # the same lock would wait for ever.
        bell = Bell()
        rung_before = signal.set_wakeup_fd(bell.far.fileno(), warn_on_full_buffer=False)
        try:
            self._open()
            threading.Thread(target=self._say_ready, args=(ready,), daemon=True).start()
            while not self.stop_asked:
                bell.wait(None)
                # Another signal may have rung it.
                bell.silence()
            notify("STOPPING=1")
            return self._stop()
        finally:
            try:
                self._close()
            finally:
                signal.set_wakeup_fd(rung_before)
                bell.close()
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _open(self) -> None:
        if count := self.journal.interrupt():
            logger.warning("%d fires were cut off when the agent ended the last time", count)
        self.runner.open()
        self.worker.start()
        self.control.start()
        self.copy.load()
        self.greeter.start()
        self.firing.start()

    def _wake(self) -> None:
        self.firing.wake()

    def _say_ready(self, ready: Callable[[Agent], None] | None) -> None:
        self.worker.wait_until_ready(_PATIENCE)
        notify("READY=1")
        if ready is not None:
            ready(self)

    def _stop(self) -> bool:
        """End within the grace time; return whether nothing had to be cut off."""
        settings = self.settings
        logger.info("stopping: what runs has %g s to end", settings.grace)
        deadline = time.monotonic() + settings.grace
        self.firing.stop()
        # A little more, so that the answers of what is ended then can be sent.
        self.worker.stop(settings.grace + settings.kill_delay + _LAST_WORDS)
        finished = self.runner.wait_until_over(settings.grace)
        if finished:
            # What the server sent while that was said.
            finished = self.worker.join(max(0.0, deadline - time.monotonic()))
        if not finished:
            self.runner.stop()
            self.runner.wait_until_over(settings.kill_delay + _LAST_WORDS)
        self.worker.join()
        return finished and not self.runner.stopped

    def _close(self) -> None:
        # It reports what has ended only now.
        self.greeter.stop()
        self.worker.stop(0.0)
        self.worker.join()
        self.control.stop(0.0)
        self.control.join()
        self.runner.stop()
        self.runner.close()
        self.journal.close()
        self.lock.close()

    def _receive_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stop_asked:
            # In a thread of its own: this one may hold what it has to lock.
            threading.Thread(target=self.runner.stop, daemon=True).start()
        self.stop_asked = True

    # Workers.

    def _new_worker(self) -> Worker:
        settings = self.settings
        worker = Worker(
            settings.servers or None,
            concurrency=settings.concurrency,
            client_id=agent_function(settings.name),
        )
        worker.register(agent_function(settings.name), self.runner.run_job)
        worker.register(ANY_AGENT, self.runner.run_job)
        return worker

    def _new_control(self) -> Worker:
        """Return what hears orders: beside the other, all of whose threads may be busy."""
        settings = self.settings
        name = control_function(settings.name)
        worker = Worker(settings.servers or None, execution="inline", client_id=name)
        worker.register(name, self._end_one)
        return worker

    def _end_one(self, job: Job) -> bytes:
        key = read_end_order(job.workload, self.key)
        return b"ended" if self.runner.kill(key) else b"not here"


def open_state(directory: Path) -> IO[bytes]:
    """
    Make the directory where an agent keeps what it has to remember, and take it.

    Returns:
        What holds it until it is closed.

    Raises:
        UsageError: It can't be used, or another agent has it.

    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(directory / "lock", "wb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"can't use state {directory}: {(error.strerror or '').lower()}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"another agent runs in {directory.absolute()}; give this one a state of its own"
        ) from None
    file.write(b"%d\n" % os.getpid())
    file.flush()
    return file
