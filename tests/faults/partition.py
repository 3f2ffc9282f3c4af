"""
Cuts a server off from the database that it shares: ``python -m tests.faults.partition``.

Runs itself in network namespaces of its own, so it wants root. Prints what clients, workers and
a bystander wrote down as JSON in the last line, and ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geartrain.wire.packet import JOB_CREATED, SUBMIT_JOB_BG
from tests.faults import namespaces
from tests.faults.cluster import JOINED, LEASE, Ledger, Load, Member, load, submit_at
from tests.faults.peers import FUNCTION, HOSTS, Wire
from tests.server.bystander import UNDISTURBED, Bystander, at
from tests.services.mariadb import PASSWORD as MARIADB_PASSWORD
from tests.services.mariadb import Mariadb
from tests.services.postgresql import PASSWORD as POSTGRESQL_PASSWORD
from tests.services.postgresql import Postgresql

# Seconds until an answer, a takeover, and part in the cluster again.
ANSWERED = 1.0
TAKEOVER = 5.0
HEALED = 5.0
INSIDE = "GEARTRAIN_TESTS_IN_NAMESPACES"


def main() -> int:
    """Enter the namespaces, or run in them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.partition", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often it is cut off (10)")
    parser.add_argument("--store", choices=("postgresql", "mariadb"), default="postgresql")
    args = parser.parse_args()
    if INSIDE not in os.environ:
        if not namespaces.are_available():
            print("not run: network namespaces want root and iproute2")  # noqa: T201
            return 0
        command = [*namespaces.ENTER, sys.executable, "-m", "tests.faults.partition", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.store, args.rounds, Path(folder))
    rounded = {name: round(figure, 3) for name, figure in found.items()}
    print(json.dumps(rounded))  # noqa: T201
    return int(is_broken(found))


def run(kind: str, rounds: int, folder: Path) -> dict[str, float]:
    """Cut one of three servers off so often, and return what was found."""
    namespaces.lay()
    with database(kind) as (near, far), load(folder, near, start=False) as running:
        for member in running.members:
            member.host = namespaces.CLIENTS
        off = running.members[0]
        off.host, off.store, off.before = namespaces.SERVED, far, namespaces.AWAY
        HOSTS.update((member.port, member.host) for member in running.members)
        running.start()
        running.ledger.reading_time = LEASE
        cuts = [cut_off(running, off) for _ in range(rounds)]
        running.run_for(100)
        verdict = running.finish()
    return {
        "rounds": rounds,
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
        "takeover": statistics.median(cut.takeover for cut in cuts),
        "slowest_takeover": max(cut.takeover for cut in cuts),
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
def database(kind: str) -> Iterator[tuple[str, str]]:
    """Run a database; yields its URL as seen from here, and as seen by the server."""
    password = {"postgresql": POSTGRESQL_PASSWORD, "mariadb": MARIADB_PASSWORD}[kind]
    server: Postgresql | Mariadb
    if kind == "postgresql":
        server = Postgresql(listen_addresses="*")
    else:
        server = Mariadb(bind_address="0.0.0.0")
    try:
        server.create()
        if isinstance(server, Postgresql):
            with (server.data / "pg_hba.conf").open("a") as rules:
                rules.write("host all gear 10.77.0.0/16 password\n")
        server.start()
        name = server.new_database()
        scheme = "postgresql" if kind == "postgresql" else "mysql"
        far = f"{scheme}://gear:{password}@{namespaces.DATABASE}:{server.port}/{name}"
        yield server.url(name), far
    finally:
        server.remove()


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


def cut_off(running: Load, member: Member) -> Cut:
    """Cut the way to the database until the server is taken over, then mend it."""
    found = Cut()
    ledger = running.ledger
    others = [other for other in running.members if other is not member]
    gone = f"server {member.name} at"
    running.run_for(300)
    # Its producers went elsewhere when it was cut off the last time.
    submit_at(running, member)
    told = sum(other.said().count(gone) for other in others)
    joined = member.said().count(JOINED)
    submitter = Submitter(member, ledger, f"cut-off-{time.monotonic()}")
    with Bystander((member.host, member.port)) as bystander:
        namespaces.cut()
        began = time.monotonic()
        ledger.kill()
        submitter.start()
        try:
            running.run_until(
                lambda: sum(other.said().count(gone) for other in others) > told, "a takeover"
            )
            found.takeover = time.monotonic() - began
            left = ledger.waiting_at(member.port)
            running.run_until(lambda: not left - ledger.runs.keys(), "its jobs run elsewhere")
        finally:
            submitter.over.set()
            submitter.join()
            namespaces.mend()
    mended = time.monotonic()
    running.run_until(lambda: member.said().count(JOINED) > joined, "it takes part again")
    found.healed = time.monotonic() - mended
    submit_at(running, member)
    found.asked, found.answer = len(submitter.times), max(submitter.times)
    found.echo = at(bystander.times, 0.99)
    found.undisturbed = bystander.slowest()
    return found


if __name__ == "__main__":
    sys.exit(main())
