"""
A server that sleeps past its lease and wakes: ``python -m tests.faults.asleep --seconds 30``.

Three servers share a database. The one that is stopped holds jobs, some of which a worker of its
own is at, with clients that listen. Another server takes them all over while it sleeps. What it
does with them when it wakes, that worker, those clients and a worker of the other server tell.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from geartrain.wire.packet import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_FAIL,
    Packet,
)
from tests.faults.cluster import Load, Member, joins_again, load, submit_at
from tests.faults.peers import Peer, Wire
from tests.faults.takeover import say
from tests.faults.torment import DATABASES

FUNCTION = b"held"
# Jobs of the server that falls asleep, and how many of them a worker is at then.
JOBS, AT_WORK = 20, 5
# Seconds after which nothing more is heard.
QUIET = 1.0


@dataclass
class Woken:
    """
    What a server did, awake again, with what it had held.

    Attributes:
        assigned: Names of the jobs it gave to a worker.
        completed: Names of those whose end it told a client, took from the worker that was at
            them before, or did not leave to the worker they had gone to meanwhile.
        again: Names of those that ran again when all was restarted.

    """

    assigned: list[bytes] = field(default_factory=list)
    completed: list[bytes] = field(default_factory=list)
    again: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.assigned or self.completed or self.again)


class Heir(Peer):
    """
    A worker of a server that is awake; completes what it gets, but for names it is to keep.

    Attributes:
        kept: Handles of the jobs that it is at, by name.
        done: Names of the jobs that it has ended.
        refused: Names of those whose end was not taken.

    """

    def __init__(self, member: Member, keep: set[bytes]) -> None:
        super().__init__(lambda: member.port, None, f"heir-{member.name}")  # type: ignore[arg-type]
        self.keep = keep
        self.kept: dict[bytes, bytes] = {}
        self.done: list[bytes] = []
        self.refused: list[bytes] = []
        self.awake = threading.Event()

    def talk(self, wire: Wire) -> None:
        wire.send((CAN_DO, [FUNCTION]), (GRAB_JOB, []))
        wire.socket.settimeout(0.2)
        while not self.stopped.is_set():
            if self.awake.is_set() and self.kept:
                self.end_kept(wire)
            try:
                packet = wire.receive()
            except TimeoutError:
                continue
            if packet.type == NO_JOB:
                wire.send((PRE_SLEEP, []))
            elif packet.type == NOOP:
                wire.send((GRAB_JOB, []))
            elif packet.type == JOB_ASSIGN:
                handle, _, name = packet.args
                if name in self.keep:
                    self.kept[name] = handle
                else:
                    self.done.append(name)
                    wire.send((WORK_COMPLETE, [handle, b""]))
                wire.send((GRAB_JOB, []))

    def end_kept(self, wire: Wire) -> None:
        """End what was kept; each end has to be taken."""
        for name, handle in self.kept.items():
            wire.send((WORK_COMPLETE, [handle, b""]), (ECHO_REQ, [name]))
            while (packet := wire.receive()).type != ECHO_RES:
                if packet.type == ERROR:
                    self.refused.append(name)
            self.done.append(name)
        self.kept = {}


class Holdings:
    """
    Jobs of one server, in its store, with clients that listen and a worker at some of them.

    Args:
        member: The server.
        stack: Closes the connections.

    Attributes:
        names: Of all the jobs.
        at_work: Handles of those that the worker is at, by name.

    """

    def __init__(self, member: Member, stack: ExitStack, prefix: str) -> None:
        self.names = [f"{prefix}-{number}".encode() for number in range(JOBS)]
        self.client = stack.enter_context(closing(Wire(member.port)))
        self.worker = stack.enter_context(closing(Wire(member.port)))
        self.handles: dict[bytes, bytes] = {}
        for name in self.names:
            # A background submission joins the foreground job, so that it is stored.
            for kind in (SUBMIT_JOB, SUBMIT_JOB_BG):
                self.client.send((kind, [FUNCTION, name, name]))
                answer = self.client.receive()
                assert answer.type == JOB_CREATED, answer
                self.handles[answer.args[0]] = name
        self.worker.send((CAN_DO, [FUNCTION]), *[(GRAB_JOB, [])] * AT_WORK)
        self.at_work: dict[bytes, bytes] = {}
        for _ in range(AT_WORK):
            packet = self.worker.receive()
            assert packet.type == JOB_ASSIGN, packet
            handle, _, name = packet.args
            self.at_work[name] = handle

    def end_all(self) -> None:
        """Have the worker end what it is at; an echo asked for shows what came of it."""
        for handle in self.at_work.values():
            self.worker.send((WORK_COMPLETE, [handle, b"late"]))
        self.worker.send((ECHO_REQ, [b""]), (GRAB_JOB, []))

    def heard(self) -> Woken:
        """Return what client and worker have heard, once nothing more comes."""
        told = [packet for packet in rest(self.client) if packet.type in (WORK_COMPLETE, WORK_FAIL)]
        worked = rest(self.worker)
        kinds = [packet.type for packet in worked]
        # Where the connection was cut instead, the other server's worker tells.
        taken = ECHO_RES in kinds and kinds[: kinds.index(ECHO_RES)].count(ERROR) < AT_WORK
        return Woken(
            assigned=[packet.args[2] for packet in worked if packet.type == JOB_ASSIGN],
            completed=[self.handles[packet.args[0]] for packet in told]
            + (sorted(self.at_work) if taken else []),
        )


def rest(wire: Wire) -> list[Packet]:
    """Return all packets until nothing more comes, or the connection ends."""
    wire.socket.settimeout(QUIET)
    packets = []
    try:
        while True:
            packets.append(wire.receive())
    except OSError:
        return packets


@contextmanager
def heirs(members: list[Member], keep: set[bytes]) -> Iterator[list[Heir]]:
    """Run a worker at each of the servers."""
    found = [Heir(member, keep) for member in members]
    for heir in found:
        heir.start()
    try:
        yield found
    finally:
        for heir in found:
            heir.stopped.set()
        for heir in found:
            heir.join(10.0)


def sleep_through(running: Load, number: int, seconds: float) -> Woken:
    """
    Stop a server for so long, at least until another has taken it over, and let it go on.

    Fails where its jobs are not taken over; returns what it did with them, awake again.
    """
    member = running.members[number]
    others = [other for other in running.members if other is not member]
    with ExitStack() as stack:
        holdings = Holdings(member, stack, f"{member.name}-{time.monotonic()}")
        keep = set(holdings.at_work)
        joined = joins_again(member)
        member.signal(signal.SIGSTOP)
        running.ledger.kill()
        stopped = time.monotonic()
        holdings.end_all()
        with heirs(others, keep) as found:
            running.run_until(
                lambda: sorted(got(found)) == sorted(holdings.names), "all its jobs are elsewhere"
            )
            threading.Event().wait(max(0.0, stopped + seconds - time.monotonic()))
            member.signal(signal.SIGCONT)
            running.run_until(joined, "it joins again")
            woken = holdings.heard()
            woken.assigned += offered(member)
            for heir in found:
                heir.awake.set()
            running.run_until(lambda: not any(heir.kept for heir in found), "they end")
            woken.completed += [name for heir in found for name in heir.refused]
            woken.again += [name for name in set(got(found)) if got(found).count(name) > 1]
    submit_at(running, member)
    return woken


def got(heirs: list[Heir]) -> list[bytes]:
    """Return the names of all jobs that workers got."""
    return [name for heir in heirs for name in [*heir.kept, *heir.done]]


def offered(member: Member) -> list[bytes]:
    """Return what a new worker of a server is given."""
    with closing(Wire(member.port)) as wire:
        wire.send((CAN_DO, [FUNCTION]), (GRAB_JOB, []))
        packet = wire.receive()
    return [packet.args[2]] if packet.type == JOB_ASSIGN else []


def restarted(running: Load) -> list[bytes]:
    """End all servers and start one; return what it has left of these jobs, which is wrong."""
    for member in running.members:
        member.stop()
    first = running.members[0]
    first.start()
    return offered(first)


def main() -> int:
    """Let servers sleep, print what they did, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.asleep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="servers to stop (3)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each sleeps (30)")
    parser.add_argument("--store", choices=sorted(DATABASES), default="postgresql")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        DATABASES[args.store]() as (store, _),
        load(Path(folder), store) as running,
    ):
        running.run_for(300)
        found = [
            sleep_through(running, number % len(running.members), args.seconds)
            for number in range(args.rounds)
        ]
        verdict = running.finish()
        left = restarted(running)
    say(f"{args.store}: {verdict}")
    for title, names in (
        ("assigned by a server that woke", [name for each in found for name in each.assigned]),
        ("ended by a server that woke", [name for each in found for name in each.completed]),
        ("run twice elsewhere, or again", [name for each in found for name in each.again] + left),
    ):
        say(f"of {args.rounds * JOBS} jobs it held, {title}: {len(names)} {names or ''}")
    return int(verdict.is_broken() or bool(left) or any(found))


if __name__ == "__main__":
    sys.exit(main())
