"""
A process that commits until it is killed, for ``test_sqlite_kills``.

Every batch adds jobs and finishes some of the batch before. A line says what
was committed, after the commit: what is on standard output may never be lost.
"""

from __future__ import annotations

import random
import sys

from geartrain.store.batch import Batch
from geartrain.store.sqlite import SqliteStore
from tests.store.samples import make_job


def main(path: str, seed: str) -> None:
    choose = random.Random(seed)
    store = SqliteStore(path, handle_prefix=b"H:test:import")
    generation = store.open()
    number = generation << 40
    before: list[int] = []
    while True:
        count = choose.choice((1, 3, 40, 600))
        adds = [
            make_job(number + 1 + n, workload=b"x" * choose.randrange(500)) for n in range(count)
        ]
        dones = [n for n in before if n % 2]
        number += count
        sys.stdout.write(f"trying {adds[0].number} {count}\n")
        sys.stdout.flush()
        store.commit(Batch(adds, [(n, 1, 0) for n in before[:2]], dones))
        sys.stdout.write(f"committed {adds[0].number} {count}\n")
        sys.stdout.flush()
        before = [job.number for job in adds]


if __name__ == "__main__":
    main(*sys.argv[1:])
