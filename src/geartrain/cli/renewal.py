"""
Starts this process's program anew in its own place: the same number and terminal, a fresh
interpreter, and sockets that go on listening.

Sockets are handed on as service managers do it (LISTEN_FDS, LISTEN_PID), so that who connects
meanwhile waits and is not refused. Whatever else is open, and every thread, ends here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import termios
from collections.abc import Sequence
from typing import Any, Final, NoReturn

# What service managers say of sockets, and what one program says to the next.
_HANDED_OVER: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_LEFT: Final = "GEARTRAIN_LEFT"
_FIRST_PLACE: Final = 3
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Renewal:
    """
    How this process was started, which is how it starts anew.

    To be made before anybody else's code may have changed directory and environment. Signals that
    would end it wait from then on until `receive_signals`.

    Attributes:
        left: What the program before left for this one; None at the first start.

    """

    def __init__(self) -> None:
        number, _, left = os.environ.pop(_LEFT, "").partition(":")
        # Not what is meant for a process that started this one.
        self.left = left if number == str(os.getpid()) else None
        self.directory = os.getcwd()
        self.environment = {
            name: value for name, value in os.environ.items() if name not in _HANDED_OVER
        }
        self.terminal = terminal_settings()
        # The program before has done so.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if self.left is not None:
            reap_children()

    def receive_signals(self) -> None:
        """From here on each of these signals, also one that waits, raises KeyboardInterrupt."""
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def start_anew(self, listeners: Sequence[int], left: str) -> NoReturn:
        """
        Start the program again. From the main thread; raises OSError where it can't be, with
        signals that wait until `receive_signals`, and KeyboardInterrupt at one that comes before.

        Args:
            listeners: Descriptors of listening sockets.
            left: What the next program finds as its ``left``.

        """
        # The event loop has put them back.
        self.receive_signals()
        self.restore_terminal()
        # Who reads it may be slow.
        sys.stdout.flush()
        sys.stderr.flush()
        # They wait for the next program: this one could no longer clean up.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        os.chdir(self.directory)
        put_in_place(listeners)
        environment = {
            **self.environment,
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": str(len(listeners)),
            _LEFT: f"{os.getpid()}:{left}",
        }
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)

    def restore_terminal(self) -> None:
        """Undo what a debugger's prompt, say, has set on the terminal."""
        if self.terminal is None or self.terminal == terminal_settings():
            return
        with contextlib.suppress(OSError, termios.error):
            # In the background it is another program's, and setting it would stop this one.
            if os.tcgetpgrp(0) == os.getpgrp():
                termios.tcsetattr(0, termios.TCSANOW, self.terminal)


def terminal_settings() -> list[Any] | None:
    """Return what is set on the terminal; None where standard input is none."""
    try:
        return termios.tcgetattr(0)
    except (OSError, termios.error):
        return None


def reap_children() -> None:
    """Let go of processes that the program before has left behind and that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def put_in_place(descriptors: Sequence[int]) -> None:
    """Have the next program get these from 3 on, and no other beyond standard streams."""
    end = _FIRST_PLACE + len(descriptors)
    # First out of the way of each other.
    kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, end) for one in descriptors]
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            if int(name) >= end:
                os.set_inheritable(int(name), False)
    for place, descriptor in enumerate(kept, _FIRST_PLACE):
        os.dup2(descriptor, place)


__all__ = ["Renewal"]
