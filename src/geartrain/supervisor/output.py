"""
What processes write: read from their pipes, cut into lines, stamped, kept and shown.

A `Sink` belongs to one output of one process of the fleet and outlives the
processes that come and go in it. A `Stream` is the pipe of one of them, and is
read to its end, which comes when nobody holds its other end any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from geartrain.supervisor.lines import LineCutter
from geartrain.supervisor.log_file import RotatingFile

__all__ = ["Console", "Sink", "Stream"]

_PIECE: Final = 64 * 1024
# Bytes that are remembered for `tail` where there is no file.
_MEMORY: Final = 16 * 1024
# Milliseconds for which output waits for a reader.
_PATIENCE: Final = 100


class Console:
    """
    The supervisor's own output, which may lead to somebody who does not read.

    Lines wait for the reader for a moment, and are dropped after that until it
    reads again: no reader of a log may hold up what the supervisor is there for.

    Args:
        descriptor: Of the output.

    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLOUT)
        self.is_stuck = False
        self.lost = 0

    def write(self, data: bytes) -> None:
        """Show lines, all of them or none; never raises."""
        if self.lost and self.is_writable():
            remark = f"geartrain: {self.lost} bytes of output were not shown here\n".encode()
            self.lost = 0
            data = remark + data
        rest = memoryview(data)
        with contextlib.suppress(OSError):
            while rest:
                if not self.is_writable():
                    self.lost += len(rest)
                    return
                # As much as a pipe that is ready takes without making us wait.
                rest = rest[os.write(self.descriptor, rest[: select.PIPE_BUF]) :]

    def is_writable(self) -> bool:
        patience = 0 if self.is_stuck else _PATIENCE
        self.is_stuck = not self.poll.poll(patience)
        return not self.is_stuck


class Sink:
    """
    Where one output of one process of the fleet goes.

    Args:
        file: A file; None for none.
        console: The supervisor's own output; None not to show it there.
        prefix: What stands before each line, after its time.
        timestamps: Whether each line begins with its time.

    Attributes:
        followers: Called with lines as they are kept.
        listeners: Called with each line as it was written.

    """

    def __init__(
        self, file: RotatingFile | None, console: Console | None, prefix: bytes, timestamps: bool
    ) -> None:
        self.file = file
        self.console = console
        self.prefix = prefix
        self.timestamps = timestamps
        self.followers: set[Callable[[bytes], None]] = set()
        self.listeners: set[Callable[[bytes], None]] = set()
        self.recent: deque[bytes] = deque()
        self.recent_size = 0
        self.streams: set[Stream] = set()

    def take(self, lines: list[bytes]) -> None:
        """Keep lines, and show them to whoever looks."""
        if not lines:
            return
        for listener in list(self.listeners):
            for line in lines:
                listener(line)
        head = self.head()
        data = head + (b"\n" + head).join(lines) + b"\n"
        if self.file is not None:
            self.file.write(data)
        else:
            self.remember(data)
        if self.console is not None:
            self.console.write(data)
        for follower in list(self.followers):
            follower(data)

    def head(self) -> bytes:
        if not self.timestamps:
            return self.prefix
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{moment} ".encode() + self.prefix

    def remember(self, data: bytes) -> None:
        data = data[-_MEMORY:]
        self.recent.append(data)
        self.recent_size += len(data)
        while self.recent_size > _MEMORY:
            self.recent_size -= len(self.recent.popleft())

    def tail(self, count: int) -> bytes:
        """Return the last lines that are kept, ``count`` bytes at most."""
        kept = b"".join(self.recent)
        if self.file is not None:
            with contextlib.suppress(OSError):
                kept = self.file.tail(count + 1)
        if len(kept) <= count:
            return kept
        # Not half a line, unless there is but one.
        last = kept[-count - 1 :].partition(b"\n")[2]
        return last or kept[-count:]

    def close(self) -> None:
        """Read no more, and close the file."""
        for stream in list(self.streams):
            stream.close()
        if self.file is not None:
            self.file.close()


class Stream:
    """
    The pipe from one output of a process.

    Args:
        loop: The event loop.
        descriptor: Its reading end, which does not block; the stream closes it.
        sink: Where the lines go.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, sink: Sink) -> None:
        self.loop = loop
        self.descriptor = descriptor
        self.sink = sink
        self.cutter = LineCutter()
        sink.streams.add(self)
        loop.add_reader(descriptor, self.receive)

    def receive(self) -> bool:
        """Read once, and return whether there was something; the others have their turn."""
        try:
            data = os.read(self.descriptor, _PIECE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        self.sink.take(self.cutter.feed(data))
        return True

    def finish(self) -> None:
        """Take what a process that ended has left; others may still write."""
        # Bounded: what it left behind may go on writing as fast as we read.
        for _ in range(2):
            if self.descriptor < 0 or not self.receive():
                break
        self.sink.take(self.cutter.finish())

    def close(self) -> None:
        """Read no more. Safe to call twice."""
        if self.descriptor < 0:
            return
        self.loop.remove_reader(self.descriptor)
        os.close(self.descriptor)
        self.descriptor = -1
        self.sink.take(self.cutter.finish())
        self.sink.streams.discard(self)
