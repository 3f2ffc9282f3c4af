"""Callables that agents run, and what their ends mean."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from geartrain import Done, Fail, Failed, FireTask, NextRun, Retry
from geartrain.agent.callables import call, find_callable
from geartrain.client.sync import Client
from geartrain.errors import UsageError
from geartrain.schedule.envelope import DONE, FAILED, NEXT_RUN, RETRY, Envelope
from geartrain.schedule.greeting import end_order
from tests.agent.processes import AgentProcess, ask, envelope, wait_for_file

Start = Callable[..., AgentProcess]
AT = datetime(2026, 2, 1, 12, 0, 0, tzinfo=UTC)
NAIVE = datetime(2026, 2, 1)
SECONDS = round(AT.timestamp())
SENT = Envelope(
    entry="nightly",
    key="cron:1:1:1769904000",
    nominal=1_769_904_000,
    previous=1_769_817_600,
    shard=(2, 3),
    payload=b"p",
    attempt=2,
)
MODULE = """
from pathlib import Path
from geartrain import Done, FireTask

def nightly(task: FireTask):
    return Done(f"{task.entry} {task.previous:%d}-{task.nominal:%d} {task.payload.decode()}")

def patient(task: FireTask):
    Path("began").write_text("x")
    return "was told" if task.wait(60) else "was not told"

def broken(task: FireTask):
    raise ValueError("no such size")
"""


def test_a_callable_is_told_what_it_runs_for() -> None:
    task = FireTask(SENT)
    assert (task.entry, task.key, task.attempt) == ("nightly", "cron:1:1:1769904000", 2)
    assert task.nominal == datetime(2026, 2, 1, tzinfo=UTC)
    assert task.previous == datetime(2026, 1, 31, tzinfo=UTC)
    assert (task.payload, task.shard, task.cancelled) == (b"p", (2, 3), False)
    assert "nightly" in repr(task)


@pytest.mark.parametrize(
    ("returned", "kind", "at", "output", "reason"),
    [
        (None, DONE, 0, "", ""),
        ("text", DONE, 0, "text", ""),
        (b"bytes", DONE, 0, "bytes", ""),
        (Done("result"), DONE, 0, "result", ""),
        (Failed("disk full"), FAILED, 0, "", "disk full"),
        (NextRun(AT, "so far"), NEXT_RUN, SECONDS, "so far", ""),
        (NextRun(SECONDS - 0.5), NEXT_RUN, SECONDS, "", ""),
        (Retry("busy", at=AT), RETRY, SECONDS, "", "busy"),
        (Retry("left to the entry"), FAILED, 0, "", "left to the entry"),
        (
            7,
            FAILED,
            0,
            "",
            "TypeError: it returned int; return None, a text, Done, Failed, Retry or NextRun",
        ),
        (
            NextRun(NAIVE),
            FAILED,
            0,
            "",
            f"ValueError: {NAIVE!r} has no time zone; give one, such as datetime.UTC",
        ),
    ],
)
def test_what_a_callable_returns_is_how_its_fire_ended(
    returned: object, kind: str, at: int, output: str, reason: str
) -> None:
    answer = call(lambda _: returned, FireTask(SENT))
    assert (answer.kind, answer.at, answer.output, answer.reason) == (kind, at, output, reason)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ValueError("no"), FAILED, "ValueError: no"),
        (SystemExit(3), FAILED, "SystemExit: 3"),
        (Fail("given up"), FAILED, "given up"),
        (Retry("later", countdown=0), RETRY, "later"),
    ],
)
def test_what_a_callable_raises_is_how_its_fire_ended(
    error: BaseException, kind: str, reason: str
) -> None:
    def app(task: FireTask) -> None:
        raise error

    answer = call(app, FireTask(SENT))
    assert (answer.kind, answer.reason) == (kind, reason)
    assert ("Traceback" in answer.errors) is isinstance(error, ValueError | SystemExit)


def test_a_callable_can_wait_for_its_cancellation() -> None:
    cancelled = threading.Event()
    task = FireTask(SENT, cancelled)
    assert task.wait(0) is False
    cancelled.set()
    assert task.wait(60) is True
    assert task.cancelled


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (":app", "names no module"),
        ("a/b.py:app", "names no module"),
        ("no_such_module_here:app", "there is no module"),
        ("json:no_such_name", "'no_such_name' in module 'json' can't be called"),
        ("json:__name__", "can't be called"),
    ],
)
def test_a_place_without_a_callable_is_refused(place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_callable(place)


def test_only_registered_names_run(start_agent: Start, client: Client, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(MODULE)
    start_agent("caller", "jobs:nightly", "b=jobs:broken", "jobs:patient")

    answer = ask(client, "caller", envelope("caller", app="nightly", previous=60, payload=b"p"))
    assert (answer.kind, answer.output) == (DONE, "e 01-01 p")
    answer = ask(client, "caller", envelope("caller", app="b"))
    assert (answer.kind, answer.reason) == (FAILED, "ValueError: no such size")
    assert "Traceback" in answer.errors
    answer = ask(client, "caller", envelope("caller", app="jobs:broken"))
    assert "no callable is registered as 'jobs:broken' here" in answer.reason
    answer = ask(client, "caller", envelope("caller"))
    assert "no callable is registered as ''" in answer.reason

    sent = envelope("caller", app="patient")
    job = client.submit("agent:caller", sent.to_bytes())
    wait_for_file(tmp_path / "began")
    assert client.call("agent:caller:control", end_order(sent.key, b"")) == b"ended"
    assert b"was told" in job.result(10)
    answer = ask(client, "caller", envelope("caller", app="patient", run_timeout=0.1))
    assert answer.output == "was told"
