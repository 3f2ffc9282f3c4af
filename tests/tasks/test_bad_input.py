"""
Input that can't be used, and tasks that misbehave: what the caller is told, that the attempt is
written down, and that the worker lives or is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from geartrain import AdminClient, TaskHandle
from geartrain.errors import GivenUp, JobTimeout
from geartrain.server.policies import policy_of
from geartrain.tasks import running
from geartrain.testing import TestServer
from tests.acceptance.job_server import DEADLINE
from tests.tasks import shop
from tests.tasks.running import RunningPool
from tests.worker.processes import is_running


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A server that gives a job one attempt, and keeps what became of it."""
    with TestServer() as server:
        policy = policy_of("test", "*", {"max_attempts": 1, "retention": "1h"})
        server.call(server.server.configure, [policy])
        shop.app.servers = server.address
        yield server
        shop.app.close()


@pytest.fixture(scope="module")
def child(server: TestServer) -> Iterator[None]:
    """A worker with one child process, which leaves large results to another."""
    names = [name for name in shop.app.tasks if name != "enlarge"]
    with RunningPool("process", concurrency=1, queues=names):
        yield


def submitted(function: str, workload: bytes) -> TaskHandle[Any]:
    """Submit a job as any program may, whatever is in it."""
    task = shop.app.tasks[function]
    job = shop.app.client.submit(function, workload, background=True)
    return task.handle(job.server, job.handle)


class Case(NamedTuple):
    """
    What is submitted, and what the caller hears.

    Attributes:
        function: Name of a task of the shop.
        workload: JSON, where MARKER stands for the path of a file that is not there yet.
        kind: Type of the error.
        says: What its message says.
        reason: Why the server gave the job up.
        replaced: Whether another process takes the place of the worker's.

    """

    function: str
    workload: bytes
    kind: str
    says: str
    reason: str
    replaced: bool = False


REJECTED = "its worker raised, which the worker rejected"
RAISED = "its worker raised at attempt 1 of 1"
LOST = "it came back without a result at attempt 1 of 1"
CASES = {
    "arguments that do not fit": Case(
        "add", b'{"a": "x"}', "ArgumentsError", "Expected `int`, got `str`", REJECTED
    ),
    "another codec": Case("pack", b'{"data": "x"}', "CodecError", "it looks like json", REJECTED),
    "a value that can't be written": Case(
        "unwritable", b"", "CodecError", "object can't be written as json", REJECTED
    ),
    "an exception": Case("explode", b'["boom"]', "ValueError", "boom", RAISED),
    "exit": Case("leave", b"[3]", "SystemExit", "3", RAISED),
    "exit past everything": Case("exit_first", b'["MARKER"]', "GivenUp", LOST, LOST, True),
    "a segmentation fault": Case("crash_first", b'["MARKER"]', "GivenUp", LOST, LOST, True),
    "a kill": Case("die_first", b'["MARKER"]', "GivenUp", LOST, LOST, True),
    "signals ignored": Case(
        "ignore", b'["MARKER"]', "HardTimeout", "cut off after 0.4 s, its timeout", RAISED, True
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_caller_is_told_the_attempt_counts_and_the_worker_goes_on(
    server: TestServer, child: None, tmp_path: Path, case: Case
) -> None:
    marker = tmp_path / "marker"
    before = shop.process_id.call()
    handle = submitted(case.function, case.workload.replace(b"MARKER", str(marker).encode()))
    with pytest.raises(GivenUp) as caught:
        handle.result(DEADLINE)
    assert caught.value.type == case.kind
    assert case.says in caught.value.message
    assert f"`geartrain job retry {handle.handle} --server {server.address}`" in str(caught.value)
    with AdminClient(server.address) as admin:
        facts = admin.show_job(handle.handle)
    assert (facts["state"], facts["attempts"]) == ("dead", "1")
    assert facts["reason"].startswith(case.reason)
    after = shop.process_id.call()
    assert (after != before) is case.replaced
    assert is_running(before) is not case.replaced


@pytest.mark.parametrize(
    ("function", "result"), [("print_much", 1), ("fork_and_forget", "original")]
)
def test_what_a_task_may_do_harms_nobody(
    server: TestServer, child: None, function: str, result: object
) -> None:
    before = shop.process_id.call()
    assert submitted(function, b"").result(DEADLINE) == result
    assert shop.process_id.call() == before


def test_a_result_too_large_is_told(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_RESULT", 1000)
    with RunningPool("thread", concurrency=1, queues=["enlarge"]):
        handle = shop.enlarge.delay(2000)
        with pytest.raises(GivenUp, match="has 2002 bytes, and servers take 1000") as caught:
            handle.result(DEADLINE)
        assert caught.value.type == "ResultTooLarge"
        assert caught.value.rejected


def test_a_function_that_no_worker_has_is_waited_for_and_the_caller_is_told_where_to_look(
    server: TestServer,
) -> None:
    with pytest.raises(JobTimeout, match=r"see whether it waits or runs: geartrain job show H:\S+"):
        shop.app.client.call("nobody-has-it", b"", timeout=0.1)
