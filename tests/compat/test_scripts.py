"""Programs of the 2010s, unchanged but for their print, against gearmand and against our server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.job_server import free_port
from tests.compat.script import ROOT, environment


def start_worker(run, job_server, function, name, *arguments, **more):
    worker = run(name, function, *arguments, **more)
    job_server.wait_for_workers(function)
    return worker


REVERSED = [
    "True: COMPLETE b'!dlroW olleH'",
    "True: CREATED None",
    "handle: H:",
    *(["True: COMPLETE b'eno'", "True: COMPLETE b'owt'", "True: COMPLETE b'\\xff\\x00'"] * 2),
]


def test_jobs_are_submitted_one_by_one_together_and_in_the_background(run, job_server, function):
    start_worker(run, job_server, function, "reverse_worker.py")
    assert run("reverse_client.py", function).lines() == REVERSED


def test_the_other_distribution_installed_does_the_same(run, job_server, function, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for path in (ROOT / "compat" / "gearman").rglob("*"):
        if path.suffix in (".py", ".toml", ".md"):
            copy = source / path.relative_to(ROOT / "compat" / "gearman")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    place = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    pip += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(place), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in place.glob("gearman*")) == ["gearman"]
    start_worker(run, job_server, function, "reverse_worker.py", place=place)
    assert run("reverse_client.py", function, place=place).lines() == REVERSED


def test_data_is_text_where_the_environment_says_so(run, job_server, function):
    worker = start_worker(run, job_server, function, "text_worker.py", GEARMAN_DATA="text")
    client = run("text_client.py", function, GEARMAN_DATA="text")
    assert client.lines() == ["The answer is: Hello, Ada Lovelace!"]
    assert worker.process.stdout.readline() == "greeting ada lovelace\n"


def test_hooks_are_called_and_the_worker_outlives_what_its_functions_raise(
    run, job_server, function
):
    worker = start_worker(run, job_server, function, "hooked_worker.py")
    assert run("hooked_client.py", function).lines() == [
        "COMPLETE b'42' None",
        "FAILED None None",
        "FAILED None None",
        "FAILED None b'out of paper'",
        "timed out: True, complete: False, state: CREATED",
        "COMPLETE b'' None",
    ]
    lines = worker.lines()
    assert lines[:3] == ["execute good", "complete '42'", "after job"]
    assert lines[3:6] == ["execute bad", "exception ZeroDivisionError", "after job"]
    assert lines[6] == "execute wrong"
    assert lines[7].startswith("complete <reversed object")
    assert lines[8:10] == ["exception EncodingError", "after job"]
    assert lines[10:13] == ["execute careful", "complete None", "after job"]
    assert lines[13:] == ["execute leave", "complete None", "after job", "left"]


@pytest.mark.parametrize("encoding", ["json", "pickle"])
def test_objects_travel_by_an_encoder_of_their_own(run, job_server, function, encoding):
    start_worker(run, job_server, function, "encoding_worker.py", encoding)
    a_class = {"json": "FAILED None", "pickle": "COMPLETE <class 'object'>"}[encoding]
    assert run("encoding_client.py", function, encoding).lines() == [
        "COMPLETE {'total': 6, 'polled': True}",
        "COMPLETE None",
        a_class,
        "COMPLETE {'total': 4.5, 'polled': True}",
        "such data has no form",
    ]


def test_jobs_report_while_they_are_under_way(run, job_server, function):
    start_worker(run, job_server, function, "inflight_worker.py")
    assert run("inflight_client.py", function).lines() == [
        "COMPLETE [b'g', b'e', b'a', b'r'] [b'no more letters']",
        "4 of 4, running: True",
        "old names: [(4, 4)] True",
        "timed out: True",
        "known: True, running: True, 1 of 3",
        "COMPLETE b'at last' COMPLETE b'at last'",
        "known: False",
        "known: False",
    ]


def test_administration_is_answered(run, job_server, function):
    start_worker(run, job_server, function, "reverse_worker.py")
    assert run("admin.py", function, f"127.0.0.1:{free_port()}").lines() == [
        "status: 0 0 1",
        "status: 1 0 0",
        "worker: 127.0.0.1 string-reverser",
        "version: True",
        "ping: True",
        f"pid: {job_server.process.pid}",
        "maxqueue: OK",
        "refused: FAILED QUEUE_ERROR",
        "jobs: True",
        "unique: True",
        "cancel: OK",
        "cancel: InvalidAdminClientState",
        *["unavailable: True"] * 3,
        "b'evil'",
    ]


def test_programs_of_version_1_run_too(run, job_server, function):
    worker = start_worker(run, job_server, function, "old_worker.py")
    client = run("old_client.py", function)
    assert client.lines() == ["b'FOO'", "hook b'BAR'", "True", "failed", "H:"]
    lines = worker.lines()
    assert lines[:2] == ["start foo", "complete"]
    assert sorted(lines[2:6]) == ["complete", "complete", "start bar", "start baz"]
    assert lines[6:] == ["start nothing", "fail nothing to do"]


def test_the_module_is_one_by_either_name():
    program = (
        "import gearman, gearman.errors, geartrain.compat.gearman as ours\n"
        "from gearman.worker import GearmanWorker\n"
        "assert gearman is ours and gearman.errors is ours.errors\n"
        "assert GearmanWorker is ours.worker.GearmanWorker is gearman.GearmanWorker\n"
        "gearman.DATA = 'text'\n"
        "assert gearman.DataEncoder.decode(b'x') == 'x'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_module_is_passed_on():
    provided = (ROOT / "compat" / "gearman" / "src" / "gearman" / "__init__.py").read_text()
    modules = {path.stem for path in Path(ROOT / "src/geartrain/compat/gearman").glob("*.py")}
    # Ours alone.
    modules -= {"__init__", "worker_connection"}
    assert {name for name in modules if f'"{name}"' in provided} == modules


def test_a_way_to_hand_data_out_that_nobody_knows_is_refused():
    done = subprocess.run(
        [sys.executable, "-c", "import gearman"],
        env=environment(GEARMAN_DATA="Text"),
        capture_output=True,
        text=True,
    )
    assert "GEARMAN_DATA is 'Text' in the environment; write bytes or text" in done.stderr
