"""Schedulers and agents together: one on this machine for each name, each its own process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geartrain.agent.desk import Desk
from geartrain.schedule.dispatching import Dispatcher
from geartrain.schedule.entry import Entry
from geartrain.schedule.scheduler import Scheduler
from geartrain.schedule.settings import SchedulerSettings
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import Alert, Fire, Schedule
from geartrain.store.schedule_sql import open_schedules
from tests.acceptance.job_server import eventually
from tests.agent.processes import AgentProcess, wait_for_file, wait_until_gone
from tests.cli.servers import Server

Start = Callable[..., AgentProcess]
FAR = "0 0 1 1 *"
# Seconds; agents that come late are looked for each five.
PATIENCE = 20.0

pytestmark = pytest.mark.timeout(60)


class Schedules:
    """A scheduler that runs, and its entries."""

    def __init__(self, directory: Path, port: int) -> None:
        servers = [f"127.0.0.1:{port}"]
        url = f"sqlite:///{directory / 'schedules.db'}"
        self.store = open_schedules(url)
        self.store.open()
        self.desk = Desk(servers, self.store)
        own = open_schedules(url)
        own.open()
        self.scheduler = Scheduler(
            own,
            lambda tell: Dispatcher(servers, tell),
            SchedulerSettings(poll=0.1),
            unmerged,
        )
        self.thread = threading.Thread(target=self.scheduler.run, daemon=True)
        self.desk.start()
        self.thread.start()

    def wait_for_agents(self, *names: str) -> None:
        eventually(lambda: {one.name for one in self.store.agents()} >= set(names), "they greet")

    def add(self, name: str, now: float = 0.0, **values: Any) -> Schedule:
        entry = Entry(name=name, **{"when": FAR, **values})
        return self.store.add(to_schedule(entry, now or time.time()), "test")

    def soon(self, name: str, **values: Any) -> Schedule:
        """Add an entry that fires once, within a second."""
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(now) + 1))
        return self.add(name, now, when=f"@at {moment}", **values)

    def ended(self, row: Schedule, count: int) -> list[Fire]:
        """Return the fires of an entry, once so many have ended."""
        found: list[Fire] = []

        def have_ended() -> bool:
            found[:] = [fire for fire in self.store.fires(schedule=row.id) if fire.ended]
            return len(found) >= count

        eventually(have_ended, f"{count} fires of {row.name} end", PATIENCE)
        return sorted(found, key=lambda fire: fire.target)

    def close(self) -> None:
        self.desk.stop()
        self.scheduler.stop()
        self.thread.join()
        self.store.close()


def unmerged(known: Alert | None, event: Alert) -> Alert | None:
    return event


@pytest.fixture(scope="module")
def schedules(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schedules]:
    """A scheduler of all tests; agents count as alive for a while behind their end."""
    schedules = Schedules(tmp_path_factory.mktemp("scheduler"), server.port)
    yield schedules
    schedules.close()


def test_a_command_runs_on_all_of_them_on_some_and_on_one(
    schedules: Schedules, start_agent: Start
) -> None:
    for name, tags in (("host-a", ["web"]), ("host-b", ["web", "db"])):
        start_agent(name, allow=["*"], tags=tags)
    schedules.wait_for_agents("host-a", "host-b")
    command = 'echo "$GEARTRAIN_ENTRY ${GEARTRAIN_SHARD}"'
    everywhere = schedules.soon("everywhere", command=command, target="all", tags=("web",))
    databases = schedules.soon("databases", command=command, target="all", tags=("db",))
    one = schedules.soon("one", command=command)
    tagged = schedules.soon("tagged", command=command, tags=("db",))
    mine = schedules.soon("mine", command=command, target="agent:host-a")
    sharded = schedules.soon("sharded", command=command, target="shards:2")

    def seen(row: Schedule, count: int = 1) -> list[tuple[str, str, bytes]]:
        return [(one.target, one.state, one.result) for one in schedules.ended(row, count)]

    assert seen(everywhere, 2) == [
        ("host-a", "done", b"everywhere \n"),
        ("host-b", "done", b"everywhere \n"),
    ]
    assert seen(databases) == [("host-b", "done", b"databases \n")]
    assert seen(one) == [("", "done", b"one \n")]
    assert seen(tagged) == [("", "done", b"tagged \n")]
    assert seen(mine) == [("host-a", "done", b"mine \n")]
    assert seen(sharded, 2) == [
        ("1/2", "done", b"sharded 1/2\n"),
        ("2/2", "done", b"sharded 2/2\n"),
    ]


def test_a_callable_s_word_decides_what_becomes_of_its_fire(
    schedules: Schedules, start_agent: Start, tmp_path: Path
) -> None:
    (tmp_path / "jobs.py").write_text(
        "import time\n"
        "from geartrain import Failed, Retry, NextRun\n"
        "def again(task):\n"
        "    if task.attempt == 1:\n"
        "        return Retry('not yet', at=time.time())\n"
        "    return f'attempt {task.attempt}'\n"
        "def bad(task):\n"
        "    return Failed('disk full')\n"
    )
    start_agent("caller", "jobs:again", "jobs:bad")
    schedules.wait_for_agents("caller")
    again = schedules.soon("again", function="again", target="agent:caller")
    bad = schedules.soon("bad", function="bad", target="agent:caller")
    [fire] = schedules.ended(again, 1)
    assert (fire.state, fire.attempt, fire.result) == ("done", 2, b"attempt 2")
    [fire] = schedules.ended(bad, 1)
    assert (fire.state, fire.reason) == ("failed", "disk full")


def test_a_command_that_takes_too_long_is_ended_on_its_machine(
    schedules: Schedules, start_agent: Start, tmp_path: Path
) -> None:
    start_agent("slow", allow=["*"])
    schedules.wait_for_agents("slow")
    command = f"echo $$ > {tmp_path}/pid; exec sleep 600"
    row = schedules.soon("slow", command=command, target="agent:slow", run_timeout=0.5)
    pid = int(wait_for_file(tmp_path / "pid"))
    [fire] = schedules.ended(row, 1)
    assert fire.state in ("failed", "timeout")
    assert "0.5 s" in fire.reason
    wait_until_gone(pid)


def test_an_agent_that_starts_fires_what_is_to_fire_at_the_start(
    schedules: Schedules, start_agent: Start, tmp_path: Path
) -> None:
    command = f"echo started >> {tmp_path}/starts"
    row = schedules.add("at-start", when="@reboot", command=command, target="agent:early")
    # It counts for agents that start later than it was made.
    eventually(lambda: time.time() > row.since + 1, "a second passes")
    agent = start_agent("early", allow=["*"])
    [fire] = schedules.ended(row, 1)
    assert (fire.state, fire.origin, fire.target) == ("done", "reboot", "early")
    agent.stop()
    agent.start()
    assert len(schedules.ended(row, 2)) == 2
    assert (tmp_path / "starts").read_text() == "started\n" * 2


def test_an_agent_that_comes_late_gets_the_fire_too(
    schedules: Schedules, start_agent: Start
) -> None:
    start_agent("punctual", allow=["*"], tags=["joining"])
    schedules.wait_for_agents("punctual")
    row = schedules.soon(
        "joined", command="true", target="all", tags=("joining",), join_window=60.0
    )
    schedules.ended(row, 1)
    start_agent("late", allow=["*"], tags=["joining"])
    punctual_and_late = schedules.ended(row, 2)
    assert {(one.target, one.state) for one in punctual_and_late} == {
        ("late", "done"),
        ("punctual", "done"),
    }


def test_a_fire_whose_agent_is_killed_is_told_and_tried_again_as_the_entry_says(
    schedules: Schedules, start_agent: Start, tmp_path: Path
) -> None:
    agent = start_agent("mortal", allow=["*"])
    schedules.wait_for_agents("mortal")
    command = (
        f"echo $GEARTRAIN_ATTEMPT >> {tmp_path}/tries; test $GEARTRAIN_ATTEMPT = 2 || sleep 600"
    )
    row = schedules.soon(
        "mortal", command=command, target="agent:mortal", retries=1, retry_delay=0.1
    )
    wait_for_file(tmp_path / "tries")
    agent.stop(signal.SIGKILL)
    agent.start()
    [fire] = schedules.ended(row, 1)
    assert (fire.state, fire.attempt) == ("done", 2)
    assert (tmp_path / "tries").read_text() == "1\n2\n"
