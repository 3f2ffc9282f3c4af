"""
The long form for several servers: ``python -m tests.faults --cluster postgresql --rounds 50``.

Each round one of them is killed, stopped past its lease, or restarted, at random; in between a
machine of the database is lost, where there are several.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.account import Verdict
from tests.faults.cluster import Load, kill_one, load, lose_database, pause_one
from tests.services.galera import Galera
from tests.services.instance import started
from tests.services.postgresql import Postgresql, Replica, cluster_url

# Rounds between two losses of a machine of the database.
DATABASE_EACH = 5


@contextmanager
def one_postgresql() -> Iterator[tuple[str, Callable[[Load], float] | None]]:
    """A PostgreSQL on one machine, which is not lost."""
    with started(Postgresql()) as server:
        yield server.url(), None


@contextmanager
def replicated_postgresql() -> Iterator[tuple[str, Callable[[Load], float] | None]]:
    """A primary that is lost, once, and a replica that takes over."""
    with started(Postgresql()) as primary, started(Replica(primary)) as replica:
        promoted: list[bool] = []

        def promote() -> None:
            primary.kill()
            replica.promote()

        def lose(running: Load) -> float:
            if promoted:
                return 0.0
            promoted.append(True)
            return lose_database(running, promote, lambda: None)

        yield cluster_url(primary, replica), lose


@contextmanager
def galera() -> Iterator[tuple[str, Callable[[Load], float] | None]]:
    """Three nodes, of which one after the other is lost and comes back."""
    with started(Galera()) as cluster:
        turns = iter(range(10**9))

        def lose(running: Load) -> float:
            node = cluster.nodes[next(turns) % len(cluster.nodes)]
            return lose_database(running, node.kill, node.start)

        yield cluster.url(cluster.new_database()), lose


DATABASES = {
    "postgresql": one_postgresql,
    "replica": replicated_postgresql,
    "galera": galera,
}


def torment(
    kind: str, folder: Path, rounds: int, seed: int, say: Callable[[str], None]
) -> tuple[Verdict, list[float]]:
    """
    Give three servers trouble, round by round.

    Args:
        kind: One of ``DATABASES``.
        folder: For the servers' files.
        rounds: How many.
        seed: Of what is left to chance.
        say: Is told of each round.

    Returns the verdict, and for each killed server the seconds until all that it had
    acknowledged had run elsewhere. Fails where a server that slept assigned what it had lost.
    """
    chance = random.Random(seed)
    takeovers: list[float] = []
    with DATABASES[kind]() as (store, lose), load(folder, store) as running:
        for number in range(1, rounds + 1):
            running.run_for(chance.randint(300, 900))
            trouble = chance.choice(["kill", "kill", "pause", "restart"])
            which = chance.randrange(len(running.members))
            if trouble != "restart":
                # Clients gather at some servers, and the others have nothing to lose.
                which = running.busiest()
            member = running.members[which]
            told = ""
            if trouble == "kill":
                takeovers.append(kill_one(running, which).whole)
                told = f", taken over in {takeovers[-1]:.1f} s"
                member.start()
            elif trouble == "pause":
                wrong = pause_one(running, which, chance.random() * 3)
                assert wrong == [], f"{member.name} assigned what it had lost: {wrong}"
            else:
                member.stop()
                member.start()
            say(f"round {number}: {trouble} {member.name}{told}")
            if lose is not None and number % DATABASE_EACH == 0:
                silence = lose(running)
                if silence:
                    say(f"round {number}: a database is lost, {silence:.1f} s of silence")
        return running.finish(), takeovers
