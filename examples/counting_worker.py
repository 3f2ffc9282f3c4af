"""
Serves ``count``: counts slowly to the number in the workload, and reports how far it is.
"""

from __future__ import annotations

import time

from geartrain import Worker
from geartrain.worker.job import Job

worker = Worker()


@worker.function("count")
def count(job: Job) -> bytes:
    """Count to the number that the client sent."""
    goal = int(job.workload)
    for number in range(1, goal + 1):
        time.sleep(0.2)
        job.progress(number, goal)
    return job.workload


if __name__ == "__main__":
    worker.run()
