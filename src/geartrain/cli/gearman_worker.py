"""
Worker mode of ``gearman``: any command is a worker.

A command reads the workload from standard input; what it writes is the
result, and an exit status other than 0 fails the job. Without a command the
workload is printed. One job is done at a time, whatever the number of servers.

A server that goes away is tried again, less and less often, and its worker
waits for it at no cost. A worker that was told how many jobs to do (-c) is
one that a script waits for: it ends instead when no server is left.
"""

from __future__ import annotations

import os
import random
import select
import time
from typing import Final

from geartrain.cli.command import describe, run_command
from geartrain.cli.connection import Connection
from geartrain.cli.exit_code import DONE, TIMED_OUT
from geartrain.cli.gearman_client import printable
from geartrain.cli.gearman_options import Options
from geartrain.cli.gearman_process import Process
from geartrain.cli.output import say, write_out
from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.client.dialing import CONNECT_TIMEOUT, dial, explain
from geartrain.errors import ConnectionFailed, ConnectionLost, ProtocolError
from geartrain.wire.packet import (
    CAN_DO,
    ERROR,
    GRAB_JOB_ALL,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_FAIL,
    Packet,
)
from geartrain.wire.writer import pack_request

# How long a server may take to answer a grab, in seconds.
_GRAB_TIMEOUT: Final = 60.0
# While other servers are there to be served, one that doesn't answer gets less time.
_REDIAL_TIMEOUT: Final = 1.0


class AssignedJob:
    """One job, as a server assigns it: handle, function, unique key (or empty), workload."""

    def __init__(self, packet: Packet) -> None:
        self.handle, self.function = packet.args[:2]
        self.unique = b"" if packet.type == JOB_ASSIGN else packet.args[2]
        self.workload = packet.args[-1]


