"""
Three job servers on one PostgreSQL, two workers, and one server killed under load.

``make demo-cluster`` runs it. The account is what clients and workers wrote down themselves:
what was acknowledged, what ran, what was lost, what ran twice, and how many seconds passed from
the death of the server until all that it had acknowledged had run elsewhere.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

# The rigs of the tests, from the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.cluster import Load, kill_one, load
from tests.services.postgresql import Postgresql

SERVERS = 3
WORKERS = 2
# Acknowledgements before the kill, and after the takeover.
BEFORE, AFTER = 2000, 1000


def say(text: str) -> None:
    print(text, flush=True)


def play(running: Load) -> int:
    """Kill a server, and print the account; return 1 where a promise is broken."""
    names = ", ".join(f"{one.name} on port {one.port}" for one in running.members)
    say(f"{SERVERS} job servers share it: {names}")
    say(f"{WORKERS} workers are connected to all of them; {len(running.producers)} clients submit")
    running.run_for(BEFORE)
    victim = running.members[0]
    say(f"{len(running.ledger.acked)} jobs acknowledged; kill -9 of {victim.name}")
    began = time.monotonic()
    takeover = kill_one(running).whole
    running.run_for(AFTER)
    silence = running.ledger.longest_silence(began)
    verdict = running.finish()
    say("")
    for name, value in (
        ("acked", verdict.acked),
        ("run", verdict.run),
        ("lost", len(verdict.lost)),
        ("twice", f"{len(verdict.twice)} (all in flight when the server died)"),
        (
            "takeover",
            f"{takeover:.1f} s until all that {victim.name} had acknowledged had run",
        ),
        ("silence", f"{silence:.2f} s at most between two acknowledgements"),
    ):
        say(f"  {name:<9} {value}")
    if verdict.unexplained:
        say(f"  not in flight, and run twice: {len(verdict.unexplained)}")
    return 1 if verdict.lost or verdict.refused_but_run or verdict.unexplained else 0


def main() -> int:
    """Start a PostgreSQL of its own, and play."""
    database = Postgresql()
    try:
        database.create()
        database.start()
        say(f"a private PostgreSQL runs on port {database.port}")
        with (
            tempfile.TemporaryDirectory() as folder,
            load(Path(folder), database.url(), servers=SERVERS, workers=WORKERS) as running,
        ):
            return play(running)
    finally:
        database.remove()


if __name__ == "__main__":
    sys.exit(main())
