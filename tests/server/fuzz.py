"""
Sends broken packets and lines to a job server, and looks whether anybody notices.

::

    python -m tests.server.fuzz --seconds 600 --seed 7

starts a server of its own, or takes the one at ``--address``. It fails when the
server ends, forgets to answer a bystander, writes a traceback or grows. The
same seed sends the same inputs.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.server.bystander import Bystander
from tests.server.mutation import Mutator
from tests.server.peer import Address, Peer, dial
from tests.server.servers import ProcessServer, memory_of

# Connections at a time, and inputs on one of them until it is closed.
CONNECTIONS = 16
INPUTS = 6
# After so many inputs the jobs that happened to be submitted are taken out again: they are no leak.
ROUND = 2000

MIB = 1 << 20


class Victim:
    """One connection that sends inputs, reads what comes and starts over when it is closed."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket: socket.socket | None = None
        self.sent = 0

    def send(self, data: bytes) -> None:
        """Send one input, on a new connection if need be."""
        if self.socket is None or self.sent >= INPUTS:
            self.close()
            self.socket = dial(self.address, 20.0)
            # Whoever waits for an answer to nonsense may wait for ever.
            self.socket.setblocking(False)
            self.sent = 0
        self.sent += 1
        try:
            self.socket.send(data)
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def read(self) -> None:
        """Take what has come; what comes after the end of a connection would reach nobody."""
        if self.socket is None:
            return
        try:
            while self.socket.recv(1 << 18):
                pass
            self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Fuzz:
    """
    One run of broken inputs.

    Attributes:
        count: Inputs so far.

    """

    def __init__(self, address: Address, seed: int) -> None:
        self.address = address
        self.mutator = Mutator(seed)
        self.victims = [Victim(address) for _ in range(CONNECTIONS)]
        self.admin = Peer(address, deadline=20.0)
        self.count = 0

    def round(self, spare: bytes = b"") -> None:
        """
        Send a number of inputs, then leave the server as empty as it was.

        Args:
            spare: Handle of a job that is somebody else's.

        """
        for _ in range(ROUND // CONNECTIONS):
            for victim in self.victims:
                victim.send(self.mutator.input())
            # Once this is answered, the server has read all that was sent before.
            self.admin.echo()
            for victim in self.victims:
                victim.read()
        self.count += ROUND
        for victim in self.victims:
            victim.close()
        self.take_jobs_out(spare)

    def take_jobs_out(self, spare: bytes) -> None:
        """Cancel all jobs but one."""
        lines = self.admin.ask(b"show jobs").splitlines()
        handles = [line.split(b"\t")[0] for line in lines if not line.startswith(spare + b"\t")]
        self.admin.send_bytes(b"".join(b"cancel job %b\n" % handle for handle in handles))
        for _ in handles:
            self.admin.line()


class Finding(Exception):
    """What went wrong; the message says how to see it again."""


def check(server: ProcessServer, before: int, bystander: Bystander) -> None:
    """Raise Finding where the server did not take it as it should."""
    if server.process.poll() is not None:
        raise Finding(f"the server ended with {server.process.returncode}")
    if "Traceback" in server.error_text() or "ERROR" in server.error_text():
        raise Finding("the server complains")
    grown = server.resident() - before
    if grown > 32 * MIB:
        raise Finding(f"the server has grown by {grown / MIB:.1f} MiB")


def main(argv: Sequence[str]) -> int:
    """Run until the time is up, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.server.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=0, help="inputs, instead of seconds")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(argv)
    say(f"seed {options.seed}")
    # A line may well become the one that asks the server to end.
    server = ProcessServer(Path(tempfile.mkdtemp()), allow_shutdown=False)
    try:
        fuzz = Fuzz(server.address, options.seed)
        server.peers.append(fuzz.admin)
        # What any server needs once is no growth.
        fuzz.round()
        before = memory_of(server.pid, "VmRSS")
        started = time.monotonic()
        with Bystander(server.address) as bystander:
            while not is_over(options, fuzz, started):
                fuzz.round()
                check(server, before, bystander)
        took = time.monotonic() - started
        say(
            f"{fuzz.count} inputs in {took:.0f} s, the server has grown by"
            f" {(server.resident() - before) / MIB:.1f} MiB;"
            f" bystander p99 {bystander.slowest() * 1000:.0f} ms,"
            f" slowest {max(bystander.times) * 1000:.0f} ms;"
            f" {server.error_text().count(chr(10))} lines in the log"
        )
    except (Finding, OSError, EOFError) as finding:
        say(f"after {fuzz.count} inputs of seed {options.seed}: {finding!r}")
        say(server.error_text()[-5000:])
        return 1
    finally:
        server.stop()
    return 0


def is_over(options: argparse.Namespace, fuzz: Fuzz, started: float) -> bool:
    if options.count:
        return fuzz.count >= options.count
    return time.monotonic() - started >= options.seconds


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
