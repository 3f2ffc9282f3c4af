"""Does jobs with gear and prints what it is given. The words are explained in ../README.md."""

from __future__ import annotations

import json
import sys
import time

import gear


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def reverse(job: gear.WorkerJob) -> None:
    job.sendWorkComplete(job.arguments[::-1])


def echo(job: gear.WorkerJob) -> None:
    job.sendWorkComplete(job.arguments)


def story(job: gear.WorkerJob) -> None:
    job.sendWorkData(b"one")
    job.sendWorkData(b"two")
    job.sendWorkWarning(b"careful")
    job.sendWorkStatus(1, 2)
    job.sendWorkComplete(b"end")


def fraction(job: gear.WorkerJob) -> None:
    job.sendWorkStatus(0.5, 1.5)
    job.sendWorkComplete(b"end")


def fail(job: gear.WorkerJob) -> None:
    job.sendWorkFail()


def throw(job: gear.WorkerJob) -> None:
    job.sendWorkException(b"it broke")


def empty(job: gear.WorkerJob) -> None:
    job.sendWorkComplete()


def slow(job: gear.WorkerJob) -> None:
    time.sleep(0.03)
    say("done")
    job.sendWorkComplete(job.arguments)


def hang(job: gear.WorkerJob) -> None:
    job.sendWorkStatus(1, 2)
    while True:
        time.sleep(1)


port, *words = sys.argv[1:]
functions = {}
timeout = None
worker_id = "acceptance"
for word in words:
    key, value = word.split("=")
    if key == "timeout":
        timeout = value.encode()
    elif key == "id":
        worker_id = value
    else:
        functions[value] = globals()[key]

worker = gear.Worker(worker_id)
worker.addServer("127.0.0.1", int(port))
worker.waitForServer()
for name in functions:
    worker.registerFunction(name.encode(), timeout)
while True:
    job = worker.getJob()
    say(
        "job",
        function=job.name,
        handle=job.handle.decode(),
        unique=job.unique.decode() if job.unique else "",
        workload=job.arguments.hex(),
    )
    functions[job.name](job)
