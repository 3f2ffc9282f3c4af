"""
The long form: ``python -m tests.faults --rounds 1000 --server gearmand``.

Prints what clients and workers wrote down, and ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import disk
from tests.faults.account import Verdict
from tests.faults.killing import kill_again_and_again, trouble_again_and_again
from tests.faults.server import Server
from tests.faults.stores import KINDS, Rig, rig
from tests.faults.torment import DATABASES, torment
from tests.server.bystander import UNDISTURBED, at
from tests.services.availability import SERVICES

FAULTS = {
    "kill": "the server is killed",
    "kill-both": "the server is killed, and each third time the store with it",
    "down": "the store is killed, and started again two seconds later",
    "hang": "the store hangs for two seconds; SQLite's file is locked by another program",
    "slow": "each of its answers takes 0.3 seconds, and each sync with SQLite",
    "full": "its disk has no room left, until something was refused; wants root",
}
# Bytes of a workload that soon finds no room on a full disk.
LARGE = 16_000
INSIDE = "GEARTRAIN_TESTS_WITH_DISK"
# Seconds until a submission is refused, and until a store that works again is used; a busy machine
# gets some more, and 99 of 100 echoes as much as everywhere in these tests.
REFUSED = 1.0
HEALED = 5.0


def main() -> int:
    """Run, print the account, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="servers to kill (100)")
    parser.add_argument("--server", default="geartrain", help="geartrain or gearmand (geartrain)")
    parser.add_argument(
        "--store",
        default="sqlite",
        help=f"one of {', '.join(KINDS)}, started for this run, or a URL (sqlite)",
    )
    parser.add_argument(
        "--fault",
        choices=FAULTS,
        default="kill",
        help="; ".join(f"{name}: {meaning}" for name, meaning in FAULTS.items()),
    )
    parser.add_argument(
        "--cluster",
        choices=sorted(DATABASES),
        help="give trouble to three servers that share such a database",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    args = parser.parse_args()
    if args.fault == "full" and INSIDE not in os.environ:
        if not disk.can_be_made():
            print("not run: a disk of its own wants root")  # noqa: T201
            return 0
        command = [*disk.ENTER, sys.executable, "-m", "tests.faults", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode
    print(f"seed {args.seed}", flush=True)  # noqa: T201
    if args.cluster:
        return cluster(args.cluster, args.rounds, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if args.store not in KINDS:
            found = kill_again_and_again(
                args.server, Path(folder), args.rounds, args.seed, args.store
            )
            return judge(args.server, found, "")
        if args.store != "sqlite" and not SERVICES[args.store].present():
            print(f"{args.store}: not run for want of {SERVICES[args.store].packages}")  # noqa: T201
            return 0
        server = Server(args.server, Path(folder))
        with rig(args.store, Path(folder), args.fault, lambda: pid(server)) as store:
            server.store = store.url
            return one(args, server, store)


def pid(server: Server) -> int:
    """Return the process id of a server that runs."""
    assert server.process is not None
    return server.process.pid


def one(args: argparse.Namespace, server: Server, store: Rig) -> int:
    """Give one server and its store one kind of trouble."""
    named = f"{args.server}, {args.store}, {args.fault}, {args.rounds} rounds"
    needed = {"kill": "", "kill-both": "down"}.get(args.fault, args.fault)
    if needed and needed not in store.troubles:
        raise SystemExit(f"{args.store}: no such trouble as {args.fault} is known for it")
    if args.fault in ("kill", "kill-both"):

        def also(number: int) -> None:
            if needed and number % 3 == 2:
                for action in store.troubles[needed]:
                    action()

        common = (args.server, server.folder, args.rounds, args.seed, store.url)
        return judge(named, kill_again_and_again(*common, also), "")
    verdict, echoes = trouble_again_and_again(
        server, args.rounds, args.seed, *store.troubles[needed], LARGE if needed == "full" else 0
    )
    p99 = at(echoes, 0.99)
    told = f", slowest answer {verdict.slowest:.2f} s, ERROR {verdict.slowest_refusal:.2f} s"
    told += f", echoes p99 {p99 * 1000:.0f} ms, slowest {max(echoes):.2f} s"
    late = [
        name
        for name, seconds, limit in (
            ("ERROR", verdict.slowest_refusal, REFUSED + UNDISTURBED),
            ("recovered", max(verdict.recoveries), HEALED),
            ("echoes", p99, UNDISTURBED),
        )
        if seconds > limit
    ]
    told += f"; LATE: {', '.join(late)}" if late else ""
    return judge(named, verdict, told) or int(bool(late))


def judge(named: str, verdict: Verdict, more: str) -> int:
    """Print a verdict and return the status to end with."""
    print(f"{named}: {verdict}{more}", flush=True)  # noqa: T201
    return int(verdict.is_broken())


def cluster(kind: str, rounds: int, seed: int) -> int:
    """Give several servers trouble, and print the account."""
    with tempfile.TemporaryDirectory() as folder:
        verdict, takeovers = torment(
            kind,
            Path(folder),
            rounds,
            seed,
            lambda text: print(text, flush=True),  # noqa: T201
        )
    worst = max(takeovers, default=0.0)
    print(f"{kind}: {verdict}; {len(takeovers)} takeovers, the longest {worst:.1f} s")  # noqa: T201
    return int(verdict.is_broken())


if __name__ == "__main__":
    sys.exit(main())
