"""
Answers `geartrain ctl` on a unix socket: one line of JSON in, one line of JSON out.

Whoever may open the socket may do everything; its file mode, and that of the
directory made for it, say who may. A request that can't be carried out is
answered with a message and the exit code that the command is to leave with.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import fnmatch
import hashlib
import logging
import os
import signal
import socket
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import psutil

from geartrain.configuration import hint
from geartrain.errors import UsageError
from geartrain.supervisor.alarm import Alarm
from geartrain.supervisor.commands import Command, Restart, Scale, Signal, Start, Stop
from geartrain.supervisor.fleet import Fleet
from geartrain.supervisor.output import Sink
from geartrain.supervisor.outputs import STREAMS
from geartrain.supervisor.process import (
    DOWN,
    NAMES,
    RUNNING,
    Process,
)
from geartrain.supervisor.supervisor import Supervisor

__all__ = ["DONE", "FAILED", "NOT_FOUND", "REFUSED", "USAGE", "Control", "ControlError"]

logger = logging.getLogger("geartrain.supervisor")

# What a command leaves with, as in docs/reference/cli.md.
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 4
REFUSED: Final = 5

# Bytes: of a request, and of output that may wait for one follower.
_LONGEST_REQUEST: Final = 64 * 1024
_MOST_WAITING: Final = 1024 * 1024
_MOST_TAIL: Final = 16 * 1024 * 1024

_ORDERS: Final[dict[str, type[Start | Stop | Restart]]] = {
    "start": Start,
    "stop": Stop,
    "restart": Restart,
}


class ControlError(Exception):
    """
    A request that is not carried out.

    Attributes:
        code: The exit code that says why.

    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class Control:
    """
    The control socket of a supervisor.

    Args:
        supervisor: What is controlled.

    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.path = supervisor.configuration.socket
        self.mode = supervisor.configuration.socket_mode
        self.lock = -1
        self.server: asyncio.Server | None = None
        self.peers: set[asyncio.Task[None]] = set()

    # The socket.

    def bind(self) -> socket.socket:
        """
        Return the socket, bound and not yet listening.

        Raises:
            UsageError: It can't be, or another supervisor has it.

        """
        directory = os.path.dirname(self.path)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self.take_lock()
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                    raise UsageError(f"{self.path} is there and is no socket; name another")
                os.unlink(self.path)
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # Nobody may connect before it has its mode.
            before = os.umask(0o777)
            try:
                bound.bind(self.path)
            finally:
                os.umask(before)
            os.chmod(self.path, self.mode)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"can't listen on the control socket {self.path}: {reason};"
                " name another as socket in [supervisor]"
            ) from None
        return bound

    def take_lock(self) -> None:
        """See to it that no other supervisor has this socket; the kernel lets go of it with us."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.lock = os.open(f"{self.path}.lock", flags, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another supervisor answers at {self.path}; see it with"
                f" geartrain ctl --socket {self.path} status"
            ) from None

    async def start(self, bound: socket.socket) -> None:
        """Answer requests from now on."""
        self.server = await asyncio.start_unix_server(
            self.serve, sock=bound, limit=_LONGEST_REQUEST
        )

    async def close(self) -> None:
        """Answer no more, and remove the socket."""
        if self.server is not None:
            self.server.close()
        for peer in list(self.peers):
            peer.cancel()
        await asyncio.gather(*self.peers, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        if self.lock >= 0:
            os.close(self.lock)

    # Requests.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.peers.add(task)
        try:
            while line := await reader.readline():
                if not await self.answer(line, reader, writer):
                    break
        except (ConnectionError, ValueError, asyncio.CancelledError):
            # Gone, or longer than any request is, or the supervisor leaves.
            pass
        finally:
            self.peers.discard(task)
            writer.close()

    async def answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request, and return whether others may follow on the connection."""
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            if request.get("command") == "tail":
                await self.tail(request, reader, writer)
                return False
            reply = await self.carry_out(request)
        except ControlError as error:
            reply = {"error": str(error), "code": error.code}
        except UsageError as error:
            reply = {"error": str(error), "code": USAGE}
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            reply = {"error": f"not understood: {error}", "code": USAGE}
        writer.write(msgspec.json.encode(reply) + b"\n")
        await writer.drain()
        return True

    async def carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["command"]
        if name == "status":
            chosen = choose(self.fleet, request.get("names") or ["*"])
            return {"processes": self.rows(chosen)}
        if name in _ORDERS:
            return await self.order(_ORDERS[name], request)
        if name == "signal":
            chosen = choose(self.fleet, request["names"])
            number = signal.Signals(int(request["signal"]))
            self.give(Signal([one.name for one in chosen], number))
            return {"processes": self.rows(chosen)}
        if name == "scale":
            return await self.scale(request)
        if name in ("diff", "reload"):
            return self.reload(request, name == "reload")
        if name == "shutdown":
            self.supervisor.stop()
            return {}
        raise ControlError(USAGE, f"nobody knows the command {name!r}")

    @property
    def fleet(self) -> Fleet:
        """The fleet that is controlled."""
        return self.supervisor.fleet

    def give(self, command: Command) -> None:
        refusals = self.supervisor.order(command)
        if refusals:
            raise ControlError(REFUSED, "; ".join(refusals))

    async def order(
        self, kind: type[Start | Stop | Restart], request: dict[str, Any]
    ) -> dict[str, Any]:
        chosen = choose(self.fleet, request["names"])
        names = [one.name for one in chosen]
        self.give(kind(names))
        if request.get("wait", True):
            await self.settle(chosen)
        rows = self.rows(chosen)
        if kind is Stop:
            code = DONE if all(one.state in DOWN for one in chosen) else FAILED
        else:
            well = all(one.state == RUNNING or one.is_satisfied for one in chosen)
            code = DONE if well else FAILED
        return {"processes": rows, "code": code if request.get("wait", True) else DONE}

    async def scale(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["program"]
        if name not in self.fleet.programs:
            raise ControlError(
                NOT_FOUND, f"there is no program {name!r}; {hint(name, self.fleet.programs)}"
            )
        before = self.fleet.processes_of(name)
        self.give(Scale(name, int(request["numprocs"])))
        involved = {one.name: one for one in [*before, *self.fleet.processes_of(name)]}
        if request.get("wait", True):
            await self.settle(list(involved.values()))
        return {"processes": self.rows(self.fleet.processes_of(name))}

    def reload(self, request: dict[str, Any], apply: bool) -> dict[str, Any]:
        path = self.supervisor.configuration.path
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ControlError(USAGE, f"can't read {path}: {error.strerror}") from None
        new, found = self.supervisor.compare()
        shown = request.get("digest")
        if apply and shown not in (None, digest):
            raise ControlError(REFUSED, f"{path} was changed since it was shown; look at it again")
        if apply:
            if self.fleet.is_ending:
                raise ControlError(REFUSED, "everything is being stopped")
            self.supervisor.apply(new)
        changes = [
            {
                "program": one.program,
                "kind": one.kind,
                "keys": one.keys,
                "restarts": one.restarts,
                "lines": one.lines(),
            }
            for one in found
        ]
        return {"path": str(path), "digest": digest, "differences": changes}

    async def settle(self, processes: list[Process]) -> None:
        """Return once none of the processes is on its way to another state."""
        changed = asyncio.Event()
        self.supervisor.observers.add(changed.set)
        try:
            while any(self.fleet.is_moving(one) for one in processes):
                changed.clear()
                await changed.wait()
        finally:
            self.supervisor.observers.discard(changed.set)

    # Output.

    async def tail(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sinks = self.sinks_of(request)
        writer.write(b"{}\n")
        for sink in sinks:
            writer.write(sink.tail(min(int(request.get("bytes", 1600)), _MOST_TAIL)))
        await writer.drain()
        if not request.get("follow"):
            return

        def follow(data: bytes) -> None:
            # Who reads too slowly misses lines; nobody waits for them.
            if writer.transport.get_write_buffer_size() < _MOST_WAITING:
                writer.write(data)

        for sink in sinks:
            sink.followers.add(follow)
        try:
            # Nothing more is said by who follows, so this waits for them to leave.
            await reader.read(1)
        finally:
            for sink in sinks:
                sink.followers.discard(follow)

    def sinks_of(self, request: dict[str, Any]) -> list[Sink]:
        """Return the outputs that a request names."""
        streams = STREAMS if request.get("stream") is None else (request["stream"],)
        if not set(streams) <= set(STREAMS):
            raise ControlError(USAGE, f"an output is called {' or '.join(STREAMS)}")
        outputs = self.supervisor.outputs
        found = []
        for process in choose(self.fleet, request["names"]):
            # One that never ran has none so far.
            outputs.configure(process, self.supervisor.configuration.surroundings)
            found += [outputs.sinks[process.name, name] for name in streams]
        return found

    # What is shown.

    def rows(self, processes: Iterable[Process]) -> list[dict[str, Any]]:
        now = self.supervisor.loop.time()
        alarms = self.supervisor.alarms
        return [row_of(one, now, alarms.get(one.program.name)) for one in processes]


def choose(fleet: Fleet, patterns: list[str]) -> list[Process]:
    """
    Return the processes that names or wildcards choose, in the order in which they start.

    A program's name stands for all of its processes, as does ``NAME:*``; ``all`` for everything.

    Raises:
        ControlError: One of them chooses nothing.

    """
    chosen: set[str] = set()
    for pattern in patterns:
        wanted = "*" if pattern == "all" else str(pattern)
        found = {
            name
            for name, process in fleet.processes.items()
            if fnmatch.fnmatchcase(name, wanted)
            or fnmatch.fnmatchcase(process.program.name, wanted)
        }
        if not found and wanted not in fleet.programs and wanted != "*":
            names = [*fleet.programs, *fleet.processes]
            raise ControlError(NOT_FOUND, f"nothing is called {pattern!r}; {hint(pattern, names)}")
        chosen |= found
    return [one for one in fleet.in_order() if one.name in chosen]


def row_of(process: Process, now: float, alarm: Alarm | None) -> dict[str, Any]:
    """Return what is told of a process; docs/reference/ctl.md lists it."""
    since = datetime.fromtimestamp(datetime.now(UTC).timestamp() - (now - process.since), UTC)
    row: dict[str, Any] = {
        "name": process.name,
        "program": process.program.name,
        "number": process.number,
        "state": NAMES[process.state],
        "reason": process.reason,
        "since": since.isoformat(timespec="seconds"),
        "uptime": round(now - process.started, 1) if process.pid else None,
        "pid": process.pid or None,
        "starts": process.starts,
        "status": process.status,
        "wanted": process.wanted,
        "leaving": process.leaving,
        "memory": None,
        "next_start": None,
    }
    if alarm is not None and alarm.next is not None and not process.leaving:
        row["next_start"] = alarm.next.astimezone(ZoneInfo(alarm.cron.tz)).isoformat()
    if process.pid:
        with contextlib.suppress(psutil.Error):
            row["memory"] = psutil.Process(process.pid).memory_info().rss
    if process.wanted and process.state in DOWN and process.program.depends_on:
        row["reason"] = f"waits for {', '.join(process.program.depends_on)}"
    return row
