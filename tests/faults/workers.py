"""
Workers that are killed at a job: ``python -m tests.faults.workers --rounds 50 --server gearmand``.

Each round a worker's process is killed with SIGKILL while it is at a job. In one half of the rounds
another worker sleeps, and the time counts until it has the job; in the other half more jobs wait
behind that one, and it has to be given first. A client that listens has to hear of one end.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from geartrain.wire.packet import (
    CAN_DO,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Packet,
)
from tests.faults.peers import Wire, wait_for
from tests.faults.server import Server
from tests.faults.takeover import say
from tests.server.bystander import at
from tests.services.availability import ROOT

FUNCTION = b"held"
# Jobs that wait behind the one whose worker is killed.
BEHIND = 5
# Seconds until another worker has the job.
GIVEN = 1.0
# Seconds after which nothing more is heard, and that anything may take.
QUIET = 0.1
PATIENCE = 10.0


@dataclass
class Found:
    """
    What came of the rounds.

    Attributes:
        seconds: From each kill until another worker had the job.
        overtaken: How often another job was given before it, which had come later.
        lost: How many jobs nobody was given, and how many ends no client heard of.
        twice: How often a client heard of an end that it had heard of before, or not asked for.

    """

    seconds: list[float] = field(default_factory=list)
    overtaken: int = 0
    lost: int = 0
    twice: int = 0

    def is_broken(self) -> bool:
        """Return whether a promise is broken."""
        return bool(self.overtaken or self.lost or self.twice) or at(self.seconds, 0.99) >= GIVEN


def main() -> int:
    """Kill workers, print what came of it, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="workers to kill (50)")
    parser.add_argument("--server", default="geartrain", help="geartrain or gearmand (geartrain)")
    parser.add_argument("--hold", type=int, metavar="PORT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.hold:
        return hold(args.hold)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args.server, Path(folder))
        server.start()
        try:
            found = kill_workers(server.port, args.rounds)
        finally:
            server.stop()
    median, late = statistics.median(found.seconds), at(found.seconds, 0.99)
    say(
        f"{args.server}: {args.rounds} workers killed at a job; given to another after "
        f"{median:.3f} s (median), {late:.3f} s (p99); overtaken {found.overtaken}, "
        f"lost {found.lost}, ended twice {found.twice}"
    )
    return int(found.is_broken())


def hold(port: int) -> int:
    """Be the worker: grab a job, say which, and never end it."""
    with closing(Wire(port)) as wire:
        wire.send((CAN_DO, [FUNCTION]), (GRAB_JOB, []))
        packet = wire.receive()
        assert packet.type == JOB_ASSIGN, packet
        say(packet.args[2].decode())
        wire.socket.settimeout(None)
        wire.receive()
    return 0


@contextmanager
def holder(port: int, name: bytes) -> Iterator[subprocess.Popen[str]]:
    """Run a worker's process that is at this job."""
    words = [sys.executable, "-m", "tests.faults.workers", "--hold", str(port)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == name.decode()
            yield process
        finally:
            process.kill()


def kill_workers(port: int, rounds: int) -> Found:
    """Kill so many workers, one after the other, each at a job of its own."""
    found = Found()
    with closing(Wire(port)) as client, closing(Wire(port)) as heir:
        heir.send((CAN_DO, [FUNCTION]))
        for number in range(rounds):
            # A client that listens, and one whose job is kept, by turns.
            listens = number % 2 == 0
            name = f"job-{number}".encode()
            submit(client, name, listens)
            if number % 4 < 2:
                wake_another(found, port, name, heir)
            else:
                pass_nobody_by(found, port, name, client, heir)
            ends = sum(packet.type == WORK_COMPLETE for packet in rest(client))
            found.lost += max(0, listens - ends)
            found.twice += max(0, ends - listens)
    return found


def submit(client: Wire, name: bytes, listens: bool) -> None:
    client.send((SUBMIT_JOB if listens else SUBMIT_JOB_BG, [FUNCTION, name, name]))
    answer = client.receive()
    assert answer.type == JOB_CREATED, answer


def wake_another(found: Found, port: int, name: bytes, heir: Wire) -> None:
    """Kill the worker at a job while another sleeps, and note how long that takes to have it."""
    with holder(port, name) as process:
        heir.send((GRAB_JOB, []))
        assert heir.receive().type == NO_JOB
        heir.send((PRE_SLEEP, []))
        process.kill()
        killed = time.monotonic()
        heir.socket.settimeout(PATIENCE)
        try:
            assert heir.receive().type == NOOP
            given = grab(heir)
        except TimeoutError:
            given = b""
        found.seconds.append(time.monotonic() - killed)
        found.lost += given != name


def pass_nobody_by(found: Found, port: int, name: bytes, client: Wire, heir: Wire) -> None:
    """Kill the worker at a job while others wait behind it, and note which is given first."""
    with holder(port, name) as process:
        behind = [b"%b-behind-%d" % (name, place) for place in range(BEHIND)]
        for other in behind:
            submit(client, other, False)
        process.kill()
    assert wait_for(lambda: running(port) == 0, PATIENCE), "the server has not noticed"
    given = [grab(heir) for _ in [name, *behind]]
    found.lost += name not in given
    found.overtaken += given[0] != name


def grab(heir: Wire) -> bytes:
    """Grab a job, end it, and return its name; nothing where there is none."""
    heir.send((GRAB_JOB, []))
    packet = heir.receive()
    if packet.type != JOB_ASSIGN:
        return b""
    heir.send((WORK_COMPLETE, [packet.args[0], b""]))
    return packet.args[2]


def running(port: int) -> int:
    """Return how many jobs the server says are being run."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        peer.sendall(b"status\n")
        lines = peer.makefile()
        for line in iter(lines.readline, ".\n"):
            if line.startswith(FUNCTION.decode()):
                return int(line.split("\t")[2])
    return 0


def rest(wire: Wire) -> list[Packet]:
    """Return what comes until nothing more does."""
    wire.socket.settimeout(QUIET)
    packets = []
    try:
        while True:
            packets.append(wire.receive())
    except TimeoutError:
        wire.socket.settimeout(PATIENCE)
        return packets


if __name__ == "__main__":
    sys.exit(main())
