"""
How long a server's death is felt: ``python -m tests.faults.takeover --store galera --rounds 50``.

Three servers share a database; the one with the most to lose is killed at a moment of no choice,
and started again when all it had acknowledged has run elsewhere. Leases have their default length.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.account import Verdict
from tests.faults.cluster import Load, Takeover, kill_one, load
from tests.faults.torment import DATABASES
from tests.server.bystander import at

# Seconds until another server assigns the first job of one that was killed.
TAKEOVER = 5.0
# Acknowledgements between two kills, at least and at most.
PAUSE = (100, 400)


def main() -> int:
    """Measure, print, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.takeover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="servers to kill (50)")
    parser.add_argument("--store", choices=sorted(DATABASES), default="postgresql")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    args = parser.parse_args()
    say(f"seed {args.seed}")
    with (
        tempfile.TemporaryDirectory() as folder,
        DATABASES[args.store]() as (store, _),
        load(Path(folder), store) as running,
    ):
        found = measure(running, args.rounds, random.Random(args.seed))
        verdict = running.finish()
    say(f"{args.store}: {verdict}")
    say(f"first job assigned by another server: {told([each.first for each in found])}")
    say(f"all jobs run: {told([each.whole for each in found])}")
    return int(is_broken(found, verdict))


def measure(running: Load, rounds: int, chance: random.Random) -> list[Takeover]:
    """Kill servers one after the other, and return how each was taken over."""
    found = []
    for _ in range(rounds):
        running.run_for(chance.randint(*PAUSE))
        which = running.busiest()
        found.append(kill_one(running, which))
        running.members[which].start()
    return found


def is_broken(found: Sequence[Takeover], verdict: Verdict) -> bool:
    """Return whether a promise is broken."""
    return verdict.is_broken() or at(sorted(each.first for each in found), 0.99) >= TAKEOVER


def told(seconds: Sequence[float]) -> str:
    """Return times in a line."""
    median, late = statistics.median(seconds), at(sorted(seconds), 0.99)
    return f"p50 {median:.2f} s, p99 {late:.2f} s, {len(seconds)} times"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
