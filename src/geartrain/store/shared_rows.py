"""
What rows of shared databases hold beside a job: the key it coalesces by, and servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from geartrain.broker.job import Job
from geartrain.store.shared_store import Member

__all__ = ["ENDED", "ITSELF", "KEY_SIZE", "MAX_NAME", "ServerRow", "coalesce_key"]

# Bytes of a digest; nobody finds two keys with one of 160 bits.
KEY_SIZE: Final = 20
# Longest name or address of a server, in bytes.
MAX_NAME: Final = 255

# Who holds the jobs of a generation, in place of another generation.
ITSELF: Final = 0
ENDED: Final = -1


def coalesce_key(job: Job) -> bytes | None:
    """Return the digest of what a job coalesces by, None when nobody may join it."""
    unique = job.unique
    if not unique or job.apart:
        return None
    digest = blake2b(b"%d " % len(job.function), digest_size=KEY_SIZE)
    digest.update(job.function)
    if unique == b"-":
        # A key of its own could be "-" followed by a workload, so it is told apart.
        digest.update(b"-")
        digest.update(job.workload)
    else:
        digest.update(b"=")
        digest.update(unique)
    return digest.digest()


class ServerRow:
    """
    A row of ``geartrain_servers``.

    Attributes:
        generation: Start of the numbers of its jobs.
        name: What it is called; empty for rows of jobs that no server is known of.
        address: Where it is reached.
        prefix: Start of its handles.
        taken_by: The generation that holds its jobs, or ITSELF, or ENDED.
        lease_left: Seconds until its lease ends.

    """

    def __init__(self, row: Sequence[Any]) -> None:
        self.generation: int = row[0]
        self.name = bytes(row[1]).decode("utf-8", "replace")
        self.address = bytes(row[2]).decode("utf-8", "replace")
        self.prefix = bytes(row[3])
        self.taken_by: int = row[4]
        self.lease_left = float(row[5])

    def member(self, jobs: int = -1) -> Member:
        """Return what others are told of it."""
        return Member(self.generation, self.name, self.address, self.lease_left, jobs)
