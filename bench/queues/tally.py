"""
Counts what a worker process executes, as cheaply as counting can be.

Every no-op task of every queue calls ``note`` with its number, and does nothing else. With the
last one the process writes how long all took, from the first to the last, and whether each ran
once. A task that runs after that is one too many, and is written as well.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

__all__ = ["note"]


class Tally:
    """
    What has been executed so far.

    Args:
        path: The file for the outcome; the driver waits for it.
        tasks: How many tasks there are, numbered from 0.

    """

    def __init__(self, path: Path, tasks: int) -> None:
        self.path = path
        self.seen = bytearray(tasks)
        # Threads may note at the same moment; taking the next number is one step.
        self.count = itertools.count(1)
        self.first = 0.0

    def note(self, number: int) -> None:
        self.seen[number] += 1
        count = next(self.count)
        if count == 1:
            self.first = time.monotonic()
        elif count >= len(self.seen):
            self.write(count)

    def write(self, count: int) -> None:
        once = count == len(self.seen) and all(times == 1 for times in self.seen)
        outcome = {"once": once, "seconds": time.monotonic() - self.first}
        # Under another name first: whoever waits for the file never finds half of it.
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(outcome))
        draft.rename(self.path)


tally: Tally | None = None


def note(number: int) -> None:
    """Take note that task ``number`` was executed."""
    # Made here and not above, because some workers fork before they execute.
    global tally
    if tally is None:
        tally = Tally(Path(os.environ["BENCH_TALLY"]), int(os.environ["BENCH_TASKS"]))
    tally.note(number)
