"""
Cuts an agent off from its job server: ``python -m tests.agent.partition``.

Packets are dropped, so neither side hears that the other is gone. Meanwhile a scheduler goes on
sending the agent a fire each second. Runs itself in network namespaces of its own, so it wants
root. Prints what it found as JSON in the last line, and ends with 1 where a fire ran twice, or
never.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from geartrain.client.sync import Client
from geartrain.schedule.envelope import fire_key
from geartrain.store.schedule_rows import Schedule
from tests.acceptance.job_server import eventually, free_port
from tests.agent.processes import AgentProcess
from tests.agent.scheduler import Scheduler
from tests.cli.servers import Server
from tests.faults import namespaces

AGENT = "host-a"
# Seconds for what is dropped to be sent once more, and for all that waits to be told.
HEALED = 30.0


def main() -> int:
    """Enter the namespaces, or run in them."""
    parser = argparse.ArgumentParser(prog="python -m tests.agent.partition", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often it is cut off (5)")
    args = parser.parse_args()
    if (status := namespaces.entered("tests.agent.partition")) is not None:
        return status
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.rounds, Path(folder))
    print(json.dumps(found))  # noqa: T201
    return int(bool(found["twice"] or found["never"]))


class Sender(threading.Thread):
    """Sends the fire of each second as a scheduler does: a background job under its key."""

    def __init__(self, port: int, scheduler: Scheduler, row: Schedule) -> None:
        super().__init__(daemon=True)
        self.servers = f"{namespaces.DATABASE}:{port}"
        self.scheduler = scheduler
        self.row = row
        self.sent: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        moment = int(time.time())
        with Client(self.servers) as client:
            while not self.over.wait(max(0.0, moment - time.time())):
                unique = fire_key(self.row.id, self.row.generation, moment, AGENT)
                workload = self.scheduler.sent(self.row, moment, AGENT)
                client.submit(f"agent:{AGENT}", workload, unique=unique, background=True)
                self.sent.append(moment)
                moment += 1


def run(rounds: int, folder: Path) -> dict[str, int]:
    """Cut the agent off so often, and return what was found."""
    namespaces.lay()
    port = free_port()
    server = Server("geartrain", folder, host=namespaces.DATABASE, port=port)
    scheduler = Scheduler(folder, port, host=namespaces.DATABASE)
    command = f"echo $GEARTRAIN_NOMINAL >> {folder}/runs"
    row = scheduler.add("each-second", command=command)
    agent = AgentProcess(
        AGENT,
        folder,
        before=namespaces.AWAY,
        servers=[f"{namespaces.DATABASE}:{port}"],
        allow=["*"],
        key_file=str(scheduler.key_file),
        offline_after=1,
    )
    sender = Sender(port, scheduler, row)
    try:
        agent.wait_for("ready: agent")
        copy = agent.state / "entries.json"
        eventually(copy.exists, "it has its copy")
        sender.start()
        alone = 0
        for number in range(rounds):
            alone += cut_off(agent, folder / "runs", number)
        sender.over.set()
        sender.join()
        eventually(lambda: server.status(f"agent:{AGENT}")[0] == 0, "nothing waits", HEALED)
        eventually(lambda: agent.status()["unreported"] == 0, "all is reported", HEALED)
    finally:
        agent.end()
        scheduler.close()
        server.stop()
    runs = moments(folder / "runs")
    return {
        "rounds": rounds,
        "sent": len(sender.sent),
        "run": len(set(runs)),
        "run_while_cut_off": alone,
        "twice": len(runs) - len(set(runs)),
        "never": len(set(sender.sent) - set(runs)),
    }


def cut_off(agent: AgentProcess, runs: Path, number: int) -> int:
    """Drop packets until the agent has fired by itself; return how many fires that were."""
    namespaces.cut()
    eventually(lambda: agent.said().count("by itself") > number, "it is cut off", HEALED)
    before = len(moments(runs))
    eventually(lambda: len(moments(runs)) >= before + 2, "it fires", HEALED)
    alone = len(moments(runs)) - before
    namespaces.mend()
    back = "a job server answers again"
    eventually(lambda: agent.said().count(back) > number, "it is back", HEALED)
    return alone


def moments(path: Path) -> list[int]:
    """Return the moments that commands ran for."""
    lines = path.read_text().split() if path.exists() else []
    return [round(datetime.fromisoformat(line).timestamp()) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
