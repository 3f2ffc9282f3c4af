"""Agents that are cut off from every job server, and come back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from geartrain.client.sync import Client
from geartrain.schedule.envelope import read_answer
from tests.acceptance.job_server import eventually, free_port
from tests.agent.processes import AgentProcess, wait_for_file
from tests.agent.scheduler import Scheduler
from tests.cli.servers import Server

ALONE = "by itself"
# Seconds: workers look for a server that was gone each five seconds.
BACK = 25.0

pytestmark = pytest.mark.timeout(60)


class Place:
    """A job server that can be stopped and started, a scheduler, and agents."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.agents: list[AgentProcess] = []
        self.server: Server | None = None
        self.serve()
        self.scheduler = Scheduler(directory, self.port)

    def serve(self) -> None:
        self.server = Server("geartrain", self.directory, port=self.port)

    def cut(self) -> None:
        assert self.server is not None
        self.server.stop()
        self.server = None

    def agent(self, name: str, **settings: Any) -> AgentProcess:
        """Start an agent that is soon cut off."""
        full = {
            "servers": [f"127.0.0.1:{self.port}"],
            "allow": ["*"],
            "key_file": str(self.scheduler.key_file),
            "offline_after": 0.4,
            **settings,
        }
        self.agents.append(AgentProcess(name, self.directory, **full))
        return self.agents[-1]

    def wait_for_copy(self, agent: AgentProcess) -> None:
        """Wait until an agent has a copy of all entries."""
        wanted = self.scheduler.store.revision()

        def has_it() -> bool:
            path = agent.state / "entries.json"
            return path.exists() and json.loads(path.read_text())["revision"] == wanted

        eventually(has_it, f"{agent.name} has the entries")

    def runs(self) -> list[int]:
        """Return the moments that commands have run for, as they wrote them down."""
        path = self.directory / "runs"
        lines = path.read_text().split() if path.exists() else []
        return [round(datetime.fromisoformat(line).timestamp()) for line in lines]

    def close(self) -> None:
        for agent in self.agents:
            agent.end()
        self.scheduler.close()
        if self.server is not None:
            self.server.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def command(tmp_path: Path) -> str:
    """Writes down the moment it runs for."""
    return f"echo $GEARTRAIN_NOMINAL >> {tmp_path}/runs"


def test_what_ran_while_the_agent_was_cut_off_does_not_run_again_and_is_reported(
    place: Place, command: str
) -> None:
    row = place.scheduler.add("each-second", command=command, overlap="allow")
    agent = place.agent("host-a")
    place.wait_for_copy(agent)
    place.cut()
    agent.wait_for(ALONE)
    eventually(lambda: len(place.runs()) >= 1, "it fires by itself")
    # It goes on where it was, also when it is killed meanwhile.
    agent.stop(signal.SIGKILL)
    before = len(place.runs())
    agent.start()
    eventually(lambda: len(place.runs()) >= before + 2, "it goes on")

    place.serve()
    # Fires of these moments have been waiting at the server.
    queued = place.runs()[:2]
    with Client(f"127.0.0.1:{place.port}") as client:
        for nominal in queued:
            sent = place.scheduler.sent(row, nominal, "host-a")
            answer = read_answer(client.call("agent:host-a", sent, timeout=BACK))
            assert answer is not None
            assert answer.repeated
    agent.wait_for("a job server answers again", BACK)
    eventually(lambda: agent.status()["unreported"] == 0, "everything is reported", BACK)

    runs = place.runs()
    assert sorted(set(runs)) == sorted(runs)
    fires = place.scheduler.store.fires(schedule=row.id, limit=1_000)
    assert {(fire.origin, fire.target) for fire in fires} == {("offline", "host-a")}
    # One may have been cut off when the agent was killed, before or after it wrote.
    failed = {fire.nominal for fire in fires if fire.state != "done"}
    assert len(failed) <= 1
    moments = sorted(fire.nominal for fire in fires)
    assert set(runs) | failed == set(moments)
    # There is one row for each moment, and no moment is left out.
    assert moments == list(range(min(moments), max(moments) + 1))


def test_a_copy_that_is_too_old_is_used_no_more_and_alarms(place: Place, command: str) -> None:
    place.scheduler.add("each-second", command=command)
    agent = place.agent("host-a", copy_lifetime=1.5, offline_after=0.2)
    place.wait_for_copy(agent)
    place.cut()
    # A machine that is busy may have seen it before, and got over it.
    agent.wait_for("no job server has answered")
    eventually(lambda: "fires none of them" in agent.status()["alarm"], "it alarms")
    eventually(lambda: all(one["outcome"] != "running" for one in recent(agent)), "none runs")
    agent.wait_for("ALARM: the copy of entries was last confirmed 1.5 s ago")
    assert agent.status()["running"]
    ran = len(place.runs())
    # It would have fired in this time, in which it looks at the clock some times.
    agent.stop()
    assert len(place.runs()) == ran


def recent(agent: AgentProcess) -> list[dict[str, Any]]:
    return list(agent.status()["recent"])


def test_entries_that_fire_at_the_start_do_so_once_for_each_start(
    place: Place, tmp_path: Path
) -> None:
    place.scheduler.add("at-start", when="@reboot", command=f"echo x >> {tmp_path}/starts")
    agent = place.agent("host-a")
    place.wait_for_copy(agent)
    # While a scheduler answers, the fire is a row of its own, and comes as a job.
    place.cut()
    agent.wait_for(ALONE)
    assert not (tmp_path / "starts").exists()
    agent.stop()
    agent.start()
    wait_for_file(tmp_path / "starts")
    eventually(lambda: agent.status()["unreported"] == 1, "it has run")
    place.serve()
    store = place.scheduler.store
    eventually(lambda: len(store.fires(states=["done"])) == 1, "it is reported", BACK)
    eventually(lambda: agent.status()["unreported"] == 0, "and noted", BACK)
    assert (tmp_path / "starts").read_text() == "x\n"
    states = sorted((fire.origin, fire.state) for fire in store.fires())
    assert states == [("reboot", "done"), ("reboot", "pending")]


def test_a_failed_fire_is_tried_again_while_the_agent_is_cut_off(
    place: Place, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    row = place.scheduler.add(
        "flaky",
        command=f"echo $GEARTRAIN_ATTEMPT >> {tmp_path}/tries; test -e {gate}",
        retries=100,
        retry_delay=0.1,
        retry_max=0.1,
        overlap="skip",
    )
    agent = place.agent("host-a")
    place.wait_for_copy(agent)
    place.cut()
    tries = tmp_path / "tries"
    eventually(lambda: tries.exists() and "3" in tries.read_text().split(), "tried again")
    place.serve()
    agent.wait_for("a job server answers again", BACK)
    # What has begun is seen to its end by the agent that began it.
    gate.touch()
    store = place.scheduler.store
    eventually(lambda: len(store.fires(schedule=row.id)) == 1, "it is reported", BACK)
    [fire] = store.fires(schedule=row.id)
    assert fire.state == "done"
    assert fire.attempt >= 4
    assert tries.read_text().split() == [str(one) for one in range(1, fire.attempt + 1)]
