"""
Runs fires: each at most once, in the thread that asks for it, and tells how it ended.

Whatever goes wrong with a fire is its answer. It is written down before it begins and when it has
ended; one that ran before is answered from there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from geartrain.agent.callables import Callables, FireTask, call
from geartrain.agent.command import Command, CommandEnd, Kept
from geartrain.agent.journal import Journal
from geartrain.agent.launching import Launch, launch_of
from geartrain.agent.settings import AgentSettings
from geartrain.errors import StoreError, UsageError
from geartrain.schedule.envelope import DONE, FAILED, Answer, Envelope, read_envelope
from geartrain.schedule.greeting import Report
from geartrain.supervisor.guarding import Guarding
from geartrain.worker.job import Job

__all__ = ["Runner"]

logger = logging.getLogger("geartrain.agent")

STOPPED: Final = "the agent was stopped while it ran"


class Running:
    """
    A fire that runs.

    Attributes:
        kill: Asks for its end, for a reason; set once there is something to end.
        over: Set when it has ended; ``answer`` says how.

    """

    def __init__(self, entry: str) -> None:
        self.entry = entry
        self.kill: Callable[[str], None] | None = None
        # Asked for before there was anything to end.
        self.reason = ""
        self.over = threading.Event()
        self.answer = Answer(kind=FAILED)


class Runner:
    """
    What runs on this machine now. Threads share it.

    Args:
        settings: What may run, and how.
        apps: Callables, by the names they were registered under.
        journal: What ran before.
        mail: Told of each command's output; None where nobody mails.

    """

    def __init__(
        self,
        settings: AgentSettings,
        apps: Callables,
        journal: Journal,
        mail: Callable[[Envelope, CommandEnd], None] | None = None,
    ) -> None:
        self.settings = settings
        self.apps = apps
        self.journal = journal
        self.mail = mail
        self.guarding = Guarding()
        self.lock = threading.Lock()
        self.running: dict[str, Running] = {}
        self.stopped = ""

    def open(self) -> None:
        """Get ready to run."""
        self.guarding.start()

    def close(self) -> None:
        """Let go of the guard, once nothing runs."""
        self.guarding.stop()

    def run_job(self, job: Job) -> bytes:
        """Run the fire that a job carries; the handler of the agent's functions."""
        try:
            envelope = read_envelope(job.workload)
        except UsageError as error:
            logger.error("a job that is no fire: %s", error)
            return Answer(kind=FAILED, reason=str(error)).to_bytes()
        return self.run(envelope).to_bytes()

    def run(
        self,
        envelope: Envelope,
        report: Report | None = None,
        is_last: Callable[[Answer], bool] | None = None,
    ) -> Answer:
        """
        Run a fire, or tell how it ended before.

        Args:
            envelope: What to run.
            report: What the scheduler is to be told of a fire that it has not sent.
            is_last: Asked whether a fire ends with an answer; if not, it is not reported.

        """
        with self.lock:
            other = self.running.get(envelope.key)
            mine = self.running.setdefault(envelope.key, Running(envelope.entry))
        if other is not None:
            # It runs already, sent once more or fired from the local copy.
            other.over.wait()
            return replace(other.answer, repeated=True)
        try:
            mine.answer = self._run_once(envelope, mine, report, is_last)
        finally:
            with self.lock:
                del self.running[envelope.key]
            mine.over.set()
        return mine.answer

    def kill(self, key: str, reason: str = "it was cancelled") -> bool:
        """Ask for the end of a fire; return whether it runs here."""
        with self.lock:
            running = self.running.get(key)
        if running is None:
            return False
        self._kill(running, reason)
        return True

    def stop(self) -> None:
        """End all that runs, and begin nothing any more."""
        with self.lock:
            self.stopped = STOPPED
            left = list(self.running.values())
        for running in left:
            self._kill(running, STOPPED)

    def wait_until_over(self, seconds: float) -> bool:
        """Wait until nothing runs; return whether that came within so many seconds."""
        deadline = time.monotonic() + seconds
        with self.lock:
            left = list(self.running.values())
        return all(one.over.wait(max(0.0, deadline - time.monotonic())) for one in left)

    def _kill(self, running: Running, reason: str) -> None:
        with self.lock:
            running.reason = running.reason or reason
            kill = running.kill
        if kill is not None:
            kill(reason)

    def _arm(self, running: Running, kill: Callable[[str], None]) -> None:
        """Say how a fire is ended that is about to begin, and do so if that was asked for."""
        with self.lock:
            running.kill = kill
            reason = running.reason or self.stopped
        if reason:
            kill(reason)

    def _run_once(
        self,
        envelope: Envelope,
        running: Running,
        report: Report | None,
        is_last: Callable[[Answer], bool] | None,
    ) -> Answer:
        key, attempt = envelope.key, envelope.attempt
        try:
            known = self.journal.answer_of(key, attempt)
            if known is not None:
                logger.info("%s ran before: %s", key, known.reason or known.kind)
                return known
            self.journal.begin(key, attempt, envelope.entry, report)
        except StoreError as error:
            # Run all the same, it might run twice, or never be reported.
            logger.error("%s is not run: %s", key, error)
            return Answer(kind=FAILED, reason=f"not run: {error}", attempt=attempt)
        started = time.time()
        answer = self._end_of(envelope, running)
        answer = replace(answer, started=started, ended=time.time(), attempt=attempt)
        self._note(envelope, answer, is_last is None or is_last(answer))
        return answer

    def _note(self, envelope: Envelope, answer: Answer, is_last: bool) -> None:
        level = logging.INFO if answer.kind == DONE else logging.WARNING
        logger.log(
            level,
            "%s (%s): %s%s",
            envelope.entry,
            envelope.key,
            answer.kind,
            f", {answer.reason}" if answer.reason else "",
        )
        try:
            self.journal.end(envelope.key, envelope.attempt, answer, is_last)
        except StoreError as error:
            logger.error("how %s ended could not be written down: %s", envelope.key, error)

    def _end_of(self, envelope: Envelope, running: Running) -> Answer:
        try:
            if envelope.command:
                return self._run_command(envelope, running)
            return self._run_app(envelope, running)
        except UsageError as error:
            return Answer(kind=FAILED, reason=str(error))

    # Callables.

    def _run_app(self, envelope: Envelope, running: Running) -> Answer:
        app = self.apps.get(envelope.app)
        if app is None:
            known = ", ".join(self.apps) or "none"
            raise UsageError(
                f"no callable is registered as {envelope.app!r} here (known: {known}); "
                "name it in [agent.apps]"
            )
        cancelled, overdue = threading.Event(), threading.Event()
        self._arm(running, lambda _: cancelled.set())

        def end() -> None:
            overdue.set()
            cancelled.set()

        timer = threading.Timer(envelope.run_timeout, end)
        timer.daemon = True
        if envelope.run_timeout:
            timer.start()
        try:
            answer = call(app, FireTask(envelope, cancelled))
        finally:
            timer.cancel()
        limit = self.settings.output_limit
        return replace(
            answer,
            output=_cut(answer.output, limit),
            errors=_cut(answer.errors, limit),
            timed_out=answer.kind == FAILED and overdue.is_set(),
        )

    # Commands.

    def _run_command(self, envelope: Envelope, running: Running) -> Answer:
        settings = self.settings
        launch = launch_of(envelope, settings)
        self._look_after_guard()
        command = Command(launch, settings.output_limit, settings.kill_delay, self.guarding)
        self._arm(running, command.kill)
        try:
            end = command.run(envelope.run_timeout)
        except OSError as error:
            raise UsageError(_explained(launch, error)) from None
        if self.mail is not None:
            self.mail(envelope, end)
        return _answer_to(end)

    def _look_after_guard(self) -> None:
        with self.lock:
            guard = self.guarding.process
            if guard is not None and (status := guard.poll()) is not None:
                self.guarding.ended(status)


def _answer_to(end: CommandEnd) -> Answer:
    return Answer(
        kind=FAILED if end.reason else DONE,
        reason=end.reason,
        output=end.output,
        errors=end.errors,
        status=end.status,
        timed_out=end.timed_out,
    )


def _explained(launch: Launch, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if not os.path.isdir(launch.directory):
        return f"can't enter the directory {launch.directory!r}: {reason}"
    return f"can't run {launch.argv[0]!r} as {launch.account.name!r}: {reason}"


def _cut(text: str, limit: int) -> str:
    kept = Kept(limit)
    kept.add(text.encode("utf-8", "replace"))
    return kept.text()
