"""Runs tasks with gear and prints what it hears. The words are explained in ../README.md."""

from __future__ import annotations

import json
import queue
import sys
from pathlib import Path

import gear

PRECEDENCES = {
    "high": gear.PRECEDENCE_HIGH,
    "normal": gear.PRECEDENCE_NORMAL,
    "low": gear.PRECEDENCE_LOW,
}


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class ReportingClient(gear.Client):
    """Says each packet as it comes, and remembers how many jobs are over."""

    def __init__(self) -> None:
        super().__init__()
        self.over: queue.Queue[gear.Job] = queue.Queue()
        self.answered: queue.Queue[gear.Job] = queue.Queue()

    def handleJobCreated(self, packet):
        job = super().handleJobCreated(packet)
        say("created", handle=job.handle.decode())
        return job

    def handleWorkData(self, packet):
        say("data", data=packet.getArgument(1, True).hex())
        return super().handleWorkData(packet)

    def handleWorkWarning(self, packet):
        say("warning", data=packet.getArgument(1, True).hex())
        return super().handleWorkWarning(packet)

    def handleWorkStatus(self, packet):
        job = super().handleWorkStatus(packet)
        say("status", numerator=int(job.numerator), denominator=int(job.denominator))
        return job

    def handleWorkComplete(self, packet):
        say("complete", data=packet.getArgument(1, True).hex())
        self.over.put(super().handleWorkComplete(packet))

    def handleWorkFail(self, packet):
        say("fail")
        self.over.put(super().handleWorkFail(packet))

    def handleWorkException(self, packet):
        say("exception", data=packet.getArgument(1, True).hex())
        self.over.put(super().handleWorkException(packet))

    def handleStatusRes(self, packet):
        self.answered.put(super().handleStatusRes(packet))


port, mode, function, *words = sys.argv[1:]
option = dict(word.split("=", 1) for word in words)
workload = option.get("workload", "").encode()
if "file" in option:
    workload = Path(option["file"]).read_bytes()
unique = option["unique"].encode() if "unique" in option else None

client = ReportingClient()
client.addServer("127.0.0.1", int(port))
client.waitForServer()
if "exceptions" in option:
    client.setOption("exceptions")

jobs = [gear.Job(function.encode(), workload, unique) for _ in range(int(option.get("times", 1)))]
for job in jobs:
    client.submitJob(
        job,
        background=mode == "background",
        precedence=PRECEDENCES[option.get("priority", "normal")],
    )
if mode == "run":
    for _ in jobs:
        client.over.get()

# The library answers only for jobs which it submitted itself, so every line is about this one.
if mode == "background":
    for _ in sys.stdin:
        handle = jobs[0].handle
        client.sendPacket(
            gear.Packet(gear.constants.REQ, gear.constants.GET_STATUS, handle), jobs[0].connection
        )
        job = client.answered.get()
        say(
            "answer",
            known=job.known,
            running=job.running,
            numerator=int(job.numerator),
            denominator=int(job.denominator),
        )
client.shutdown()
