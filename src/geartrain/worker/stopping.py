"""
Sees to it that a worker that was asked to stop does so, whatever its handlers do.

A thread that does nothing but wait: for signals, for requests to stop, and
for the end of the grace time. It is needed because a signal handler of Python
runs only when the main thread gets to it, and with handlers run inline that
may be never.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Final

from geartrain.worker.bell import Bell
from geartrain.worker.job import Abort
from geartrain.worker.keeper import Keeper
from geartrain.worker.log import logger

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# Seconds between attempts to interrupt a handler in the main thread. One may come when it is
# just about to wait in a system call, and then has no effect.
_INSISTENCE: Final = 0.05


class StopWatch:
    """
    Asks the keeper to stop, and cuts it off when the grace time is over.

    Args:
        keeper: Keeps the connections.
        grace: Seconds that held jobs get to end, unless a request says otherwise.

    """

    def __init__(self, keeper: Keeper, grace: float) -> None:
        self.keeper = keeper
        self.grace = grace
        # When the jobs still held go back, by the monotonic clock; None before a stop is asked for.
        self.deadline: float | None = None
        self.is_over = False
        self.takes_signals = False
        # Whether a signal has asked for the stop, or for its haste.
        self.was_signalled = False
        self.ended = threading.Event()
        # A worker that was made and never ran has neither: they come with `start`.
        self.bell: Bell | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to watch."""
        self.bell = Bell()
        self.thread = threading.Thread(
            target=self.work, args=(self.bell,), name="geartrain-stop", daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        """Stop watching."""
        if self.bell is None or self.thread is None:
            return
        self.ended.set()
        self.bell.ring()
        self.thread.join()
        self.bell.close()

    def ask(self, grace: float | None = None) -> None:
        """Ask the worker to stop within ``grace`` seconds. From any thread."""
        seconds = self.grace if grace is None else grace
        is_first = self.deadline is None
        self.deadline = time.monotonic() + seconds
        self.keeper.ask_stop()
        if is_first:
            logger.info("stopping: no more jobs are asked for, %g s for those held", seconds)
        if self.bell is not None:
            self.bell.ring()

    # Signals; in the main thread.

    def take_signals(self) -> dict[int, object]:
        """Answer signals from now on; return what `leave_signals` needs to undo it."""
        assert self.bell is not None
        before: dict[int, object] = {
            number: signal.signal(number, self.receive_signal) for number in SIGNALS
        }
        # The numbers of signals arrive at the bell, where they are counted.
        before[0] = signal.set_wakeup_fd(self.bell.far.fileno(), warn_on_full_buffer=False)
        self.takes_signals = True
        return before

    def leave_signals(self, before: dict[int, object]) -> None:
        """Have signals answered as before `take_signals`."""
        self.takes_signals = False
        signal.set_wakeup_fd(before.pop(0))  # type: ignore[arg-type]
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def receive_signal(self, number: int, frame: FrameType | None) -> None:
        """Leave a handler that runs in the main thread, if it is time for that."""
        if self.is_over and self.keeper.execution.running:
            raise Abort

    # In the watch's own thread.

    def work(self, bell: Bell) -> None:
        """Watch until the worker has ended."""
        while not self.ended.is_set():
            bell.wait(self.seconds_left())
            for number in bell.silence():
                if number in SIGNALS:
                    self.was_signalled = True
                    # The second signal ends the grace time.
                    self.ask(0 if self.deadline is not None else None)
            if self.seconds_left() == 0.0:
                self.cut_off()

    def seconds_left(self) -> float | None:
        if self.deadline is None or self.is_over:
            return None
        return max(0.0, self.deadline - time.monotonic())

    def cut_off(self) -> None:
        """Give the jobs still held back to their servers, and make the worker leave."""
        self.is_over = True
        self.keeper.abandon()
        while self.takes_signals and self.keeper.execution.running:
            # A real signal, which also wakes a handler that waits in a system call.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if self.ended.wait(_INSISTENCE):
                break


__all__ = ["SIGNALS", "StopWatch"]
