"""Runs tasks with our own client and prints what it hears. ../README.md explains the words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from geartrain.client.sync import Client

# What the other programs call the same things.
NAMES = {"progress": "status", "completed": "complete", "failed": "fail", "raised": "exception"}


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


port, mode, function, *words = sys.argv[1:]
option = dict(word.split("=", 1) for word in words)
workload = option.get("workload", "").encode()
if "file" in option:
    workload = Path(option["file"]).read_bytes()

with Client(f"127.0.0.1:{port}", exceptions="exceptions" in option) as client:
    jobs = []
    for _ in range(int(option.get("times", 1))):
        job = client.submit(
            function,
            workload,
            background=mode == "background",
            unique=option.get("unique", ""),
            priority=option.get("priority", "normal"),
        )
        say("created", handle=job.handle.decode())
        jobs.append(job)
    if mode == "run":
        for job in jobs:
            for event in job.events():
                if event.kind == "progress":
                    numerator, denominator = event.progress
                    say("status", numerator=numerator, denominator=denominator)
                elif event.kind == "failed":
                    say("fail")
                else:
                    say(NAMES.get(event.kind, event.kind), data=event.workload.hex())
    else:
        for handle in sys.stdin:
            status = client.status(handle.strip())
            say(
                "answer",
                known=status.known,
                running=status.running,
                numerator=status.numerator,
                denominator=status.denominator,
            )
