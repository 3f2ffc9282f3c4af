"""What an agent remembers of what it ran: no fire runs twice on a machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.agent.journal import INTERRUPTED, Journal
from geartrain.agent.settings import AgentSettings
from geartrain.cli.agent_status import status_of
from geartrain.client.sync import Client
from geartrain.errors import StoreDamaged, StoreUnavailable, UsageError
from geartrain.schedule.envelope import DONE, FAILED, RETRY, Answer
from geartrain.schedule.greeting import Report
from tests.agent.processes import AgentProcess, ask, envelope, wait_for_file
from tests.cli.servers import BIN

Start = Callable[..., AgentProcess]


def report(key: str) -> Report:
    return Report(
        schedule=1, generation=1, nominal=60, target="a", key=key, answer=Answer(kind=FAILED)
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, keep_for=100.0)
    yield journal
    journal.close()


def test_a_fire_that_ended_is_known_with_its_answer(journal: Journal) -> None:
    journal.begin("k", 1, "e")
    assert journal.answer_of("k", 1) is None
    journal.end("k", 1, Answer(kind=DONE, output="o", attempt=1))
    assert journal.answer_of("k", 1) == Answer(kind=DONE, output="o", attempt=1, repeated=True)


def test_a_failed_attempt_may_be_followed_by_another_a_done_one_by_none(
    journal: Journal,
) -> None:
    journal.begin("k", 1, "e")
    journal.end("k", 1, Answer(kind=FAILED, reason="r"))
    assert journal.answer_of("k", 2) is None
    journal.begin("k", 2, "e")
    journal.end("k", 2, Answer(kind=RETRY, at=9))
    assert journal.answer_of("k", 3) is None
    journal.begin("k", 3, "e")
    journal.end("k", 3, Answer(kind=DONE))
    for attempt in (3, 4, 5):
        answer = journal.answer_of("k", attempt)
        assert answer is not None
        assert (answer.kind, answer.repeated) == (DONE, True)


def test_what_was_begun_and_not_ended_is_told_as_such(journal: Journal, tmp_path: Path) -> None:
    journal.begin("k", 1, "e", report("k"))
    journal.close()
    again = Journal(tmp_path, keep_for=100.0)
    assert again.interrupt() == 1
    answer = again.answer_of("k", 1)
    assert answer is not None
    assert (answer.kind, answer.reason) == (FAILED, INTERRUPTED)
    assert [one.answer.reason for one in again.reports(10)] == [INTERRUPTED]
    assert again.interrupt() == 0
    again.close()


def test_reports_are_kept_until_they_are_noted(journal: Journal) -> None:
    for key in ("k1", "k2"):
        journal.begin(key, 1, "e", report(key))
    assert journal.reports(10) == []
    assert journal.unreported() == 2
    for key in ("k1", "k2"):
        journal.end(key, 1, Answer(kind=DONE))
    assert [one.key for one in journal.reports(10)] == ["k1", "k2"]
    journal.reported(["k1"])
    assert [one.key for one in journal.reports(10)] == ["k2"]
    assert journal.answer_of("k1", 1) is not None


def test_what_ended_long_ago_is_forgotten_unless_it_is_to_be_reported(journal: Journal) -> None:
    old = time.time() - 200.0
    for key, told in (("old", None), ("unreported", report("unreported"))):
        journal.begin(key, 1, "e", told)
        journal.end(key, 1, Answer(kind=DONE, ended=old))
    journal.trimmed = 0.0
    journal.begin("new", 1, "e")
    assert [journal.knows(key) for key in ("old", "unreported", "new")] == [False, True, True]


def test_facts_are_kept(journal: Journal) -> None:
    assert journal.fact("contact") == ""
    journal.note(contact="1", alarm="")
    journal.note(contact="2")
    assert journal.fact("contact") == "2"


def test_a_journal_that_can_t_be_used_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        Journal(tmp_path / "nowhere", 1.0)
    (tmp_path / "journal.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreDamaged, match=r"journal\.db"):
        Journal(tmp_path, 1.0)


# Agents.


def test_a_fire_that_is_sent_twice_runs_once(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    agent = start_agent("once", allow=["*"])
    sent = envelope("once", command="echo ran >> ran; cat ran", directory=str(tmp_path))
    first = ask(client, "once", sent)
    again = ask(client, "once", sent)
    assert (first.output, first.repeated) == ("ran\n", False)
    assert (again.output, again.repeated) == ("ran\n", True)
    # Also by an agent that was started anew.
    assert agent.stop() == 0
    agent.start()
    agent.wait_for("ready: agent")
    assert ask(client, "once", sent).repeated
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_fire_that_is_sent_again_while_it_runs_is_answered_when_it_ends(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    start_agent("busy", allow=["*"])
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    sent = envelope("busy", command=f"echo x >> ran; cat {gate}", directory=str(tmp_path))
    jobs = [client.submit("agent:busy", sent.to_bytes()) for _ in range(2)]
    wait_for_file(tmp_path / "ran")
    gate.write_text("opened")
    results = [job.result(10) for job in jobs]
    assert all(b"opened" in result for result in results)
    assert (tmp_path / "ran").read_text() == "x\n"


def test_a_crash_in_the_middle_is_told_and_does_not_run_again(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    agent = start_agent("crash", allow=["*"])
    sent = envelope("crash", command="echo x >> ran; sleep 600", directory=str(tmp_path))
    job = client.submit("agent:crash", sent.to_bytes())
    wait_for_file(tmp_path / "ran")
    agent.end()
    agent.start()
    # The server gives the job to the agent that came back.
    assert INTERRUPTED.encode() in job.result(10)
    assert "1 fires were cut off" in agent.said()
    assert (tmp_path / "ran").read_text() == "x\n"
    assert agent.status()["recent"][0]["outcome"] == f"failed: {INTERRUPTED}"


def test_two_agents_can_t_share_a_state(start_agent: Start, tmp_path: Path) -> None:
    first = start_agent("first")
    second = start_agent("second", ready=False, state=str(first.state))
    assert second.process.wait(10) == 2
    assert "another agent runs in" in second.said()


def test_status_tells_how_an_agent_is(start_agent: Start, client: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no agent has run in"):
        status_of(AgentSettings(state=str(tmp_path / "nowhere")))
    agent = start_agent("asked", allow=["*"])
    ask(client, "asked", envelope("asked", command="exit 3"))
    command = [str(BIN / "geartrain"), "agent", "status", "--state", str(agent.state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0
    assert done.stdout.startswith("agent asked: running\n  last heard of a job server: 20")
    assert "e  failed: it exited with status 3" in done.stdout
    agent.stop()
    found = agent.status()
    assert (found["running"], found["alarm"], found["unreported"]) == (False, "", 0)


# Stopping.


def test_what_runs_may_end_within_the_grace_time(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    agent = start_agent("kind", allow=["*"])
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    sent = envelope("kind", command=f"echo $$ > began; cat {gate}", directory=str(tmp_path))
    job = client.submit("agent:kind", sent.to_bytes())
    wait_for_file(tmp_path / "began")
    agent.process.send_signal(signal.SIGTERM)
    agent.wait_for("stopping: what runs has 30 s to end")
    gate.write_text("in time")
    assert b"in time" in job.result(10)
    assert agent.process.wait(10) == 0


@pytest.mark.parametrize("twice", [False, True])
def test_what_does_not_is_ended_and_says_so(
    start_agent: Start, client: Client, tmp_path: Path, twice: bool
) -> None:
    agent = start_agent("hasty", allow=["*"], grace=60 if twice else 0.2)
    sent = envelope("hasty", command="echo $$ > began; exec sleep 600", directory=str(tmp_path))
    job = client.submit("agent:hasty", sent.to_bytes())
    wait_for_file(tmp_path / "began")
    agent.process.send_signal(signal.SIGTERM)
    agent.wait_for("stopping")
    if twice:
        agent.process.send_signal(signal.SIGTERM)
    assert b"the agent was stopped while it ran" in job.result(10)
    assert agent.process.wait(10) == 1
