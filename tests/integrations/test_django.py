"""
A Django project with a worker, in processes as they are run: see ``project``.

Once with this Python's Django and the package that brings tasks to it, threads and gearmand;
once with Django 6 in an interpreter of its own, child processes and our server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.acceptance.job_server import DEADLINE, JobServer
from tests.services.availability import PEERS, ROOT, require

# Starting Django eight times takes a while on a busy machine.
pytestmark = pytest.mark.timeout(90)

PROJECT = Path(__file__).parent / "project"
OBSERVATIONS = [
    "results",
    "kinds",
    "failures",
    "transactions",
    "unlogged",
    "app_tasks",
    "unreachable",
    "not_run",
    "admin",
    "misplaced",
    "listing",
    "migrations",
    "pruned",
    # Last, for the worker to be busy when it is stopped.
    "long_one",
]


class Way(NamedTuple):
    """One way to run the project."""

    python: str
    server: str
    pool: str
    more: list[str]


WAYS = {
    "django-5": Way(sys.executable, "gearmand", "thread", []),
    "django-6": Way(
        str(PEERS / "django" / "bin" / "python"),
        "geartrain",
        "process",
        # gearmand keeps no policies, and wakes nobody when a job's time has come.
        ["processes", "retried", "later", "given_up"],
    ),
}


class Shop:
    """
    The project: its database, its server, and its worker while there is one.

    Attributes:
        seen: What its programs saw, by name.

    """

    def __init__(self, way: Way, server: JobServer, directory: Path) -> None:
        self.way = way
        self.server = server
        self.errors = directory / "worker"
        self.environment = {
            **os.environ,
            "SHOP_DATABASE": str(directory / "shop.sqlite3"),
            "SHOP_SERVER": f"127.0.0.1:{server.port}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error::DeprecationWarning",
        }
        if way.python != sys.executable:
            self.environment["PYTHONPATH"] = str(ROOT / "src")
        self.run("manage.py", "migrate", "-v0")
        self.seen: dict[str, Any] = {}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.way.python, *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + self.worker_s_errors()
        return done.stdout

    def start_worker(self) -> None:
        with self.errors.open("wb") as errors:
            self.worker = subprocess.Popen(
                [
                    self.way.python,
                    *("manage.py", "geartrain_worker", "--concurrency=2"),
                    f"--pool={self.way.pool}",
                    "--client-id=shop",
                ],
                cwd=PROJECT,
                env=self.environment,
                stderr=errors,
            )

    def worker_s_errors(self) -> str:
        return self.errors.read_text() if self.errors.exists() else ""

    def stop_worker(self) -> None:
        """Stop the worker, and check that it came to a good end."""
        self.worker.send_signal(signal.SIGTERM)
        assert self.worker.wait(DEADLINE) == 0, self.worker_s_errors()


@pytest.fixture(scope="module", params=WAYS)
def shop(
    request: pytest.FixtureRequest,
    start_server: Callable[[str], JobServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    way = WAYS[request.param]
    if request.param == "django-6":
        require("django-6")
    shop = Shop(way, start_server(way.server), tmp_path_factory.mktemp("shop"))
    shop.start_worker()
    try:
        shop.seen = json.loads(shop.run("observe.py", *way.more, *OBSERVATIONS))
        yield shop
    finally:
        shop.worker.kill()
        shop.worker.wait()


@pytest.fixture
def seen(shop: Shop) -> dict[str, Any]:
    return shop.seen


def test_a_task_s_result_is_found_by_its_key(seen: dict[str, Any]) -> None:
    assert seen["results"] == {
        "before": "READY",
        "after": "SUCCESSFUL",
        "value": True,
        "notes": "Hello Ada, thank you!\n",
        "attempts": 1,
        "row": [True, "shop.tasks.confirm", "H:", True, 1],
        "times": True,
        "same": True,
    }


def test_tasks_may_be_async_and_take_their_context(seen: dict[str, Any]) -> None:
    assert seen["kinds"] == {"async": "mailed ada@example.org", "context": [1, True, 8]}


def test_what_a_task_raises_is_kept_and_it_does_not_count_as_processed(
    seen: dict[str, Any],
) -> None:
    assert seen["failures"] == {
        "status": "FAILED",
        "class": "builtins.ValueError",
        "traceback": True,
        "processed": False,
        "unwritable": "builtins.TypeError",
    }


def test_jobs_are_submitted_with_their_transaction_or_not_at_all(seen: dict[str, Any]) -> None:
    assert seen["transactions"] == {
        "rows after rollback": 0,
        "notes after rollback": "",
        "unsent until commit": True,
        "after commit": "SUCCESSFUL",
    }


def test_a_task_may_go_without_a_row(seen: dict[str, Any]) -> None:
    assert seen["unlogged"] == {"rows": 0, "refreshed": False}


def test_the_same_worker_runs_the_project_s_other_tasks(seen: dict[str, Any]) -> None:
    assert seen["app_tasks"] == {"count": 1, "codec": "json"}


def test_what_no_server_took_stays_in_the_log_and_is_submitted_later(seen: dict[str, Any]) -> None:
    assert seen["unreachable"] == {
        "raised": True,
        "kept": ["READY", ""],
        "said": "1 jobs were submitted\n",
    }


def test_a_job_runs_once_well_and_not_at_all_without_its_row(seen: dict[str, Any]) -> None:
    assert seen["not_run"] == {"twice": 1, "deleted": ""}


def test_the_admin_lists_jobs_and_runs_them_again(seen: dict[str, Any]) -> None:
    assert seen["admin"] == {
        "listing": [200, True],
        "form": [200, True],
        "answer": True,
        "add": 403,
    }


def test_a_task_that_no_worker_would_find_is_refused(seen: dict[str, Any]) -> None:
    assert seen["misplaced"] == (
        "no worker would find __main__.order: define it in tasks.py or workers.py of an "
        "installed app"
    )


def test_the_registry_lists_each_application_s_tasks(seen: dict[str, Any]) -> None:
    listed = seen["listing"]
    assert "shop\tshop.tasks.mail\tdjango\tmail" in listed["all"]
    assert "shop\tshop.count_orders\tgeartrain\tdefault" in listed["all"]
    assert len(listed["all"]) == 12
    assert listed["mail"] == ["shop\tshop.tasks.mail\tdjango\tmail"]
    assert listed["other"] == []


def test_with_our_server_tasks_run_later_and_again_and_in_child_processes(shop: Shop) -> None:
    if shop.way.server == "gearmand":
        assert "later" not in shop.seen
        return
    assert shop.seen["later"] == {"not before": True}
    assert shop.seen["processes"]["child"]
    assert shop.seen["processes"]["pid"] != shop.worker.pid
    # The first attempt failed; the policy of the settings had the server give it out again.
    assert shop.seen["given_up"] == ["FAILED", 3, "geartrain.errors.GivenUp"]
    assert shop.seen["retried"] == ["SUCCESSFUL", 2, 2, 1]


def test_the_migration_is_all_that_the_models_need(seen: dict[str, Any]) -> None:
    assert seen["migrations"] == ["No changes detected in app 'geartrain'"]


def test_old_rows_are_deleted_first_those_that_ended_well(seen: dict[str, Any]) -> None:
    assert seen["pruned"] == {"said": True, "failed are left": True, "in the end": True}


def test_a_stopped_worker_lets_its_task_end(shop: Shop) -> None:
    shop.stop_worker()
    assert shop.server.status("shop.tasks.rest")[0] == 0
    assert json.loads(shop.run("observe.py", "long_one_s_end")) == {"long_one_s_end": True}
