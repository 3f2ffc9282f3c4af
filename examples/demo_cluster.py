"""
Three job servers on one PostgreSQL, and one of them killed under load: ``make demo-cluster``.

Everything is started for it and ended with it. The account in the end is what clients and workers
wrote down themselves, not what a server says of itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The rigs of the tests, from the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.account import Verdict
from tests.faults.cluster import Load, Member, Takeover, kill_one, load
from tests.services.availability import SERVICES
from tests.services.postgresql import Postgresql

GEARTRAIN = Path(sys.executable).with_name("geartrain")
SERVERS = 3
WORKERS = 2
# Acknowledgements before the kill, and after the takeover.
BEFORE, AFTER = 2000, 1000

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(title: str, *lines: str) -> None:
    """Print a heading and what there is to know about it."""
    print(f"\n{BOLD}{title}{PLAIN}")
    tell(*lines)


def tell(*lines: str) -> None:
    """Print lines under a heading."""
    for line in lines:
        print(f"  {line}".rstrip(), flush=True)


def show_servers(asked: Member) -> None:
    """Run ``geartrain cluster``, as a person would."""
    words = ["cluster", "--server", f"127.0.0.1:{asked.port}"]
    tell("", f"  $ geartrain {' '.join(words)}")
    done = subprocess.run(
        [GEARTRAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    tell(*(f"    {line}" for line in done.stdout.splitlines()), "")


def play(running: Load) -> int:
    """Kill a server, and print the account; return 1 where a promise is broken."""
    members = running.members
    victim, heir, *_ = members
    say(
        f"{SERVERS} job servers share it",
        *(
            f"  $ geartrain serve --listen 127.0.0.1:{one.port}  # {one.name}"
            for one in running.members
        ),
        "",
        f"{len(running.producers)} clients submit background jobs as fast as workers run them, and",
        "go to another server when theirs is gone.",
        f"{WORKERS} workers are connected to all servers.",
    )
    running.run_for(BEFORE)
    show_servers(heir)
    say(
        f"kill -9 of {victim.name}, after {len(running.ledger.acked)} acknowledgements",
        "Its lease lasts 3 seconds. When it is not renewed, one of the others takes its jobs over.",
    )
    killed = time.monotonic()
    takeover = kill_one(running)
    tell(*said_of(victim, running))
    show_servers(heir)
    running.run_for(AFTER)
    silence = running.ledger.longest_silence(killed)
    verdict = running.finish()
    settle(victim, takeover, silence, verdict)
    return int(verdict.is_broken())


def said_of(gone: Member, running: Load) -> list[str]:
    """Return what the other servers have logged about one that is gone."""
    lines = [(one, line) for one in running.members for line in one.said().splitlines()]
    return [f"{one.name} logs: {line}" for one, line in lines if f"server {gone.name} at" in line]


def settle(victim: Member, takeover: Takeover, silence: float, verdict: Verdict) -> None:
    """Print the account."""
    name = victim.name
    say("The account, as clients and workers wrote it down")
    for word, value, meaning in (
        ("acknowledged", verdict.acked, "told by a server that the job is kept"),
        ("run", verdict.run, "of these, seen by a worker"),
        ("lost", len(verdict.lost), "acknowledged and never run"),
        ("run twice", len(verdict.twice), f"under way when {name} died: nobody knew their end"),
        ("taken over", takeover.jobs, f"had been acknowledged by {name} and not run yet"),
        (
            "first of them",
            f"{takeover.first:.1f} s",
            f"after {name} died, given to a worker elsewhere",
        ),
        ("all of them", f"{takeover.whole:.1f} s", f"after {name} died, had run"),
        ("silence", f"{silence:.1f} s", "at most between two acknowledgements, by any server"),
    ):
        tell(f"{word:<14} {value:>7}  {meaning}")
    for trouble, names in (
        ("refused, and run all the same", verdict.refused_but_run),
        ("run twice, and not under way when a server died", verdict.unexplained),
    ):
        if names:
            tell(f"PROMISE BROKEN: {len(names)} jobs were {trouble}")
    tell("", "More: docs/topics/several-servers.md; under worse conditions: docs/reliability.md")


def main() -> int:
    """Start a PostgreSQL of its own, and play."""
    service = SERVICES["postgresql"]
    if not service.present():
        print(f"This demo wants PostgreSQL: {service.packages}", file=sys.stderr)
        return 1
    database = Postgresql()
    try:
        database.create()
        database.start()
        say(
            f"A PostgreSQL runs on port {database.port}",
            f"Started for this demo, with its files in {database.folder}; both go with it.",
        )
        with (
            tempfile.TemporaryDirectory() as folder,
            load(Path(folder), database.url(), servers=SERVERS, workers=WORKERS) as running,
        ):
            return play(running)
    finally:
        database.remove()


if __name__ == "__main__":
    sys.exit(main())
