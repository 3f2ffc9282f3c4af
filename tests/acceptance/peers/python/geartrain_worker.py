"""Does jobs with our own worker and prints what it is given. ../README.md explains the words."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from geartrain.errors import Fail
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def reverse(job: Job) -> bytes:
    return job.workload[::-1]


def echo(job: Job) -> bytes:
    return job.workload


def story(job: Job) -> bytes:
    job.data(b"one")
    job.data(b"two")
    job.warn(b"careful")
    job.progress(1, 2)
    return b"end"


def fail(job: Job) -> bytes:
    raise Fail


def throw(job: Job) -> bytes:
    raise RuntimeError("it broke")


def empty(job: Job) -> None:
    return None


def slow(job: Job) -> bytes:
    time.sleep(0.03)
    say("done")
    return job.workload


def hang(job: Job) -> bytes:
    job.progress(1, 2)
    while True:
        time.sleep(1)


def reporting(behaviour: Callable[[Job], bytes | None]) -> Callable[[Job], bytes | None]:
    def run(job: Job) -> bytes | None:
        say(
            "job",
            function=job.function.decode(),
            handle=job.handle.decode(),
            unique=job.unique.decode(),
            workload=job.workload.hex(),
        )
        return behaviour(job)

    return run


port, *words = sys.argv[1:]
functions = dict(word.split("=") for word in words)
timeout = float(functions.pop("timeout", 0)) / 1000 or None
worker = Worker(f"127.0.0.1:{port}", client_id=functions.pop("id", ""))
for behaviour, function in functions.items():
    worker.register(function, reporting(globals()[behaviour]), timeout)
worker.run()
