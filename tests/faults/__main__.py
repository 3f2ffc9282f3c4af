"""
The long form: ``python -m tests.faults --rounds 1000 --server gearmand``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.killing import kill_again_and_again
from tests.faults.torment import DATABASES, torment
from tests.services.galera import shared_galera
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql


def main() -> int:
    """Run, print the account, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="servers to kill (100)")
    parser.add_argument("--server", default="geartrain", help="geartrain or gearmand (geartrain)")
    parser.add_argument(
        "--store",
        default="",
        help="URL of geartrain's store, or postgresql, mariadb or galera for one that is started "
        "(a file of SQLite's)",
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
        verdict = kill_again_and_again(
            args.server, Path(folder), args.rounds, args.seed, store_url(args.store)
        )
    print(f"{args.server}: {verdict}")  # noqa: T201
    return 1 if verdict.lost or verdict.refused_but_run or verdict.unexplained else 0


def store_url(store: str) -> str:
    """Return the URL of a store; one that is named by its kind is started for this run."""
    kinds = {"postgresql": shared_postgresql, "mariadb": shared_mariadb, "galera": shared_galera}
    if store not in kinds:
        return store
    server = kinds[store]()
    return server.url(server.new_database())


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
    return 1 if verdict.lost or verdict.refused_but_run or verdict.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
