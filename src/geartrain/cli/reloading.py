"""
Runs a command in another process, and runs it anew when files change.

For development. The command gets SIGTERM and its time to finish; what it leaves
undone goes back to the server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path
from types import FrameType
from typing import Final

# Seconds that the command gets to end, and files to be saved together, in milliseconds.
_PATIENCE: Final = 35.0
_SETTLE: Final = 200
# What the installed command does; it need not be found by its path.
_MAIN: Final = "from geartrain.cli.main import main; main()"


class WatchEnd(threading.Event):
    """
    Ends a watch when it is set.

    Attributes:
        begun: Set once the watch looks at it: changes from then on are seen.

    """

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def is_set(self) -> bool:
        """Return whether the watch is to end; the watch asks when it has begun."""
        self.begun.set()
        return super().is_set()


def python_changes(paths: Iterable[Path], stopped: threading.Event) -> Iterator[set[Path]]:
    """Yield the Python files below these directories that have changed, each time some have."""
    from watchfiles import PythonFilter, watch

    for changes in watch(
        *paths,
        watch_filter=PythonFilter(),
        stop_event=stopped,
        step=50,
        debounce=_SETTLE,
        raise_interrupt=False,
    ):
        yield {Path(path) for _, path in changes}


def names_of(paths: Iterable[Path]) -> str:
    """Return files as a person reads of them."""
    return ", ".join(sorted({path.name for path in paths}))


def forget_compiled(paths: Iterable[Path]) -> None:
    """
    Remove what Python has kept of these files.

    It tells an older version by seconds and size alone, so that one saved twice within a second
    could run as it was.
    """
    for path in paths:
        with contextlib.suppress(OSError, NotImplementedError):
            os.unlink(cache_from_source(str(path)))


class Reloader:
    """
    One command, restarted when Python files change.

    Args:
        arguments: Of ``geartrain``.
        paths: Directories to watch, with everything below.

    """

    def __init__(self, arguments: list[str], paths: Iterable[Path]) -> None:
        self.command = [sys.executable, "-c", _MAIN, *arguments]
        self.paths = list(paths)
        self.stopped = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run until stopped; return the last exit status."""
        self.start()
        for paths in python_changes(self.paths, self.stopped):
            print(f"{names_of(paths)} changed; starting anew", file=sys.stderr, flush=True)
            self.end()
            forget_compiled(paths)
            self.start()
        return self.end()

    def start(self) -> None:
        """Start the command."""
        # A group of its own, so that Ctrl-C comes once, from here.
        process = self.process = subprocess.Popen(self.command, start_new_session=True)
        threading.Thread(target=self.watch_end, args=(process,), daemon=True).start()

    def watch_end(self, process: subprocess.Popen[bytes]) -> None:
        """Say when the command has ended by itself; it waits for better code then."""
        status = process.wait()
        if process is self.process:
            print(
                f"it ended with {describe(status)}; it starts anew when a Python file changes",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> int:
        """End the command, kindly first, and return its exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Have `run` end; a signal handler."""
        self.stopped.set()


def describe(status: int) -> str:
    """Return an exit status in words."""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def run_reloaded(arguments: list[str], paths: Iterable[Path]) -> int:
    """Run ``geartrain`` with these arguments, anew whenever a file changes, until a signal."""
    reloader = Reloader(arguments, paths)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, reloader.stop)
    return reloader.run()


__all__ = [
    "Reloader",
    "WatchEnd",
    "forget_compiled",
    "names_of",
    "python_changes",
    "run_reloaded",
]
