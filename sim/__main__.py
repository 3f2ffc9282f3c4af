"""``python -m sim``: run many seeds, or one again."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from sim.account import BrokenPromise
from sim.story import tell


def main() -> int:
    """Run the seeds that are asked for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--seeds", type=int, default=200, help="how many to run (200)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--shared", action="store_true", help="several servers, one database")
    arguments = parser.parse_args()
    first, count = (
        (arguments.seed, 1)
        if arguments.seed is not None
        else (
            arguments.first,
            arguments.seeds,
        )
    )
    # What servers have to say of leases and stores is told by the log of the story.
    logging.disable()
    began = time.monotonic()
    for seed in range(first, first + count):
        try:
            fingerprint = tell(seed, shared=arguments.shared)
        except BrokenPromise as error:
            print(error)
            return 1
        if count == 1:
            print(f"seed {seed}: all promises kept, fingerprint {fingerprint}")
    print(f"{count} seeds from {first} on: all promises kept, {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
