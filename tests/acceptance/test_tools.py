"""Debian's own ``gearman`` and ``gearadmin``, and netcat, as the tutorials use them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.expectations import repaired
from tests.acceptance.job_server import DEADLINE, JobServer
from tests.acceptance.peer import Peers, tool
from tests.services.availability import require

Finished = subprocess.CompletedProcess[bytes]


def gearman(server: JobServer, *options: str, stdin: bytes = b"") -> Finished:
    """Run the client and wait for it; its time limit is ours, because it has none of its own."""
    command = [tool("gearman"), "-p", str(server.port), *options]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE)


def gearadmin(server: JobServer, *options: str) -> Finished:
    command = [tool("gearadmin"), "-p", str(server.port), *options]
    return subprocess.run(command, capture_output=True, timeout=DEADLINE)


def shell_worker(peers: Peers, function: str, *command: str, options: tuple[str, ...] = ()) -> None:
    """Start the tool as a worker whose jobs are done by a command."""
    port = str(peers.job_server.port)
    peers.run([tool("gearman"), "-p", port, "-w", "-f", function, *options, "--", *command])
    peers.job_server.wait_for_workers(function)


# gearman, as a client.


def test_lines_are_counted_as_in_every_tutorial(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "wc", "-l")
    done = gearman(peers.job_server, "-f", function, stdin=b"a\nb\nc\n")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"3", b"")


def test_words_on_the_command_line_are_a_job_each(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "tr", "a-z", "A-Z")
    done = gearman(peers.job_server, "-f", function, "one", "two")
    assert (done.returncode, done.stdout) == (0, b"ONETWO")


def test_a_job_may_have_no_workload(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "wc", "-c")
    done = gearman(peers.job_server, "-s", "-f", function)
    assert (done.returncode, done.stdout.strip()) == (0, b"0")


def test_lines_may_be_a_job_each(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "wc", "-c")
    done = gearman(peers.job_server, "-n", "-f", function, stdin=b"a\nbcd\n")
    assert done.stdout.split() == [b"2", b"4"]
    done = gearman(peers.job_server, "-N", "-f", function, stdin=b"a\nbcd\n")
    assert done.stdout.split() == [b"1", b"3"]


def test_several_functions_are_asked_and_may_be_told_apart(peers: Peers, function: str) -> None:
    upper, count = f"{function}-upper", f"{function}-count"
    shell_worker(peers, upper, "tr", "a-z", "A-Z")
    shell_worker(peers, count, "wc", "-c")
    done = gearman(peers.job_server, "-P", "-f", upper, "-f", count, "word")
    lines = sorted(
        line.split(b":") for line in done.stdout.replace(b"WORD", b"WORD\n").split(b"\n")
    )
    heard = [[part.strip() for part in line] for line in lines if line != [b""]]
    assert heard == [[count.encode(), b"4"], [upper.encode(), b"WORD"]]


def test_data_of_a_worker_that_prints_lines_arrives(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "printf", "one\\n", options=("-n",))
    done = gearman(peers.job_server, "-f", function, "x")
    assert done.returncode == 0
    assert done.stdout == b"one\n"


@pytest.mark.parametrize(("option", "place"), [("-I", 0), ("-L", 2)])
def test_priorities_change_the_order_in_the_background(
    peers: Peers, function: str, option: str, place: int
) -> None:
    for options, workload in (((), "first"), ((option,), "other"), ((), "second")):
        done = gearman(peers.job_server, "-b", *options, "-f", function, workload)
        assert (done.returncode, done.stdout) == (0, b"")
    worker = peers.worker("c", echo=function)
    order = [worker.event("job")["workload"] for _ in range(3)]
    assert order.index(b"other") == place


def test_a_unique_key_is_passed_on(peers: Peers, function: str) -> None:
    worker = peers.worker("c", reverse=function)
    assert gearman(peers.job_server, "-u", "photo-1", "-f", function, "abc").stdout == b"cba"
    assert worker.event("job")["unique"] == "photo-1"


def test_a_command_that_fails_makes_the_client_fail(peers: Peers, function: str) -> None:
    shell_worker(peers, function, "false")
    done = gearman(peers.job_server, "-f", function, "x")
    assert done.returncode == 1
    assert b"Job failed" in done.stderr


@repaired("its WORK_FAIL ends with a NUL, and the tool waits for ever for one that does not")
def test_a_worker_that_raised_makes_the_client_fail(peers: Peers, function: str) -> None:
    peers.worker("c", throw=function)
    done = gearman(peers.job_server, "-f", function, "x")
    assert done.returncode == 1
    assert b"Job failed" in done.stderr


def test_warnings_and_status_are_shown(peers: Peers, function: str) -> None:
    peers.worker("c", story=function)
    done = gearman(peers.job_server, "-v", "-f", function, "x")
    assert done.returncode == 0
    assert b"50% Complete" in done.stdout + done.stderr
    assert b"careful" in done.stdout + done.stderr
    assert b"end" in done.stdout


def test_a_large_file_reaches_a_shell_worker(peers: Peers, function: str, large_file: Path) -> None:
    # Not cat: the tool reads nothing from a command before it has written everything to it.
    shell_worker(peers, function, "wc", "-c")
    workload = large_file.read_bytes()
    done = gearman(peers.job_server, "-f", function, stdin=workload)
    assert int(done.stdout) == len(workload)


# gearman, as a worker.


def test_a_worker_leaves_after_as_many_jobs_as_it_was_told(peers: Peers, function: str) -> None:
    port = str(peers.job_server.port)
    worker = peers.run([tool("gearman"), "-p", port, "-w", "-c", "2", "-f", function, "--", "cat"])
    peers.job_server.wait_for_workers(function)
    assert peers.client("c", "run", function, workload="a").result() == b"a"
    assert peers.client("c", "run", function, workload="b").result() == b"b"
    assert worker.exit_code() == 0
    peers.job_server.wait_for_workers(function, 0)


# gearadmin.


@pytest.fixture
def busy_peers(fresh_peers: Peers) -> Peers:
    """A server with a worker named gino that is busy, and three jobs that wait behind it."""
    worker = fresh_peers.worker("c", id="gino", hang="resize")
    for number, priority in enumerate(("normal", "high", "normal", "low")):
        words = {"workload": "x", "priority": priority, "unique": f"photo-{number}"}
        fresh_peers.client("c", "background", "resize", **words).events()
        if number == 0:
            worker.event("job")
    return fresh_peers


def test_status_of_every_function(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--status")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"resize\t4\t1\t1\n.\n", b"")


def test_status_by_priority(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--priority-status")
    assert (done.returncode, done.stdout) == (0, b"resize\t1\t1\t1\t1\n.\n")


def test_workers_and_other_connections_are_listed(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--workers")
    lines = [line.split(b" ", 1)[1] for line in done.stdout.split(b"\n") if b" " in line]
    assert sorted(lines) == [b"127.0.0.1 - :", b"127.0.0.1 gino : resize"]
    assert done.stdout.endswith(b"\n.\n")


def test_jobs_are_listed(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--show-jobs")
    *jobs, dot, rest = done.stdout.split(b"\n")
    assert (dot, rest) == (b".", b"")
    handles = [job.split(b"\t")[0] for job in jobs]
    assert len(set(handles)) == 4
    assert all(handle.startswith(b"H:") for handle in handles)
    # Retries, ignored, queued; and the running job is listed like the others.
    assert [job.split(b"\t")[1:] for job in jobs] == [[b"0", b"0", b"1"]] * 4


def test_unique_keys_are_listed(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--show-unique-jobs")
    *keys, dot, rest = done.stdout.split(b"\n")
    assert (dot, rest) == (b".", b"")
    assert sorted(keys) == [b"photo-0", b"photo-1", b"photo-2", b"photo-3"]


def test_a_waiting_job_can_be_cancelled(peers: Peers, function: str) -> None:
    client = peers.client("c", "run", function, workload="x")
    handle = client.event("created")["handle"]
    done = gearadmin(peers.job_server, f"--cancel-job={handle}")
    assert (done.returncode, done.stdout) == (0, b"OK\n")
    assert client.names() == ["created", "fail"]
    worker = peers.worker("c", echo=function)
    assert peers.client("c", "run", function, workload="next").result() == b"next"
    assert worker.event("job")["workload"] == b"next"


def test_functions_are_created_and_dropped(peers: Peers, function: str) -> None:
    assert gearadmin(peers.job_server, f"--create-function={function}").stdout == b"OK\n"
    assert f"{function}\t0\t0\t0\n" in peers.job_server.ask("status")
    assert gearadmin(peers.job_server, f"--drop-function={function}").stdout == b"OK\n"
    assert function not in peers.job_server.ask("status")


def test_what_cannot_be_done_is_said_on_standard_error(peers: Peers, function: str) -> None:
    done = gearadmin(peers.job_server, f"--drop-function={function}")
    assert (done.stdout, done.stderr) == (b"", b"Error: function not found\r\n")
    done = gearadmin(peers.job_server, "--cancel-job=H:nowhere:1")
    assert (done.stdout, done.stderr) == (b"", b"Error: UNKNOWN_JOB\r\n")
    peers.worker("c", echo=function)
    done = gearadmin(peers.job_server, f"--drop-function={function}")
    problem = b"Error: there are still connected workers or executing clients\r\n"
    assert (done.stdout, done.stderr) == (b"", problem)


def test_the_server_tells_its_pid_version_and_verbosity(job_server: JobServer) -> None:
    done = gearadmin(job_server, "--getpid")
    assert (done.returncode, done.stdout) == (0, b"%d\n" % job_server.process.pid)
    done = gearadmin(job_server, "--server-version")
    version = job_server.ask("version").removeprefix("OK ")
    assert (done.returncode, done.stdout.decode()) == (0, version)
    done = gearadmin(job_server, "--server-verbose")
    levels = (b"FATAL", b"ALERT", b"CRITICAL", b"ERROR", b"WARNING", b"NOTICE", b"INFO", b"DEBUG")
    assert done.stdout.strip() in levels


def test_many_questions_may_be_asked_at_once(busy_peers: Peers) -> None:
    done = gearadmin(busy_peers.job_server, "--getpid", "--status", "--server-version")
    assert done.returncode == 0
    version = busy_peers.job_server.ask("version").removeprefix("OK ")
    pid = busy_peers.job_server.process.pid
    # The tool has an order of its own.
    assert done.stdout.decode() == f"{pid}\n{version}resize\t4\t1\t1\n.\n"


# netcat.


def netcat(server: JobServer, lines: str, options: str) -> bytes:
    """Pipe lines through netcat as a shell does, after which it hangs up in its own way."""
    require("netcat")
    command = f"{lines} | nc {options} 127.0.0.1 {server.port}"
    return subprocess.run(
        ["/bin/sh", "-c", command], stdout=subprocess.PIPE, timeout=DEADLINE, check=True
    ).stdout


@pytest.mark.parametrize("command", ["echo status", "printf 'status\\r\\n'"])
def test_status_by_netcat_as_monitoring_scripts_ask_for_it(busy_peers: Peers, command: str) -> None:
    # Without the pause, a netcat that hangs up at the end of its input is gone before the answer.
    answer = netcat(busy_peers.job_server, f"({command}; sleep 0.1)", "-q 0")
    assert answer == b"resize\t4\t1\t1\n.\n"


@repaired("it may drop a peer that stopped sending before it has sent its answer")
def test_a_netcat_that_only_stops_sending_is_answered_and_hung_up_on(
    job_server: JobServer,
) -> None:
    version = job_server.ask("version").encode()
    assert netcat(job_server, "echo version", "-N") == version


def test_several_commands_down_one_netcat(busy_peers: Peers) -> None:
    server = busy_peers.job_server
    lines = "(printf 'version\\nstatus\\nshow nothing\\nnonsense\\n'; sleep 0.1)"
    version = server.ask("version").encode()
    assert netcat(server, lines, "-q 0") == (
        version + b"resize\t4\t1\t1\n.\n"
        b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
        b"ERR UNKNOWN_COMMAND Unknown+server+commandnonsense\r\n"
    )
