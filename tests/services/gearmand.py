"""
A real gearmand that leaves jobs in its queue when it is killed.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.connection import JOB_CREATED, Connection
from tests.acceptance.job_server import JobServer

SUBMIT_JOB_BG = 18
SUBMIT_JOB_HIGH_BG = 32
SUBMIT_JOB_LOW_BG = 34
SUBMIT_JOB_EPOCH = 36

# Function, unique key, workload, priority and epoch of what is left.
LEFT = {
    (b"resize", b"photo-1", b"a.jpg", 1, 0),
    (b"resize", b"photo-2", b"\0\xff binary", 0, 0),
    ("größe".encode(), "schlüssel".encode(), b"b.jpg", 2, 0),
    (b"resize", b"", b"without a key", 1, 0),
    (b"empty", b"photo-3", b"", 1, 0),
    (b"workload", b"-", b"is the key", 1, 0),
    (b"resize", b"8E1f2b6c-0a7d-4f6e-9f43-0c2b8d1e5a77", b"as libgearman names it", 1, 0),
}
LATER = (b"later", b"photo-4", b"c.jpg", 1, 1999999999)
KINDS = {0: SUBMIT_JOB_HIGH_BG, 1: SUBMIT_JOB_BG, 2: SUBMIT_JOB_LOW_BG}


class Gearmand(JobServer):
    """
    Debian's gearmand with a queue.

    Args:
        directory: Where its log goes.
        options: Those of its queue.

    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.options = options
        super().__init__("gearmand", directory)

    def command(self) -> list[str]:
        return [*super().command(), *self.options]


def leave_jobs(directory: Path, *options: str, later: bool = True) -> None:
    """Let a gearmand with these options take ``LEFT``, and ``LATER`` where its queue can."""
    server = Gearmand(directory, *options)
    try:
        with Connection(server.port) as client:
            for function, unique, workload, priority, _ in sorted(LEFT):
                client.submit(KINDS[priority], function, unique, workload)
            if later:
                function, unique, workload, _, epoch = LATER
                client.send(SUBMIT_JOB_EPOCH, function, unique, b"%d" % epoch, workload)
                assert client.receive()[0] == JOB_CREATED
    finally:
        server.process.kill()
        server.stop()
