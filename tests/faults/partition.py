"""
Cuts a server off from the store that it shares: ``python -m tests.faults.partition``.

Redis is used by one server at a time: there another is started while the first is cut off, and
has it until it ends. In between the first is cut off for so short that it keeps its lease.

Runs itself in network namespaces of its own, so it wants root. Prints what clients, workers and
a bystander wrote down as JSON in the last line, and ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from geartrain.wire.packet import JOB_CREATED, SUBMIT_JOB_BG
from tests.faults import namespaces
from tests.faults.cluster import LEASE, Ledger, Load, Member, joins_again, load, submit_at
from tests.faults.peers import FUNCTION, HOSTS, Wire
from tests.server.bystander import UNDISTURBED, Bystander, at
from tests.services.galera import Galera
from tests.services.instance import started
from tests.services.key_value import RedisServer
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

# Seconds until an answer, a takeover, and part in the cluster again.
ANSWERED = 1.0
TAKEOVER = 5.0
HEALED = 5.0
# What several servers share; it listens at all addresses.
DATABASES: dict[str, Callable[[], Postgresql | Mariadb | Galera]] = {
    "postgresql": lambda: Postgresql(listen_addresses="*"),
    "mariadb": lambda: Mariadb(bind_address="0.0.0.0"),
    "galera": lambda: Galera(bind_address="0.0.0.0"),
}
STORES = (*DATABASES, "redis")


def main() -> int:
    """Enter the namespaces, or run in them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.partition", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often it is cut off (10)")
    parser.add_argument("--store", choices=STORES, default="postgresql")
    args = parser.parse_args()
    if (status := namespaces.entered("tests.faults.partition")) is not None:
        return status
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.store, args.rounds, Path(folder))
    rounded = {name: round(figure, 3) for name, figure in found.items()}
    print(json.dumps(rounded))  # noqa: T201
    return int(is_broken(found))


def run(kind: str, rounds: int, folder: Path) -> dict[str, float]:
    """Cut one of the servers off so often, and return what was found."""
    namespaces.lay()
    alone = kind == "redis"
    with (
        store(kind, folder) as url,
        load(folder, url, start=False, servers=2 if alone else 3) as running,
    ):
        for member in running.members:
            member.host = namespaces.CLIENTS
        off = running.members[0]
        off.host, off.before = namespaces.SERVED, namespaces.AWAY
        # The store has another address where that one is.
        off.store = url.replace("127.0.0.1", namespaces.DATABASE)
        HOSTS.update((member.port, member.host) for member in running.members)
        running.start(1 if alone else 3)
        running.ledger.reading_time = LEASE
        cuts = []
        for _ in range(rounds):
            if alone:
                cuts += [cut_off_for_a_moment(running, off), cut_off_alone(running, off)]
            else:
                cuts.append(cut_off_among_others(running, off))
        running.run_for(100)
        verdict = running.finish()
    takeovers = [cut.takeover for cut in cuts if cut.takeover]
    return {
        "cut_off": len(cuts),
        "acked": verdict.acked,
        "run": verdict.run,
        "lost": len(verdict.lost),
        "refused_but_run": len(verdict.refused_but_run),
        "twice": len(verdict.twice),
        "unexplained": len(verdict.unexplained),
        "asked": sum(cut.asked for cut in cuts),
        "answer": max(cut.answer for cut in cuts),
        "echo_p99": max(cut.echo for cut in cuts),
        "echo_p99_of_the_server": max(cut.undisturbed for cut in cuts),
        "takeover": statistics.median(takeovers),
        "slowest_takeover": max(takeovers),
        "to_heal": statistics.median(cut.healed for cut in cuts),
        "slowest_to_heal": max(cut.healed for cut in cuts),
    }


def is_broken(found: dict[str, float]) -> bool:
    """Return whether a promise is broken, with some time for a machine that is busy."""
    limits = {
        **{"lost": 0.0, "refused_but_run": 0.0, "unexplained": 0.0},
        "answer": ANSWERED + UNDISTURBED,
        "echo_p99_of_the_server": UNDISTURBED,
        "slowest_takeover": TAKEOVER,
        "slowest_to_heal": HEALED,
    }
    return any(found[name] > limit for name, limit in limits.items())


@contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """Run a store that can be reached from all namespaces; yields its URL as seen from here."""
    with ExitStack() as stack:
        if kind == "redis":
            service = RedisServer(folder, "--bind", "0.0.0.0", "--protected-mode", "no")
            stack.callback(service.kill)
            service.start()
            yield service.url()
        else:
            database = stack.enter_context(started(DATABASES[kind]()))
            yield database.url(database.new_database())


