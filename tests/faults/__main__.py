"""
The long form: ``python -m tests.faults --rounds 1000 --server gearmand``.

Prints what clients and workers wrote down, and ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.account import Verdict
from tests.faults.killing import kill_again_and_again, trouble_again_and_again
from tests.faults.stores import KINDS, Rig, rig
from tests.faults.torment import DATABASES, torment
from tests.services.availability import SERVICES

FAULTS = {
    "kill": "the server is killed",
    "kill-both": "the server is killed, and each third time the store with it",
    "down": "the store is killed, and started again two seconds later",
    "hang": "the store hangs for two seconds; SQLite's file is locked by another program",
}


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
        with rig(args.store, Path(folder)) as store:
            return one(args, Path(folder), store)


def one(args: argparse.Namespace, folder: Path, store: Rig) -> int:
    """Give one server and its store one kind of trouble."""
    named = f"{args.server}, {args.store}, {args.fault}, {args.rounds} rounds"
    common = (args.server, folder, args.rounds, args.seed, store.url)
    if args.fault in ("down", "kill-both") and store.lose is None:
        raise SystemExit(f"{args.store} is no program of its own: it can't be killed")
    if args.fault in ("kill", "kill-both"):

        def also(number: int) -> None:
            if args.fault == "kill-both" and number % 3 == 2 and store.lose is not None:
                store.lose()
                store.back()

        return judge(named, kill_again_and_again(*common, also), "")
    begin, end = (store.freeze, store.thaw)
    if args.fault == "down" and store.lose is not None:
        begin, end = (store.lose, store.back)
    verdict, echoes = trouble_again_and_again(*common, begin, end)
    slowest = sorted(echoes)[len(echoes) * 99 // 100]
    more = f", slowest answer {verdict.slowest:.2f} s"
    return judge(
        named, verdict, f"{more}, echoes p99 {slowest * 1000:.0f} ms, slowest {max(echoes):.2f} s"
    )


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
