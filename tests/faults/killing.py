"""
Kills a server again and again while clients submit and workers run.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.faults.account import Account, Verdict
from tests.faults.peers import Joiner, Peer, Producer, Worker, wait_for
from tests.faults.server import Server

# Seconds for a server to make progress, and for the last jobs to run.
PROGRESS_TIMEOUT = 20.0


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
    chance = random.Random(seed)
    account = Account()
    server = Server(program, folder, store)
    server.start()
    port = server.port
    peers: list[Peer] = [
        Producer(lambda: port, account, "distinct", lambda _: uuid.uuid4().hex.encode()),
        Producer(lambda: port, account, "empty", lambda _: b""),
        Producer(lambda: port, account, "workload", lambda _: b"-"),
        Joiner(lambda: port, account, "joined"),
        Worker(lambda: port, account, "worker-1"),
        Worker(lambda: port, account, "worker-2"),
    ]
    producers = peers[:4]
    for peer in peers:
        peer.start()
    try:
        for number in range(rounds):
            enough = len(account.acked) + chance.randint(20, 400)
            assert wait_for(lambda: len(account.acked) >= enough, PROGRESS_TIMEOUT), "no progress"  # noqa: B023
            server.kill()
            account.kill()
            also(number)
            server.start()
        for peer in producers:
            peer.stopped.set()
        for peer in producers:
            peer.join(PROGRESS_TIMEOUT)
        wait_for(lambda: not account.missing(), PROGRESS_TIMEOUT)
    finally:
        for peer in peers:
            peer.stopped.set()
        for peer in peers:
            peer.join(PROGRESS_TIMEOUT)
        server.stop()
    return account.verdict()
