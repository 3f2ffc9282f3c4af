"""
``gearman`` as a process: signals, pid file, detaching from the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType
from typing import NoReturn

from geartrain.errors import UsageError


class Process:
    """
    What happens to this process when it ends, and when.

    Attributes:
        busy: A command is running; a signal waits until its result is sent.
        received: The signal that waits, or 0.

    """

    def __init__(self) -> None:
        self.busy = False
        self.received = 0
        self.pid_file = ""

    def take_signals(self) -> None:
        """End by SIGINT, SIGTERM and SIGHUP as a program without handlers does, but tidily."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Who started us in the background or with nohup asked not to be disturbed.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.receive_signal)

    def receive_signal(self, number: int, _frame: FrameType | None) -> None:
        """End now, or at a second signal, or when the running command is done."""
        if self.busy and not self.received:
            self.received = number
            return
        self.end_by_signal(number)

    def start_command(self) -> None:
        """From here on a signal waits."""
        self.busy = True

    def end_command(self) -> None:
        """Signals work again, those that waited first."""
        self.busy = False
        if self.received:
            self.end_by_signal(self.received)

    def end_by_signal(self, number: int) -> NoReturn:
        """End so that the shell sees which signal it was."""
        self.remove_pid_file()
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
        os._exit(128 + number)

    def write_pid_file(self, path: str) -> None:
        """
        Write this process's id and a newline to ``path``.

        Raises:
            UsageError: It can't be written.

        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            with open(descriptor, "w") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise UsageError(f"-i: {path} can't be written ({error.strerror})") from error
        self.pid_file = os.path.abspath(path)

    def remove_pid_file(self) -> None:
        """Remove the pid file, unless it has become another process's."""
        path, self.pid_file = self.pid_file, ""
        if not path:
            return
        with contextlib.suppress(OSError, ValueError):
            with open(path) as file:
                owner = int(file.read())
            if owner == os.getpid():
                os.unlink(path)


class Detachment:
    """
    A process that goes on without its terminal.

    The parent stays until the child says that it has begun, so that what goes
    wrong before is seen, and the pid file is there when the prompt is.

    """

    def __init__(self) -> None:
        self.begun, self.begin = os.pipe()
        self.child = os.fork()

    @property
    def is_parent(self) -> bool:
        """Whether this is the process that the user started."""
        return self.child != 0

    def wait(self) -> bool:
        """In the parent: return whether the child has begun, as soon as that is known."""
        os.close(self.begin)
        return os.read(self.begun, 1) != b""

    def detach(self, keep_input: bool) -> None:
        """In the child: leave the terminal, close standard streams, let the parent go."""
        os.close(self.begun)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            if descriptor or not keep_input:
                os.dup2(null, descriptor)
        if null > 2:
            os.close(null)
        os.write(self.begin, b"+")
        os.close(self.begin)


__all__ = ["Detachment", "Process"]
