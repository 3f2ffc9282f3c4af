"""
Client mode of ``gearman``: workloads from arguments or standard input, results to standard output.

Each workload becomes one job for every function named; the next workload is
submitted when these are done, or accepted where they run in the background.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from typing import Final

from geartrain.cli.connection import Connection, dial_first
from geartrain.cli.exit_code import DONE, FAILED, REFUSED, TIMED_OUT
from geartrain.cli.gearman_options import Options
from geartrain.cli.output import say, write_err, write_out
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.wire.packet import (
    ERROR,
    JOB_CREATED,
    OPTION_REQ,
    OPTION_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    Packet,
)
from geartrain.wire.writer import pack_request

# By priority and whether in the background.
_SUBMISSIONS: Final[dict[tuple[str, bool], int]] = {
    ("h", False): SUBMIT_JOB_HIGH,
    ("n", False): SUBMIT_JOB,
    ("l", False): SUBMIT_JOB_LOW,
    ("h", True): SUBMIT_JOB_HIGH_BG,
    ("n", True): SUBMIT_JOB_BG,
    ("l", True): SUBMIT_JOB_LOW_BG,
}

# What servers answer to an option they don't know, or to options at all.
_OPTION_ERRORS: Final = (b"UNKNOWN_OPTION", b"INVALID_COMMAND")


class Client:
    """
    Submits jobs and prints what becomes of them.

    Args:
        options: What the command line says.

    Attributes:
        exit_code: Of the first thing that went wrong, or ``DONE``.

    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.connection: Connection | None = None
        self.exit_code = DONE
        # Functions of submissions that have no handle yet; answers come in their order.
        self.submitted: deque[bytes] = deque()
        # Functions of jobs that run, by handle: submissions that coalesce share one.
        self.running: dict[bytes, list[bytes]] = {}
        self.option_asked = False

    def run(self) -> int:
        """
        Do all jobs and return the exit code.

        Raises:
            ConnectionFailed: No server can be reached.
            ConnectionLost: The server went away before it had said all.
            ProtocolError: It is no job server.
            OSError: Results can't be written to standard output.

        """
        for workload in self.workloads():
            try:
                self.do_job(workload)
            except TimeoutError:
                self.give_up()
        if self.connection is not None:
            self.connection.close()
        return self.exit_code

    def workloads(self) -> Iterator[bytes]:
        """Yield the workload of each job, reading standard input as it comes."""
        options = self.options
        if options.arguments:
            for argument in options.arguments:
                yield os.fsencode(argument)
        elif options.no_input or sys.stdin is None:
            yield b""
        elif options.lines:
            for line in sys.stdin.buffer:
                yield line.removesuffix(b"\n") if options.strip else line
        else:
            yield sys.stdin.buffer.read()

    # One workload, from its submission to its results.

    def do_job(self, workload: bytes) -> None:
        """Submit a workload for every function and wait for what is to come."""
        connection = self.connection or self.connect()
        kind = _SUBMISSIONS[self.options.priority, self.options.background]
        for function in self.options.functions:
            unique = self.options.unique or new_unique()
            self.submitted.append(function)
            connection.send(pack_request(kind, [function, unique, workload]))
        while self.submitted or self.running:
            self.receive_packet(connection.next_packet())

    def connect(self) -> Connection:
        """Connect to the first server that accepts."""
        timeout = self.options.timeout
        sock, address = dial_first(self.options.addresses, timeout or CONNECT_TIMEOUT)
        self.connection = Connection(sock, address, timeout)
        if not self.options.background:
            # Without it the server turns exceptions into failures and drops their text.
            self.option_asked = True
            self.connection.send(pack_request(OPTION_REQ, [b"exceptions"]))
        return self.connection

    def give_up(self) -> None:
        """Report a timeout and leave the jobs; answers to them would confuse the next ones."""
        functions = {*self.submitted, *(name for names in self.running.values() for name in names)}
        milliseconds = round((self.options.timeout or CONNECT_TIMEOUT) * 1000)
        say(
            "gearman",
            f"no answer for {printable(b', '.join(sorted(functions)))} "
            f"within {milliseconds} ms; gearadmin --status shows whether a worker is there",
        )
        self.fail(TIMED_OUT)
        self.submitted.clear()
        self.running.clear()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def fail(self, exit_code: int) -> None:
        """Remember the exit code, unless something went wrong before."""
        self.exit_code = self.exit_code or exit_code

    # Packets.

    def receive_packet(self, packet: Packet) -> None:
        """Do what one packet of the server asks for."""
        kind = packet.type
        if kind == JOB_CREATED:
            self.job_created(packet.args[0])
        elif kind == ERROR:
            self.error(packet.args[0], packet.args[1])
        elif kind == OPTION_RES:
            self.option_asked = False
        elif kind in (WORK_DATA, WORK_COMPLETE, WORK_WARNING, WORK_STATUS):
            self.work_packet(packet)
        elif kind in (WORK_FAIL, WORK_EXCEPTION):
            self.work_failed(packet)

    def job_created(self, handle: bytes) -> None:
        """Print the handle where it is wanted, and wait for the job."""
        function = self.submitted.popleft()
        if self.options.verbose:
            write_out(b"Task created: " + handle + b"\n")
        if not self.options.background:
            self.running.setdefault(handle, []).append(function)

    def error(self, code: bytes, text: bytes) -> None:
        """Report a job that was refused."""
        if self.option_asked and code in _OPTION_ERRORS:
            # This server doesn't know exceptions; they will come as failures.
            self.option_asked = False
        elif self.submitted:
            function = self.submitted.popleft()
            reason = printable(text if text != code else b"the server could not accept it")
            say("gearman", f"{printable(function)}: job refused: {reason} ({printable(code)})")
            self.fail(REFUSED)

    def work_packet(self, packet: Packet) -> None:
        """Print data, warnings and progress."""
        handle = packet.args[0]
        function = self.function_of(handle)
        if function is None:
            return
        prefix = function + b": " if self.options.prefix else b""
        if packet.type == WORK_WARNING:
            write_err(prefix + packet.args[1])
        elif packet.type == WORK_STATUS:
            done = percent(packet.args[1], packet.args[2])
            write_out(prefix + b"%d%% Complete\n" % done)
        else:
            write_out(prefix + packet.args[1])
        if packet.type == WORK_COMPLETE:
            self.end_job(handle)

    def work_failed(self, packet: Packet) -> None:
        """Report a job that failed, and its exception where there is one."""
        # gearmand sends a NUL after the handle where it turns an exception into a failure.
        handle = packet.args[0].rstrip(b"\0")
        function = self.function_of(handle)
        if function is None:
            return
        prefix = function + b": " if self.options.prefix else b""
        if packet.type == WORK_EXCEPTION and packet.args[1]:
            write_err(prefix + packet.args[1].removesuffix(b"\n") + b"\n")
        write_err(prefix + b"Job failed\n")
        self.fail(FAILED)
        self.end_job(handle)

    def function_of(self, handle: bytes) -> bytes | None:
        """Return the function of a job we wait for, or None."""
        functions = self.running.get(handle)
        return functions[0] if functions else None

    def end_job(self, handle: bytes) -> None:
        """Wait for this job no longer; the server says its end once for each submission."""
        functions = self.running[handle]
        functions.pop(0)
        if not functions:
            del self.running[handle]


def new_unique() -> bytes:
    """Return a key nobody else has: gearmand's queue stores need one to tell jobs apart."""
    digits = os.urandom(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()


def percent(numerator: bytes, denominator: bytes) -> int:
    """Return the progress of a job in percent; 0 where the worker's numbers give none."""
    try:
        return int(numerator) * 100 // int(denominator)
    except (ValueError, ZeroDivisionError):
        return 0


def printable(name: bytes) -> str:
    """Return bytes of a peer as they may be shown on a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


__all__ = ["Client", "new_unique", "percent", "printable"]
