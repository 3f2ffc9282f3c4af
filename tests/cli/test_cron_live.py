"""``geartrain cron`` while schedulers are at work on the same database."""

from __future__ import annotations

import os
import signal

import pytest

from geartrain.store.schedule_store import ScheduleStore
from tests.acceptance.job_server import JobServer, eventually
from tests.cli.commands import Command
from tests.schedule.test_processes import Processes, fires, working
from tests.schedule.test_processes import processes as processes
from tests.schedule.test_processes import server as server
from tests.schedule.test_processes import store as store
from tests.schedule.test_processes import url as url

# Seconds from the moment of a fire to its submission: one for the look at the database, and what a
# busy machine may take.
SEEN = 1 + 3


@pytest.fixture
def cron(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("GEARTRAIN_STORE", url)
    return Command(monkeypatch, capsys)


@pytest.mark.timeout(60)
def test_each_scheduler_sees_what_is_added_while_it_runs(
    cron: Command, processes: Processes, server: JobServer, store: ScheduleStore, url: str
) -> None:
    place = ("--store", url, "--servers", f"127.0.0.1:{server.port}")
    running = {
        name: processes.start(
            "scheduler", *place, "--instance", name, ready=f"ready: scheduler {name}"
        )
        for name in ("one", "other")
    }
    for name, asleep in (("one", "other"), ("other", "one")):
        os.kill(running[asleep].pid, signal.SIGSTOP)
        cron.ok("cron", "add", name, "@every 1s", "--function", "note", "--overlap", "allow")
        row = store.schedule(name)
        assert row is not None
        eventually(lambda: any(fire.submitted for fire in fires(store, row)), "it fires")  # noqa: B023
        first = fires(store, row)[0]
        assert (first.nominal, first.owner) == (row.next_fire, name)
        assert first.submitted - first.nominal < SEEN
        cron.ok("cron", "rm", name)
        os.kill(running[asleep].pid, signal.SIGCONT)


def test_run_waits_for_a_worker_and_prints_what_it_says(
    cron: Command, processes: Processes, server: JobServer, url: str
) -> None:
    cron.ok("cron", "add", "now", "@manually", "--function", "note")
    processes.start(
        *("scheduler", "--store", url, "--servers", f"127.0.0.1:{server.port}"),
        ready="ready: scheduler",
    )
    runs: list[bytes] = []
    with working(server, runs):
        cron("cron", "run", "now", "--wait", "--timeout", "15s")
    assert cron.code == 0
    assert cron.err.startswith("done after ")
    assert len(runs) == 1
    (fire,) = cron.json("cron", "fires", "now")
    assert (fire["state"], fire["origin"], fire["result"]) == ("done", "run-now", "noted")
    assert cron.json("cron", "show", "now")["next_fire"] is None


@pytest.mark.timeout(60)
def test_a_backfill_runs_in_the_order_that_was_asked_for(
    cron: Command, processes: Processes, server: JobServer, url: str
) -> None:
    cron.ok("cron", "add", "hourly", "0 * * * *", "--function", "note")
    span = ("2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z")
    assert len(cron.json("cron", "backfill", "hourly", *span, "--reverse")["fires"]) == 3
    runs: list[bytes] = []
    with working(server, runs):
        processes.start(
            *("scheduler", "--store", url, "--servers", f"127.0.0.1:{server.port}"),
            ready="ready: scheduler",
        )
        eventually(lambda: len(runs) == 3, "each moment is run")
    found = cron.json("cron", "fires", "hourly")
    assert {fire["origin"] for fire in found} == {"backfill"}
    moments = [int(key.decode().split(":")[3]) for key in runs]
    assert moments == sorted(moments, reverse=True)
