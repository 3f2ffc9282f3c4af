"""
Several servers on one store, with producers and workers of their own, and trouble of all kinds.

Judged from the logs of clients and workers, as every fault here: what was acknowledged, by which
server, what ran, who assigned it.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geartrain.wire.packet import (
    CAN_DO,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Packet,
)
from tests.faults.account import Account, Verdict
from tests.faults.peers import FUNCTION, Peer, Producer, Wire, wait_for
from tests.faults.server import Server

# Jobs that a producer submits at a time, and how many may wait before it submits more.
BURST = 10
BACKLOG = 300
# The default of a server's lease, in seconds.
LEASE = 3.0
# What a server logs that has joined the others again.
JOINED = "takes part again"
# Seconds for the last jobs to run.
LAST_JOBS = 30.0


class Member(Server):
    """One server of a cluster, on a port and under a name of its own."""

    def __init__(self, folder: Path, store: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__("geartrain", folder, store)
        self.name = name
        self.config = folder / "geartrain.toml"
        self.config.write_text(f'[server]\nname = "{name}"\n')

    def command(self) -> list[str]:
        return [*super().command(), "--config", str(self.config)]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def said(self) -> str:
        """Return what it has logged."""
        return (self.folder / "output").read_text(errors="replace")


class Ledger(Account):
    """
    An account that knows of servers.

    Attributes:
        acked_by: Names of jobs and when each was acknowledged, by the port of the server.
        assigned: When a worker read which name from which server.

    """

    def __init__(self) -> None:
        super().__init__()
        self.acked_by: dict[int, dict[bytes, float]] = defaultdict(dict)
        self.assigned: list[tuple[float, int, bytes]] = []

    def note_ack(self, port: int, name: bytes) -> None:
        with self.lock:
            self.acked_by[port][name] = time.monotonic()

    def note_assignment(self, port: int, name: bytes) -> None:
        with self.lock:
            self.assigned.append((time.monotonic(), port, name))

    def waiting_at(self, port: int) -> set[bytes]:
        """Return what a server has acknowledged and nobody has run yet."""
        with self.lock:
            return self.acked_by[port].keys() - self.runs.keys()

    def last_run(self, names: set[bytes]) -> float:
        """Return when the last of these jobs ran for the first time."""
        with self.lock:
            return max(self.runs[name][0] for name in names)

    def first_elsewhere(self, names: set[bytes], port: int, since: float) -> float:
        """Return when another server than this one assigned one of these jobs first."""
        with self.lock:
            return min(
                at for at, by, name in self.assigned if at >= since and by != port and name in names
            )

    def longest_silence(self, since: float) -> float:
        """Return for how long nothing was acknowledged, at most, after a moment."""
        with self.lock:
            acks = sorted(
                [at for names in self.acked_by.values() for at in names.values() if at >= since]
            )
        return max([second - first for first, second in itertools.pairwise([since, *acks])])


class ClusterProducer(Producer):
    """Submits at the first server that answers, and goes to the next when one is gone."""

    def __init__(
        self, ports: list[int], ledger: Ledger, name: str, unique: Callable[[bytes], bytes]
    ) -> None:
        self.ports = itertools.cycle(ports)
        super().__init__(lambda: next(self.ports), ledger, name, unique)
        self.ledger = ledger
        self.at = 0

    def talk(self, wire: Wire) -> None:
        self.at = wire.socket.getpeername()[1]
        under_way: list[bytes] = []
        while not self.stopped.is_set() or under_way:
            if not self.stopped.is_set() and not under_way and self.may_submit():
                under_way = [next(self.names) for _ in range(BURST)]
                submissions = [[FUNCTION, self.unique(name), name] for name in under_way]
                wire.send(*((SUBMIT_JOB_BG, args) for args in submissions))
            if under_way:
                self.note(wire.receive(), under_way)

    def may_submit(self) -> bool:
        """Return whether enough has run, waiting a moment for it."""
        if len(self.ledger.acked) - len(self.ledger.runs) < BACKLOG:
            return True
        self.stopped.wait(0.01)
        return False

    def note(self, answer: Packet, under_way: list[bytes]) -> None:
        if answer.type == JOB_CREATED:
            self.ledger.note_ack(self.at, under_way[0])
        super().note(answer, under_way)


class ClusterWorker(Peer):
    """One connection of a worker, which has one to each server; it takes its time for each job."""

    def __init__(self, port: int, ledger: Ledger, name: str, seconds: float) -> None:
        super().__init__(lambda: port, ledger, name)
        self.at = port
        self.ledger = ledger
        self.seconds = seconds

    def talk(self, wire: Wire) -> None:
        wire.send((CAN_DO, [FUNCTION]), (GRAB_JOB_UNIQ, []))
        wire.socket.settimeout(0.5)
        while not self.stopped.is_set():
            try:
                packet = wire.receive()
            except TimeoutError:
                continue
            if packet.type == JOB_ASSIGN_UNIQ:
                handle, _, _, name = packet.args
                self.ledger.note_assignment(self.at, name)
                self.account.run(name)
                self.stopped.wait(self.seconds)
                wire.send((WORK_COMPLETE, [handle, b""]), (GRAB_JOB_UNIQ, []))
            elif packet.type == NO_JOB:
                wire.send((PRE_SLEEP, []))
            elif packet.type == NOOP:
                wire.send((GRAB_JOB_UNIQ, []))


class Load:
    """
    Servers, producers and workers, all running.

    Args:
        folder: For the servers' files.
        store: The URL that all share.
        servers: How many.
        workers: How many, each with a connection to every server.
        seconds: What a worker takes for a job.

    """

    def __init__(
        self, folder: Path, store: str, servers: int = 3, workers: int = 2, seconds: float = 0.005
    ) -> None:
        self.members = [Member(folder / f"s{n}", store, f"s{n}") for n in range(1, servers + 1)]
        self.ledger = Ledger()
        ports = [member.port for member in self.members]
        # Each producer has a server that it goes to first.
        self.producers = [
            ClusterProducer(ports[n:] + ports[:n], self.ledger, f"{kind}{n}", unique)
            for n in range(servers)
            for kind, unique in (("keys", unique_key), ("none", no_key))
        ]
        self.workers = [
            ClusterWorker(port, self.ledger, f"worker{n}", seconds)
            for n in range(workers)
            for port in ports
        ]

    def start(self, servers: int = 99) -> None:
        starts = [threading.Thread(target=member.start) for member in self.members[:servers]]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        for peer in [*self.producers, *self.workers]:
            peer.start()

    def run_until(self, condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        assert wait_for(condition, seconds), f"{what}: not within {seconds} s"

    def busiest(self) -> int:
        """Return the place of the server that has the most to lose, once one has anything."""
        self.run_until(
            lambda: any(self.ledger.waiting_at(member.port) for member in self.members),
            "a server has acknowledged what has not run",
        )
        waiting = [len(self.ledger.waiting_at(member.port)) for member in self.members]
        return waiting.index(max(waiting))

    def run_until_laden(self, number: int) -> None:
        """Go on until a server has something to lose; on a busy machine workers may be faster."""
        port = self.members[number].port
        self.run_until(
            lambda: len(self.ledger.waiting_at(port)) >= BURST // 2, "it has something to lose"
        )

    def run_for(self, acks: int) -> None:
        """Go on until so many more submissions are acknowledged."""
        enough = len(self.ledger.acked) + acks
        self.run_until(lambda: len(self.ledger.acked) >= enough, f"{acks} acknowledgements")

    def finish(self) -> Verdict:
        """Submit nothing more, and let what was acknowledged run."""
        for producer in self.producers:
            producer.stopped.set()
        for producer in self.producers:
            producer.join(20.0)
        wait_for(lambda: not self.ledger.missing(), LAST_JOBS)
        return self.ledger.verdict()

    def stop(self) -> None:
        """End all of it."""
        peers = [*self.producers, *self.workers]
        for peer in peers:
            peer.stopped.set()
        for member in self.members:
            if member.process is not None:
                member.signal(signal.SIGCONT)
            member.stop()
        for peer in peers:
            if peer.ident is not None:
                peer.join(20.0)


def unique_key(_: bytes) -> bytes:
    """Return a key that nobody else has."""
    return uuid.uuid4().hex.encode()


def no_key(_: bytes) -> bytes:
    """Return no key."""
    return b""


@contextmanager
def load(folder: Path, store: str, *, start: bool = True, **words: int | float) -> Iterator[Load]:
    """Run servers, producers and workers; without ``start`` the caller starts them."""
    running = Load(folder, store, **words)  # type: ignore[arg-type]
    try:
        if start:
            running.start()
        yield running
    finally:
        running.stop()


@dataclass
class Takeover:
    """
    How long the death of a server was felt, in seconds.

    Attributes:
        jobs: How many it had acknowledged that nobody had run.
        first: Until another server assigned a job that it had acknowledged.
        whole: Until all that it had acknowledged had run.

    """

    jobs: int
    first: float
    whole: float


def stop_laden(running: Load, number: int) -> set[bytes]:
    """
    Stop a server when it has something to lose, and return what nobody has run of it.

    That is more than its workers may have in their hands: what was sent to them and is not read
    yet they run whatever becomes of the server, before anybody can take it over.
    """
    member = running.members[number]
    in_hand = sum(worker.at == member.port for worker in running.workers)
    end = time.monotonic() + LAST_JOBS
    while time.monotonic() < end:
        running.run_until_laden(number)
        member.signal(signal.SIGSTOP)
        left = running.ledger.waiting_at(member.port)
        if len(left) > in_hand:
            return left
        # Workers were faster than this thread.
        member.signal(signal.SIGCONT)
    raise AssertionError("the server never had anything to lose")


def kill_one(running: Load, number: int = 0) -> Takeover:
    """Kill a server, and wait until all that it had acknowledged has run."""
    member = running.members[number]
    ledger = running.ledger
    left = stop_laden(running, number)
    killed = time.monotonic()
    member.kill()
    ledger.kill()
    running.run_until(lambda: not left - ledger.runs.keys(), "its jobs run elsewhere")
    first = ledger.first_elsewhere(left, member.port, killed)
    return Takeover(len(left), first - killed, ledger.last_run(left) - killed)


def pause_one(running: Load, number: int, seconds: float) -> list[bytes]:
    """
    Stop a server for longer than its lease, let it go on, and return what it assigned wrongly.

    That is what it had acknowledged before it was stopped and assigned after it went on.
    """
    member = running.members[number]
    ledger = running.ledger
    left = stop_laden(running, number)
    ledger.kill()
    held = set(ledger.acked_by[member.port])
    running.run_until(lambda: not left - ledger.runs.keys(), "its jobs run elsewhere")
    threading.Event().wait(seconds)
    joined = joins_again(member)
    resumed = time.monotonic()
    member.signal(signal.SIGCONT)
    running.run_until(joined, "it joins again")
    submit_at(running, member)
    with ledger.lock:
        return [
            name
            for at, port, name in ledger.assigned
            if port == member.port and at > resumed and name in held
        ]


def cut_off_one(
    running: Load, number: int, cut: Callable[[], None], mend: Callable[[], None]
) -> float:
    """
    Cut the way from a server to the database until it is taken over, then mend it.

    Until its lease is in doubt the server goes on, and can't write down what has ended: all that
    is in flight, and runs again. Returns the seconds until it was taken over.
    """
    member, *others = running.members[number:] + running.members[:number]
    ledger = running.ledger
    ledger.reading_time = LEASE
    began = time.monotonic()
    cut()
    ledger.kill()
    gone = f"server {member.name} at"
    running.run_until(lambda: any(gone in one.said() for one in others), "it is taken over")
    seconds = time.monotonic() - began
    joined = joins_again(member)
    mend()
    running.run_until(joined, "it joins again")
    submit_at(running, member)
    return seconds


def joins_again(member: Member) -> Callable[[], bool]:
    """Return what tells whether a server has joined the others once more than by now."""
    before = member.said().count(JOINED)
    return lambda: member.said().count(JOINED) > before


def submit_at(running: Load, member: Member) -> None:
    """Have one server acknowledge a job; it has to run as all others."""
    name = f"after-{member.name}-{time.monotonic()}".encode()
    wire = Wire(member.port)
    wire.send((SUBMIT_JOB_BG, [FUNCTION, b"", name]))
    answer = wire.receive()
    assert answer.type == JOB_CREATED, answer
    wire.close()
    running.ledger.note_ack(member.port, name)
    running.ledger.ack(name)


def restart_all(running: Load) -> None:
    """Restart one server after the other in good order, each while the others serve."""
    for member in running.members:
        running.run_for(200)
        member.stop()
        member.start()
    running.run_for(200)


def lose_database(running: Load, lose: Callable[[], None], back: Callable[[], None]) -> float:
    """
    Lose a machine of the database under load, and later get it back.

    Args:
        lose: Ends it, and does what an administrator or a watcher would do then.
        back: Brings it back, if it comes back.

    Returns for how many seconds nothing was acknowledged, at most, after it was lost.
    """
    ledger = running.ledger
    lost = time.monotonic()
    # What runs when the database is lost may end there or not.
    ledger.kill()
    lose()
    ledger.kill()
    running.run_for(300)
    back()
    running.run_for(300)
    return ledger.longest_silence(lost)