class Cut:
    """What was found while a server was cut off; times in seconds."""

    def __init__(self) -> None:
        self.asked = 0
        # The slowest answer to a submission, ERROR or the end of the connection.
        self.answer = 0.0
        # What 99 of 100 echoes took at most; and without what the machine made them wait.
        self.echo = 0.0
        self.undisturbed = 0.0
        self.takeover = 0.0
        self.healed = 0.0


class Submitter(threading.Thread):
    """Submits at one server, a connection and a job at a time, and notes how long each took."""

    def __init__(self, member: Member, ledger: Ledger, name: str) -> None:
        super().__init__(daemon=True)
        self.member = member
        self.ledger = ledger
        self.prefix = name
        self.over = threading.Event()
        self.times: list[float] = []

    def run(self) -> None:
        while not self.over.wait(0.02):
            name = f"{self.prefix}-{len(self.times)}".encode()
            began = time.monotonic()
            self.submit(name)
            self.times.append(time.monotonic() - began)

    def submit(self, name: bytes) -> None:
        """Submit a job and write down what became of it; a connection that ends tells nothing."""
        wire = Wire(self.member.port)
        try:
            wire.send((SUBMIT_JOB_BG, [FUNCTION, b"", name]))
            answer = wire.receive()
        except OSError:
            pass
        else:
            if answer.type == JOB_CREATED:
                self.ledger.note_ack(self.member.port, name)
                self.ledger.ack(name)
            else:
                self.ledger.refuse(name)
        finally:
            wire.close()


def cut_off_among_others(running: Load, member: Member) -> Cut:
    """Cut a server off until one of those that share the database has taken it over."""
    others = [other for other in running.members if other is not member]
    gone = f"server {member.name} at"
    told = sum(other.said().count(gone) for other in others)

    def taken_over() -> bool:
        return sum(other.said().count(gone) for other in others) > told

    return cut_off(running, member, taken_over, nobody, joins_again(member))


def cut_off_alone(running: Load, member: Member) -> Cut:
    """Cut off the one server of a store, until another that is started has the store."""
    other = running.members[1]

    def taken_over() -> bool:
        try:
            other.start()
        except AssertionError as error:
            if "in use by another server" not in str(error):
                raise
            return False
        return True

    return cut_off(running, member, taken_over, other.stop, joins_again(member))


def cut_off_for_a_moment(running: Load, member: Member) -> Cut:
    """Cut the one server of a store off, and mend the way before its lease ends."""
    enough = threading.Event()

    def over() -> bool:
        return not enough.wait(LEASE / 2)

    found = cut_off(running, member, over, nobody, lambda: submits(running, member), lost=False)
    found.takeover = 0.0
    return found


def nobody() -> None:
    """There is no other server that has to go."""


def submits(running: Load, member: Member) -> bool:
    """Return whether a server acknowledges a job."""
    try:
        submit_at(running, member)
    except (AssertionError, OSError):
        return False
    return True


def cut_off(
    running: Load,
    member: Member,
    taken_over: Callable[[], bool],
    leave: Callable[[], None],
    healed: Callable[[], bool],
    *,
    lost: bool = True,
) -> Cut:
    """
    Cut the way to the store, and mend it.

    Args:
        running: The servers and their clients.
        member: Who is cut off.
        taken_over: Tells whether it has been, long enough.
        leave: Sends those away who would keep it from taking part again.
        healed: Tells whether it takes part again.
        lost: What it had is another server's then.

    """
    found = Cut()
    ledger = running.ledger
    running.run_for(300)
    # Its producers went elsewhere when it was cut off the last time.
    submit_at(running, member)
    submitter = Submitter(member, ledger, f"cut-off-{time.monotonic()}")
    with Bystander((member.host, member.port)) as bystander:
        namespaces.cut()
        began = time.monotonic()
        ledger.kill()
        submitter.start()
        try:
            running.run_until(taken_over, "a takeover")
            found.takeover = time.monotonic() - began
            left = ledger.waiting_at(member.port)
            if lost:
                running.run_until(lambda: not left - ledger.runs.keys(), "its jobs run elsewhere")
        finally:
            submitter.over.set()
            submitter.join()
            namespaces.mend()
    mended = time.monotonic()
    leave()
    running.run_until(healed, "it takes part again")
    found.healed = time.monotonic() - mended
    submit_at(running, member)
    found.asked, found.answer = len(submitter.times), max(submitter.times)
    found.echo = at(bystander.times, 0.99)
    found.undisturbed = bystander.slowest()
    return found


if __name__ == "__main__":
    sys.exit(main())
