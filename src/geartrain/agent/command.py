"""
One command, from its start to the end of the last process of its session.

A thread waits here for what it writes, for its end and for the end of its time, and uses no
CPU meanwhile. Whatever is left of its session when it has ended is ended, too; what made itself
a daemon, with a session of its own, is left alone as cron does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, Final

import psutil

from geartrain.agent.launching import Launch
from geartrain.supervisor.guard import Charge
from geartrain.supervisor.guarding import Guarding
from geartrain.worker.bell import Bell

__all__ = ["Command", "CommandEnd", "Kept"]

_PIECE: Final = 64 * 1024
# Seconds between two looks at processes that have been told to end.
_PAUSE: Final = 0.02
# Seconds after which one that can't be killed is given up: the kernel holds it, say on a dead disk.
_UNKILLABLE: Final = 5.0


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """
    How a command ended.

    Attributes:
        status: Exit status, or minus the signal that ended it.
        output, errors: What it wrote.
        cut_off: Why it was ended before its time; empty where it ended by itself.
        timed_out: Whether that was because it ran for too long.

    """

    status: int
    output: str
    errors: str
    cut_off: str = ""
    timed_out: bool = False

    @property
    def reason(self) -> str:
        """Why it did not end well; empty where it did."""
        if self.cut_off or not self.status:
            return self.cut_off
        if self.status > 0:
            return f"it exited with status {self.status}"
        try:
            return f"it was killed by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"it was killed by signal {-self.status}"


class Kept:
    """
    Keeps the beginning and the end of what a stream says, and counts what is between.

    Args:
        limit: How many bytes are kept, at most.

    """

    def __init__(self, limit: int) -> None:
        self.first = limit - limit // 2
        self.last = limit // 2
        self.head = bytearray()
        self.tail = bytearray()
        self.lost = 0

    def add(self, piece: bytes) -> None:
        """Take in what was written."""
        room = self.first - len(self.head)
        self.head += piece[:room]
        self.tail += piece[room:]
        surplus = len(self.tail) - self.last
        if surplus > 0:
            del self.tail[:surplus]
            self.lost += surplus

    def text(self) -> str:
        """Return it as text; what is no UTF-8 is replaced."""
        if not self.lost:
            return (self.head + self.tail).decode("utf-8", "replace")
        between = f"\n[... {self.lost} bytes left out ...]\n"
        return self.head.decode("utf-8", "replace") + between + self.tail.decode("utf-8", "replace")


class Command:
    """
    A command that is about to run.

    Args:
        launch: What it is started with.
        limit: How many bytes are kept of each of its outputs.
        kill_delay: Seconds between SIGTERM and SIGKILL.
        guarding: Ends it should this process be killed.

    """

    def __init__(self, launch: Launch, limit: int, kill_delay: float, guarding: Guarding) -> None:
        self.launch = launch
        self.kill_delay = kill_delay
        self.guarding = guarding
        self.output = Kept(limit)
        self.errors = Kept(limit)
        self.bell = Bell()
        # Set by other threads, looked at when the bell rings.
        self.cut_off = ""
        self.timed_out = False
        self.ended = False
        # Guards the bell's end.
        self.lock = threading.Lock()
        self.is_over = False

    def kill(self, reason: str) -> None:
        """Have it ended, for a reason. From any thread; once is enough."""
        with self.lock:
            if not self.is_over:
                self.cut_off = self.cut_off or reason
                self.bell.ring()

    def run(self, seconds: float = 0.0) -> CommandEnd:
        """
        Run it to its end.

        Args:
            seconds: After which it is ended; 0 for never.

        Raises:
            OSError: It can't be started; the message says why.

        """
        try:
            with self._start() as process:
                return self._see_through(process, seconds)
        finally:
            with self.lock:
                self.is_over = True
                self.bell.close()

    def _start(self) -> subprocess.Popen[bytes]:
        launch = self.launch
        process = subprocess.Popen(
            launch.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=launch.directory,
            env=launch.environment,
            start_new_session=True,
            umask=0o022,
            bufsize=0,
            **launch.account.arguments,
        )
        self.guarding.add(
            Charge(process.pid, signal.SIGTERM, self.kill_delay, True, True, armed=False)
        )
        return process

    def _see_through(self, process: subprocess.Popen[bytes], seconds: float) -> CommandEnd:
        waiter = threading.Thread(target=self._wait, args=(process.pid,), daemon=True)
        waiter.start()
        with selectors.DefaultSelector() as selector:
            self._exchange(process, selector, seconds)
            waiter.join()
            # It is not reaped yet, so its number is still that of its session.
            _end_session(process.pid, self.kill_delay)
            self._read_rest(selector)
        self.guarding.remove(process.pid)
        status = process.wait()
        output, errors = self.output.text(), self.errors.text()
        return CommandEnd(status, output, errors, self.cut_off, self.timed_out)

    def _wait(self, pid: int) -> None:
        """Wait for its end, in a thread of its own, and leave it to be reaped."""
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.ended = True
        self.bell.ring()

    def _exchange(
        self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector, seconds: float
    ) -> None:
        """Write its input and read its output until it has ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        selector.register(self.bell, selectors.EVENT_READ)
        for stream, kept in ((process.stdout, self.output), (process.stderr, self.errors)):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, kept)
        rest = memoryview(self.launch.stdin)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        deadline = time.monotonic() + seconds if seconds else None
        # When it is killed that was told to end.
        last: float | None = None
        while not self.ended:
            now = time.monotonic()
            if deadline is not None and now >= deadline and not self.cut_off:
                self.cut_off, self.timed_out = f"it ran for more than {seconds:g} s", True
            if self.cut_off and last is None:
                last = now + self.kill_delay
                _signal_session(process.pid, signal.SIGTERM)
            elif last is not None and now >= last:
                last = now + self.kill_delay
                _signal_session(process.pid, signal.SIGKILL)
            until = deadline if last is None else last
            for key, _ in selector.select(None if until is None else max(0.0, until - now)):
                if key.fileobj is self.bell:
                    self.bell.silence()
                elif key.fileobj is process.stdin:
                    rest = _feed(process.stdin, rest)
                    if not rest:
                        selector.unregister(process.stdin)
                        with contextlib.suppress(BrokenPipeError):
                            process.stdin.close()
                elif not _read(key.fd, key.data):
                    selector.unregister(key.fileobj)

    def _read_rest(self, selector: selectors.BaseSelector) -> None:
        """Read what is in the pipes. A daemon may hold them open, and is not waited for."""
        for key in list(selector.get_map().values()):
            if isinstance(key.data, Kept):
                while _read(key.fd, key.data, at_once=True):
                    pass


def _read(descriptor: int, kept: Kept, at_once: bool = False) -> bool:
    """Read a piece; return whether there may be more."""
    try:
        piece = os.read(descriptor, _PIECE)
    except BlockingIOError:
        return not at_once
    kept.add(piece)
    return bool(piece)


def _feed(stdin: IO[bytes], rest: memoryview) -> memoryview:
    """Write as much as the pipe takes and return what is left."""
    if not rest:
        return rest
    try:
        return rest[os.write(stdin.fileno(), rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        # A command need not read all of it, or any.
        return rest[:0]


# Sessions.


def _members(session: int) -> list[int]:
    """Return the processes of a session but its leader, those that ended apart."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if (
                pid != session
                and os.getsid(pid) == session
                and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            ):
                found.append(pid)
    return found


def _signal_session(session: int, number: int) -> None:
    for pid in (session, *_members(session)):
        # It may have ended meanwhile.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _end_session(session: int, seconds: float) -> None:
    """End what a command left behind in its session, and return when there is none of it."""
    if not _members(session):
        return
    _signal_session(session, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while (left := _members(session)) and (now := time.monotonic()) < deadline + _UNKILLABLE:
        if now >= deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
