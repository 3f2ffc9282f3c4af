"""
Kills a server again and again, or gives its store trouble, while clients submit and workers run.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.account import Account, Verdict
from tests.faults.peers import Joiner, Peer, Producer, Worker, wait_for
from tests.faults.server import Server
from tests.server.bystander import Bystander

# Seconds for a server to make progress, and for the last jobs to run.
PROGRESS_TIMEOUT = 20.0
# Seconds that a store is in trouble; less than a server's lease.
TROUBLE = 2.0


def kill_again_and_again(
    program: str,
    folder: Path,
    rounds: int,
    seed: int,
    store: str = "",
    also: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """
    Run producers with distinct, empty, ``-`` and joined keys, and kill the server between them.

    Each round lets the clients get some acknowledgements, at random how many, then kills the
    server and starts another on its files. In the end all acknowledged jobs get time to run.

    Args:
        program: As ``Server`` takes it; so are ``folder`` and ``store``.
        rounds: How many servers are killed.
        seed: Of what is left to chance.
        also: Called with the round while no server runs: the moment to kill the store too.

    """
    server = Server(program, folder, store)
    with crowd(server) as (account, finish):
        for _ in enough(account, random.Random(seed), rounds):
            killed = time.monotonic()
            server.kill()
            account.kill()
            also(len(account.kills) - 1)
            server.start()
            account.back(killed)
        return finish()


def trouble_again_and_again(
    server: Server,
    rounds: int,
    seed: int,
    begin: Callable[[], None],
    end: Callable[[], None],
    size: int = 0,
) -> tuple[Verdict, list[float]]:
    """
    Give the store trouble again and again while the server runs, each time for ``TROUBLE``.

    Where workloads have a size, a disk is to be full: that lasts until something is refused.

    Args:
        server: Of jobs; not started.
        rounds: How often.
        seed: Of what is left to chance.
        begin: Begins the trouble.
        end: Ends it; returns when the store works.
        size: Bytes that a workload has at least.

    Returns the verdict, and the seconds that each echo of a bystander took.
    """
    with (
        crowd(server, size) as (account, finish),
        Bystander(("127.0.0.1", server.port)) as bystander,
    ):
        for _ in enough(account, random.Random(seed), rounds):
            refused = len(account.refused)
            begin()
            threading.Event().wait(TROUBLE)
            assert not size or wait_for(lambda: len(account.refused) > refused, PROGRESS_TIMEOUT)  # noqa: B023
            end()
            account.back(time.monotonic())
        verdict = finish()
    return verdict, bystander.times


def enough(account: Account, chance: random.Random, rounds: int) -> Iterator[int]:
    """Yield for each round when there was some progress, and once more in the end."""
    for number in range(rounds):
        wanted = len(account.acked) + chance.randint(20, 400)
        assert wait_for(lambda: len(account.acked) >= wanted, PROGRESS_TIMEOUT), "no progress"  # noqa: B023
        yield number
    assert wait_for(lambda: account.away_since is None, PROGRESS_TIMEOUT), "no progress"


@contextmanager
def crowd(server: Server, size: int = 0) -> Iterator[tuple[Account, Callable[[], Verdict]]]:
    """
    Run a server, producers with each kind of key, and workers.

    Yields the account, and what lets all acknowledged jobs run and adds it up.
    """
    account = Account()
    server.start()
    port = server.port
    producers: list[Peer] = [
        Producer(lambda: port, account, "distinct", lambda _: uuid.uuid4().hex.encode(), size),
        Producer(lambda: port, account, "empty", lambda _: b"", size),
        Producer(lambda: port, account, "workload", lambda _: b"-", size),
        Joiner(lambda: port, account, "joined"),
    ]
    workers = [Worker(lambda: port, account, f"worker-{n}") for n in (1, 2)]

    def finish() -> Verdict:
        end(producers)
        wait_for(lambda: not account.missing(), PROGRESS_TIMEOUT)
        return account.verdict()

    for peer in [*producers, *workers]:
        peer.start()
    try:
        yield account, finish
    finally:
        end([*producers, *workers])
        server.stop()


def end(peers: Sequence[Peer]) -> None:
    """Tell threads to stop, and wait for them."""
    for peer in peers:
        peer.stopped.set()
    for peer in peers:
        peer.join(PROGRESS_TIMEOUT)
