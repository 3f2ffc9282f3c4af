"""Runs tasks with pygearman and prints what it heard. The words are explained in ../README.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gearman

PRIORITIES = {
    "high": gearman.PRIORITY_HIGH,
    "normal": gearman.PRIORITY_NONE,
    "low": gearman.PRIORITY_LOW,
}


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


port, mode, function, *words = sys.argv[1:]
option = dict(word.split("=", 1) for word in words)
workload = option.get("workload", "").encode()
if "file" in option:
    workload = Path(option["file"]).read_bytes()

task = {
    "task": function.encode(),
    "data": workload,
    "unique": option["unique"].encode() if "unique" in option else None,
    "priority": PRIORITIES[option.get("priority", "normal")],
}
client = gearman.GearmanClient([f"127.0.0.1:{port}"])
requests = client.submit_multiple_jobs(
    [task] * int(option.get("times", 1)),
    background=mode == "background",
    wait_until_complete=False,
)
for request in requests:
    say("created", handle=request.job.handle.decode())

# What came before the result can be asked for only when everything is over, kind by kind.
if mode == "run":
    client.wait_until_jobs_completed(requests)
    for request in requests:
        for data in request.data_updates:
            say("data", data=data.hex())
        for data in request.warning_updates:
            say("warning", data=data.hex())
        if request.status:
            numerator, denominator = request.status["numerator"], request.status["denominator"]
            say("status", numerator=numerator, denominator=denominator)
        if request.state == gearman.JOB_COMPLETE:
            say("complete", data=request.result.hex())
        else:
            say("fail")

# The library asks only for jobs which it submitted itself, so every line is about this one.
if mode == "background":
    for _ in sys.stdin:
        status = client.get_job_status(requests[0]).status
        fields = ("known", "running", "numerator", "denominator")
        say("answer", **{field: status[field] for field in fields})
