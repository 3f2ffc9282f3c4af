"""
Serves ``reverse``: the workload, back to front.

Run it, then from another process: ``Client().call("reverse", b"hello")``.
"""

from __future__ import annotations

from geartrain import Worker
from geartrain.worker.job import Job

worker = Worker()


@worker.function("reverse")
def reverse(job: Job) -> bytes:
    """Return the workload back to front."""
    return job.workload[::-1]


if __name__ == "__main__":
    worker.run()