class Server:
    """
    One of the worker's servers.

    Attributes:
        connection: None while the server can't be reached.
        asleep: PRE_SLEEP was sent and no NOOP has come since.
        retry_at: When to try again, on the monotonic clock.
        failure: Why it can't be reached, or empty.

    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connection: Connection | None = None
        self.asleep = False
        self.retry_at = 0.0
        self.failure = ""
        self.backoff = Backoff(random.random)


class Worker:
    """
    Grabs jobs from its servers in turn and runs them.

    Args:
        options: What the command line says.
        process: Holds signals back while a command runs.

    """

    def __init__(self, options: Options, process: Process) -> None:
        self.options = options
        self.process = process
        self.servers = [Server(address) for address in options.addresses]
        # Jobs still to be done, or 0 for any number.
        self.left = options.count
        self.exit_code = DONE

    def run(self) -> int:
        """
        Work until the jobs of -c are done, or for ever; return the exit code.

        Raises:
            ConnectionFailed: With -c, no server is there.
            OSError: Workloads can't be printed, or the command can't be started.

        """
        while True:
            self.connect()
            busy = False
            for server in self.servers:
                if self.work_for(server):
                    busy = True
                    if self.is_last():
                        return self.finish()
            if not busy and not self.wait() and self.is_last():
                return self.finish()

    def is_last(self) -> bool:
        """Count one job, or one wait that brought none, and return whether that was the last."""
        self.left -= 1 if self.left else 0
        return bool(self.options.count) and not self.left

    def finish(self) -> int:
        """Leave the servers and return the exit code."""
        for server in self.servers:
            if server.connection is not None:
                server.connection.finish()
        return self.exit_code

    # Servers.

    def connect(self) -> None:
        """Connect to each server that is away and due."""
        now = time.monotonic()
        for server in self.servers:
            if server.connection is None and server.retry_at <= now:
                self.dial(server)
        if self.options.count and not any(server.connection for server in self.servers):
            raise ConnectionFailed({str(one.address): one.failure for one in self.servers})

    def dial(self, server: Server) -> None:
        """Connect to one server and tell it what we can do."""
        others = any(other.connection for other in self.servers)
        try:
            sock = dial(server.address, _REDIAL_TIMEOUT if others else CONNECT_TIMEOUT)
        except OSError as error:
            if not server.failure and not self.options.count:
                reason = f"no job server at {server.address} ({explain(error)})"
                say("gearman", f"{reason}; trying again until there is one")
            server.failure = explain(error)
            server.retry_at = time.monotonic() + server.backoff.next_delay()
            return
        if server.failure:
            say("gearman", f"connected to {server.address}")
        server.failure = ""
        server.asleep = False
        server.connection = Connection(sock, server.address, _GRAB_TIMEOUT)
        abilities = [pack_request(CAN_DO, [function]) for function in self.options.functions]
        self.send(server, b"".join(abilities))

    def send(self, server: Server, data: bytes) -> None:
        """Send to a server, or notice that it is gone."""
        if server.connection is None:
            return
        try:
            server.connection.send(data)
        except (ConnectionLost, ProtocolError, TimeoutError) as error:
            self.lose(server, error)

    def lose(self, server: Server, error: Exception) -> None:
        """Give a connection up. The server gives what we held to another worker."""
        if server.connection is not None:
            server.connection.close()
        server.connection = None
        if isinstance(error, TimeoutError):
            server.failure = f"no answer from {server.address}"
        else:
            server.failure = str(error)
        say("gearman", f"{server.failure}; trying again")
        # With -c there is one more attempt, at once, before the worker ends.
        at_once = self.options.count and not server.backoff.attempts
        delay = server.backoff.next_delay()
        server.retry_at = time.monotonic() + (0 if at_once else delay)

    # Jobs.

    def work_for(self, server: Server) -> bool:
        """Grab a job of this server, unless it is asleep, and do it; return whether it had one."""
        if server.connection is None or server.asleep:
            return False
        try:
            job = self.grab(server, server.connection)
        except (ConnectionLost, ProtocolError, TimeoutError) as error:
            self.lose(server, error)
            return False
        server.backoff.reset()
        if job is None:
            server.asleep = True
            self.send(server, pack_request(PRE_SLEEP, []))
            return False
        self.do_job(server, job)
        return True

    def grab(self, server: Server, connection: Connection) -> AssignedJob | None:
        """Ask for a job and return it, or None where there is none."""
        connection.send(pack_request(GRAB_JOB_ALL, []))
        while True:
            packet = connection.next_packet()
            if packet.type == NO_JOB:
                return None
            if packet.type in (JOB_ASSIGN, JOB_ASSIGN_UNIQ, JOB_ASSIGN_ALL):
                return AssignedJob(packet)
            if packet.type == ERROR:
                # Such as JOB_NOT_FOUND for a result that came after the job's timeout.
                reason = f"{printable(packet.args[1])} ({printable(packet.args[0])})"
                say("gearman", f"{server.address}: {reason}")

    def do_job(self, server: Server, job: AssignedJob) -> None:
        """Run the command on a job and report how it ended."""
        if not self.options.arguments:
            write_out(job.workload)
            self.send(server, pack_request(WORK_COMPLETE, [job.handle, b""]))
            return
        result = LineResult(self, server, job) if self.options.lines else WholeResult()
        self.process.start_command()
        status = run_command(self.options.arguments, job.workload, environment(job), result.receive)
        # A command that dies of the signal that ends us too has not failed: another
        # worker will do its job as soon as the connection closes.
        if status >= 0 or not self.process.received:
            self.report(server, job, status, result.finish())
        if self.process.received:
            self.finish()
        self.process.end_command()

    def report(self, server: Server, job: AssignedJob, status: int, output: bytes) -> None:
        """Send what is left of the output, and how the job ended."""
        if status == 0:
            self.send(server, pack_request(WORK_COMPLETE, [job.handle, output]))
            return
        name = f"{printable(job.function)} {printable(job.handle)}"
        say("gearman", f"{name}: {self.options.arguments[0]} {describe(status)}")
        data = pack_request(WORK_DATA, [job.handle, output]) if output else b""
        self.send(server, data + pack_request(WORK_FAIL, [job.handle]))

    # Waiting.

    def wait(self) -> bool:
        """
        Sleep until a server has a job or is due to be tried again.

        Returns False where the time of -t ran out first.
        """
        timeout = self.options.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.poll(deadline):
            if deadline is not None and time.monotonic() >= deadline:
                if self.options.count:
                    self.exit_code = TIMED_OUT
                return False
            self.connect()
            if any(server.connection and not server.asleep for server in self.servers):
                break
        return True

    def poll(self, deadline: float | None) -> bool:
        """Wait for packets until the next thing is due; return whether a server woke us."""
        poll = select.poll()
        connected = {
            server.connection.sock.fileno(): server for server in self.servers if server.connection
        }
        for descriptor in connected:
            poll.register(descriptor, select.POLLIN)
        due = [server.retry_at for server in self.servers if server.connection is None]
        if deadline is not None:
            due.append(deadline)
        pause = max(min(due) - time.monotonic(), 0) if due else None
        awake = False
        for descriptor, _ in poll.poll(None if pause is None else pause * 1000 + 1):
            awake = self.wake(connected[descriptor]) or awake
        return awake

    def wake(self, server: Server) -> bool:
        """Read what a sleeping server sends; return whether it has a job, or is gone."""
        assert server.connection is not None
        try:
            server.connection.fill()
        except (ConnectionLost, ProtocolError, TimeoutError) as error:
            self.lose(server, error)
            return True
        while server.connection.inbox:
            if server.connection.inbox.popleft().type == NOOP:
                server.asleep = False
        return not server.asleep


class WholeResult:
    """Keeps what a command writes until it ends."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def receive(self, piece: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(piece)

    def finish(self) -> bytes:
        """Return the whole."""
        return b"".join(self.pieces)


class LineResult(WholeResult):
    """Sends each line that a command writes as WORK_DATA, as soon as it is whole."""

    def __init__(self, worker: Worker, server: Server, job: AssignedJob) -> None:
        super().__init__()
        self.worker = worker
        self.server = server
        self.job = job

    def receive(self, piece: bytes) -> None:
        """Send the lines that this piece ends, and keep the rest."""
        if b"\n" not in piece:
            self.pieces.append(piece)
            return
        *lines, rest = (super().finish() + piece).split(b"\n")
        self.pieces = [rest] if rest else []
        end = b"" if self.worker.options.strip else b"\n"
        packets = [pack_request(WORK_DATA, [self.job.handle, line + end]) for line in lines]
        self.worker.send(self.server, b"".join(packets))

    def finish(self) -> bytes:
        """Send a last line that has no end; nothing is left for the result."""
        rest = super().finish()
        if rest:
            self.worker.send(self.server, pack_request(WORK_DATA, [self.job.handle, rest]))
        return b""


def environment(job: AssignedJob) -> dict[bytes, bytes]:
    """Return the environment of a job's command: ours, and the facts of the job."""
    return {
        **os.environb,
        b"GEARMAN_FUNCTION": job.function,
        b"GEARMAN_HANDLE": job.handle,
        b"GEARMAN_UNIQUE": job.unique,
    }


__all__ = ["AssignedJob", "LineResult", "Server", "WholeResult", "Worker", "environment"]
