"""
The outputs of all processes of a fleet: which sinks there are, and what goes into them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from typing import Final

from geartrain.errors import UsageError
from geartrain.supervisor.log_file import RotatingFile
from geartrain.supervisor.output import Console, Sink, Stream
from geartrain.supervisor.process import Process
from geartrain.supervisor.program import LogFile
from geartrain.supervisor.spawning import Child
from geartrain.supervisor.templates import expand, variables_of

__all__ = ["STREAMS", "Outputs", "check_directory"]

STREAMS: Final = ("stdout", "stderr")
_DIRECTORY_MODE: Final = 0o750


class Outputs:
    """
    The outputs of a fleet's processes.

    Args:
        loop: The event loop.

    Attributes:
        sinks: By the process's name and the output's.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sinks: dict[tuple[str, str], Sink] = {}
        self.consoles = {"stdout": _console_of(1), "stderr": _console_of(2)}
        # The pipes of a process that runs, by its id.
        self.streams: dict[int, list[Stream]] = {}

    def configure(self, process: Process, surroundings: Mapping[str, str]) -> None:
        """Set up the sinks of a process, or have them do what its program says by now."""
        variables = variables_of(process.program, process.number, surroundings)
        for name, log in zip(
            STREAMS, (process.program.stdout, process.program.stderr), strict=True
        ):
            self.set_up(process, name, log, variables)

    def set_up(
        self, process: Process, name: str, log: LogFile, variables: Mapping[str, str | int]
    ) -> None:
        program = process.program
        sink = self.sinks.get((process.name, name))
        if sink is None:
            sink = self.sinks[process.name, name] = Sink(None, None, b"", True)
        path = expand(log.path, variables)
        is_shown = path == "-"
        sink.console = self.consoles[name] if is_shown else None
        if is_shown or not path:
            _close(sink.file)
            sink.file = None
        elif sink.file is not None and sink.file.path == path:
            sink.file.configure(log, program.log_rotate)
        else:
            _close(sink.file)
            sink.file = RotatingFile(path, log, program.log_rotate)
        prefix = expand(program.log_prefix, variables)
        if is_shown and not prefix:
            # In one stream, lines of many processes have to say whose they are.
            prefix = f"{process.name} | "
        sink.prefix = prefix.encode()
        sink.timestamps = program.log_timestamps

    def connect(self, name: str, child: Child) -> None:
        """Read what a process that was just started writes."""
        out = Stream(self.loop, child.stdout, self.sinks[name, "stdout"])
        self.streams[child.pid] = [out]
        if child.stderr is not None:
            self.streams[child.pid].append(
                Stream(self.loop, child.stderr, self.sinks[name, "stderr"])
            )

    def finish(self, pid: int) -> None:
        """Take what a process that ended has written."""
        for stream in self.streams.pop(pid, ()):
            stream.finish()

    def sinks_of(self, name: str) -> list[Sink]:
        """Return a process's sinks."""
        return [self.sinks[name, stream] for stream in STREAMS]

    def remove(self, name: str) -> None:
        """Forget a process that left the fleet."""
        for stream in STREAMS:
            sink = self.sinks.pop((name, stream), None)
            if sink is not None:
                sink.close()

    def reopen(self) -> None:
        """Have every file opened again at the next line."""
        for sink in self.sinks.values():
            _close(sink.file)

    def close(self) -> None:
        """Close everything."""
        for sink in self.sinks.values():
            sink.close()


def check_directory(path: str) -> None:
    """
    See to it that log files can be written to a directory; it is made if it is missing.

    Raises:
        UsageError: They can't.

    """
    if not path:
        return
    try:
        os.makedirs(path, _DIRECTORY_MODE, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(
            f"can't write to the log_directory {path}: {error.strerror};"
            " name another in [supervisor], or start as who may"
        ) from None


def _close(file: RotatingFile | None) -> None:
    if file is not None:
        file.close()


def _console_of(descriptor: int) -> Console | None:
    """Return the supervisor's own output, None if it was closed."""
    try:
        os.fstat(descriptor)
    except OSError:
        return None
    return Console(descriptor)
