"""Does jobs with pygearman and prints what it is given. The words are explained in ../README.md."""

from __future__ import annotations

import json
import sys
import time

import gearman

Worker = gearman.GearmanWorker
Job = gearman.job.GearmanJob


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def reverse(worker: Worker, job: Job) -> bytes:
    return job.data[::-1]


def echo(worker: Worker, job: Job) -> bytes:
    return job.data


def story(worker: Worker, job: Job) -> bytes:
    worker.send_job_data(job, b"one")
    worker.send_job_data(job, b"two")
    worker.send_job_warning(job, b"careful")
    worker.send_job_status(job, 1, 2)
    return b"end"


def fraction(worker: Worker, job: Job) -> bytes:
    worker.send_job_status(job, 0.5, 1.5)
    return b"end"


def fail(worker: Worker, job: Job) -> bytes:
    raise ValueError("the library turns this into WORK_FAIL")


def throw(worker: Worker, job: Job) -> bytes:
    raise RuntimeError("it broke")


def empty(worker: Worker, job: Job) -> bytes:
    return b""


def slow(worker: Worker, job: Job) -> bytes:
    time.sleep(0.03)
    say("done")
    return job.data


def hang(worker: Worker, job: Job) -> bytes:
    worker.send_job_status(job, 1, 2)
    while True:
        time.sleep(1)


class ReportingWorker(Worker):
    """Says what it is given; an exception goes out as one, as the library's manual shows."""

    def on_job_execute(self, job: Job) -> bool:
        say(
            "job",
            function=job.task.decode(),
            handle=job.handle.decode(),
            unique=job.unique.decode(),
            workload=job.data.hex(),
        )
        return super().on_job_execute(job)

    def on_job_exception(self, job: Job, exc_info: tuple) -> bool:
        if isinstance(exc_info[1], RuntimeError):
            # Sends WORK_EXCEPTION, and then WORK_FAIL for a job that is over.
            self.send_job_exception(job, str(exc_info[1]).encode())
            return False
        return super().on_job_exception(job, exc_info)


port, *words = sys.argv[1:]
worker = ReportingWorker([f"127.0.0.1:{port}"])
for word in words:
    key, value = word.split("=")
    if key == "id":
        worker.set_client_id(value.encode())
    else:
        worker.register_task(value.encode(), globals()[key])
worker.work()
