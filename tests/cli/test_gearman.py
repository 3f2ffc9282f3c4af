"""``gearman`` as a process, beside Debian's, against gearmand and against our own server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geartrain import __version__
from geartrain.cli.gearman_client import new_unique, percent, printable
from geartrain.cli.gearman_options import parse_options
from geartrain.client.address import Address
from geartrain.errors import UsageError
from geartrain.wire.packet import (
    CAN_DO,
    ERROR,
    GRAB_JOB_ALL,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NO_JOB,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    Packet,
)
from geartrain.wire.writer import pack_response
from tests.acceptance.job_server import eventually, free_port

CREATED = pack_response(JOB_CREATED, [b"H:t:1"])
PASSWD = Path("/etc/passwd").read_bytes()


def stops(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process and return how it ended."""
    return process.wait(10)


# Client mode, beside gearmand's tool.


@pytest.mark.parametrize(
    ("args", "stdin"),
    [
        ([], PASSWD),
        ([], b"nul\0 and no newline"),
        (["-s"], PASSWD),
        (["one", "two", "three"], b""),
        (["-P", "one", "two\n"], b""),
        (["-n"], b"one\ntwo\nthree"),
        (["-N"], b"one\ntwo\nthree\n"),
        (["-n", "-P"], b"one\ntwo\n"),
        (["-I", "high"], b""),
        (["-L", "-P", "low"], b""),
        (["-u", "key", "one", "two"], b""),
        (["-P", "-s"], b""),
        (["-b", "-P", "background"], b""),
        (["-t", "5000", "one"], b""),
    ],
)
def test_a_client_prints_what_gearmands_tool_prints(server, tools, function, args, stdin):
    tools.worker(server, function, "--", "cat")
    theirs = tools.run("gearman", "-f", function, *args, stdin=stdin, server=server, debian=True)
    ours = tools.run("gearman", "-f", function, *args, stdin=stdin, server=server)
    assert ours.stdout == theirs.stdout
    assert ours.stderr == theirs.stderr == b""
    assert ours.returncode == theirs.returncode == 0


def test_the_line_of_every_tutorial_counts_lines(server, tools, function):
    tools.worker(server, function, "--", "wc", "-l")
    result = tools.run("gearman", "-f", function, stdin=PASSWD, server=server)
    assert int(result.stdout) == PASSWD.count(b"\n")


@pytest.mark.parametrize("debian", [False, True])
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ([], SUBMIT_JOB),
        (["-I"], SUBMIT_JOB_HIGH),
        (["-L"], SUBMIT_JOB_LOW),
        (["-b"], SUBMIT_JOB_BG),
        (["-bI"], SUBMIT_JOB_HIGH_BG),
        (["-L", "-b"], SUBMIT_JOB_LOW_BG),
    ],
)
def test_a_submission_is_the_same_packet_as_of_gearmands_tool(tools, script, options, kind, debian):
    peer = script(lambda packet: CREATED + pack_response(WORK_COMPLETE, [b"H:t:1", b"done"]))
    submission = [*options, "-f", "resize", "-u", "photo", "workload"]
    assert tools.run("gearman", *submission, server=peer, debian=debian).returncode == 0
    packets = [packet for packet in peer.received if packet.type != OPTION_REQ]
    assert packets == [Packet(kind, [b"resize", b"photo", b"workload"])]


def test_each_job_without_a_key_gets_one_of_its_own(tools, script):
    peer = script(lambda packet: CREATED)
    assert tools.run("gearman", "-b", "-f", "f", "a", "b", "-u", "", server=peer).returncode == 0
    uniques = [packet.args[1] for packet in peer.received]
    assert len(set(uniques)) == 2
    assert {len(unique) for unique in uniques} == {36}


def test_several_functions_get_each_workload(server, tools, function):
    tools.worker(server, function, "-f", f"{function}b", "--", "cat")
    functions = ["-f", function, "-f", f"{function}b"]
    result = tools.run("gearman", *functions, "-n", "-P", stdin=b"1\n2\n", server=server)
    lines = result.stdout.decode().splitlines()
    assert sorted(lines[:2]) == [f"{function}: 1", f"{function}b: 1"]
    assert sorted(lines[2:]) == [f"{function}: 2", f"{function}b: 2"]


def test_jobs_that_coalesce_are_each_waited_for(server, tools, function):
    tools.worker(server, function, "--", "sh", "-c", "sleep 0.2; cat")
    coalesced = ["-f", function, "-f", function, "-u", "key", "-P", "x\n"]
    result = tools.run("gearman", *coalesced, server=server)
    assert result.stdout.decode() == f"{function}: x\n" * 2


def test_lines_may_be_long_and_hold_nuls_and_be_empty(server, tools, function):
    tools.worker(server, function, "--", "cat")
    lines = [b"x" * 100_000, b"nul\0nul", b"", b"last"]
    result = tools.run(
        "gearman", "-f", function, "-N", "-P", stdin=b"\n".join(lines), server=server
    )
    assert result.returncode == 0
    prefix = function.encode() + b": "
    assert result.stdout == b"".join(prefix + line for line in lines)


def test_no_input_at_all_is_a_job_without_workload(server, tools, function):
    tools.worker(server, function, "--", "wc", "-c")
    assert int(tools.run("gearman", "-f", function, server=server).stdout) == 0
    assert int(tools.run("gearman", "-f", function, "", server=server).stdout) == 0


def test_no_lines_are_no_jobs(tools, script):
    peer = script(lambda packet: CREATED)
    assert tools.run("gearman", "-n", "-f", "f", server=peer).returncode == 0
    assert peer.received == []


def test_verbose_prints_the_handle_before_the_result(server, tools, function):
    tools.worker(server, function, "--", "echo", "done")
    result = tools.run("gearman", "-v", "-s", "-f", function, server=server)
    created, done = result.stdout.decode().splitlines()
    assert created.startswith("Task created: H:")
    assert done == "done"


# What a worker may send.


def prints(tools, script, *packets, args=("-f", "f", "x")):
    """Return the run of a client whose job answers with these packets."""
    answer = CREATED + b"".join(pack_response(kind, list(words)) for kind, *words in packets)
    return tools.run("gearman", *args, server=script(lambda packet: answer))


def test_data_status_and_warnings_are_printed_as_they_come(tools, script):
    result = prints(
        tools,
        script,
        (WORK_DATA, b"H:t:1", b"data "),
        (WORK_STATUS, b"H:t:1", b"1", b"3"),
        (WORK_WARNING, b"H:t:1", b"careful"),
        (WORK_COMPLETE, b"H:t:1", b"end"),
        args=["-P", "-f", "f", "x"],
    )
    assert result.stdout == b"f: data f: 33% Complete\nf: end"
    assert result.stderr == b"f: careful"
    assert result.returncode == 0


def test_a_status_of_nothing_in_nothing_is_no_crash(tools, script):
    result = prints(
        tools,
        script,
        (WORK_STATUS, b"H:t:1", b"0", b"0"),
        (WORK_STATUS, b"H:t:1", b"9e40", b"x"),
        (WORK_COMPLETE, b"H:t:1", b"end"),
    )
    assert result.stdout == b"0% Complete\n0% Complete\nend"
    assert result.returncode == 0


def test_a_failed_job_is_exit_code_1(tools, script):
    result = prints(tools, script, (WORK_DATA, b"H:t:1", b"output"), (WORK_FAIL, b"H:t:1"))
    assert result.stdout == b"output"
    assert result.stderr == b"Job failed\n"
    assert result.returncode == 1


def test_a_failure_with_a_nul_after_its_handle_is_a_failure(tools, script):
    result = prints(tools, script, (WORK_FAIL, b"H:t:1\0"))
    assert result.stderr == b"Job failed\n"
    assert result.returncode == 1


def test_an_exception_is_printed_and_is_exit_code_1(tools, script):
    args = ["-P", "-f", "f", "x"]
    result = prints(tools, script, (WORK_EXCEPTION, b"H:t:1", b"ValueError: no"), args=args)
    assert result.stdout == b""
    assert result.stderr == b"f: ValueError: no\nf: Job failed\n"
    assert result.returncode == 1


def test_packets_of_jobs_nobody_waits_for_are_ignored(tools, script):
    result = prints(
        tools,
        script,
        (WORK_DATA, b"H:t:2", b"not mine"),
        (WORK_FAIL, b"H:t:2"),
        (OPTION_RES, b"exceptions"),
        (WORK_COMPLETE, b"H:t:1", b"mine"),
    )
    assert result.stdout == b"mine"
    assert result.returncode == 0


@pytest.mark.parametrize("code", [b"UNKNOWN_OPTION", b"INVALID_COMMAND"])
def test_a_server_without_exceptions_serves_as_well(tools, script, code):
    def answer(packet):
        if packet.type == OPTION_REQ:
            return pack_response(ERROR, [code, b"no"])
        return CREATED + pack_response(WORK_COMPLETE, [b"H:t:1", b"done"])

    peer = script(answer, knows_options=False)
    result = tools.run("gearman", "-f", "f", "x", server=peer)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"done", b"")


# What goes wrong.


def test_jobs_after_a_failed_one_are_still_done(server, tools, function):
    tools.worker(server, function, "--", "sh", "-c", 'read word; echo "$word"; test "$word" != 2')
    result = tools.run("gearman", "-f", function, "1", "2", "3", server=server)
    assert result.stdout == b"1\n2\n3\n"
    assert result.stderr == b"Job failed\n"
    assert result.returncode == 1


def test_no_server_is_one_line_and_exit_code_3(tools):
    result = tools.run("gearman", "-h", "127.0.0.1", "-p", "1", "-f", "f", "x", "y")
    assert result.returncode == 3
    assert result.stderr.startswith(b"gearman: no job server could be reached: 127.0.0.1:1 (")
    assert b"geartrain serve" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_a_host_without_an_address_is_one_line_and_exit_code_3(tools):
    result = tools.run("gearman", "-h", "nowhere.invalid", "-f", "f", "x")
    assert result.returncode == 3
    assert b"nowhere.invalid:4730" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_a_server_that_hangs_up_is_one_line_and_exit_code_3(tools, script):
    result = tools.run("gearman", "-f", "f", "x", server=script(lambda packet: None))
    assert result.returncode == 3
    assert b"closed the connection before all was done" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_something_that_is_no_job_server_is_exit_code_3(tools, script):
    peer = script(lambda packet: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    result = tools.run("gearman", "-f", "f", "x", server=peer)
    assert result.returncode == 3
    assert b"does not speak the Gearman protocol" in result.stderr


def test_a_timeout_is_one_line_and_exit_code_6(server, tools, function):
    start = time.monotonic()
    result = tools.run("gearman", "-t", "200", "-f", function, "x", server=server)
    assert 0.2 <= time.monotonic() - start < 8
    assert result.returncode == 6
    assert f"no answer for {function} within 200 ms".encode() in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_jobs_after_a_timeout_are_still_done(tools, script):
    def answer(packet):
        done = pack_response(WORK_COMPLETE, [b"H:t:1", packet.args[2]])
        return CREATED if packet.args[2] == b"slow" else CREATED + done

    peer = script(answer)
    result = tools.run("gearman", "-t", "200", "-f", "f", "slow", "quick", server=peer)
    assert result.returncode == 6
    assert result.stdout == b"quick"


def test_a_refused_job_is_exit_code_5_and_says_why(server, tools, function):
    tools.run("gearadmin", f"--create-function={function}", server=server)
    assert server.tell(f"maxqueue {function} 1") == b"OK\r\n"
    result = tools.run("gearman", "-b", "-v", "-f", function, "1", "2", "3", server=server)
    assert result.returncode == 5
    assert result.stdout.count(b"Task created: ") == 1
    line = f"gearman: {function}: job refused: Job queue is full (QUEUE_ERROR)\n"
    assert result.stderr.decode() == line * 2


def test_an_error_without_words_is_given_some(tools, script):
    error = pack_response(ERROR, [b"QUEUE_ERROR", b"QUEUE_ERROR"])
    result = tools.run("gearman", "-b", "-f", "f", "x", server=script(lambda packet: error))
    assert result.returncode == 5
    words = b"gearman: f: job refused: the server could not accept it (QUEUE_ERROR)\n"
    assert result.stderr == words


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], b"no function is given"),
        (["x"], b"no function is given"),
        (["-w"], b"no function is given"),
        (["-f"], b"-f requires argument"),
        (["-f", ""], b"the function has no name"),
        (["-f", "f" * 513], b"at most 512 bytes"),
        (["-f", "f", "-u", "u" * 65], b"at most 64 bytes"),
        (["-f", "f", "-x"], b"-x not recognized"),
        (["-w", "-f", "f", "wc", "-l"], b"-l not recognized; put -- before the command"),
        (["-f", "f", "-c", "many"], b"'many' is not a number of jobs"),
        (["-f", "f", "-t", "soon"], b"'soon' is not a number of milliseconds"),
        (["-f", "f", "-p", "0"], b"not within 1..65535"),
        (["-f", "f", "-p", "no-such"], b"neither a port number nor a known service"),
        (["-f", "f", "-S"], b"SSL connections are not available"),
        (["-f", "f", "-i", "/nowhere/pid", "x"], b"/nowhere/pid can't be written"),
        (["-w", "-f", "f", "--", "no-such-command"], b"'no-such-command' is not found"),
        (["-d", "-w", "-f", "f", "-i", "/nowhere/pid"], b"/nowhere/pid can't be written"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_next_step(tools, args, words):
    result = tools.run("gearman", *args)
    assert result.returncode == 1
    assert result.stdout == b""
    assert words in result.stderr
    assert b"gearman -H" in result.stderr
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("option", ["-H", "--help"])
def test_help_lists_every_option_of_gearmands_tool(tools, option):
    theirs = tools.run("gearman", "-H", debian=True).stderr.decode()
    ours = tools.run("gearman", option)
    assert ours.returncode == 0
    assert ours.stderr == b""
    options = [line[:18] for line in theirs.splitlines() if line.startswith("\t-")]
    assert len(options) > 15
    for line in options:
        assert line in ours.stdout.decode()


def test_the_version_is_ours(tools):
    assert tools.run("gearman", "--version").stdout.decode().split()[-1] == __version__


# Servers.


def test_gearman_server_goes_before_the_options_as_in_gearmands_tool(server, tools, function):
    tools.worker(server, function, "--", "cat")
    alive = f"127.0.0.1:{server.port}"
    result = tools.run("gearman", "-p", "1", "-f", function, "x", GEARMAN_SERVER=alive)
    assert result.stdout == b"x"


def test_gearman_servers_is_read_where_no_option_names_one(server, tools, function):
    tools.worker(server, function, "--", "cat")
    alive = f"127.0.0.1:{server.port}"
    result = tools.run("gearman", "-f", function, "x", GEARMAN_SERVERS=alive)
    assert result.stdout == b"x"
    result = tools.run("gearman", "-p", "1", "-f", function, "x", GEARMAN_SERVERS=alive)
    assert result.returncode == 3


def test_a_client_takes_the_first_server_that_is_there(server, tools, function):
    tools.worker(server, function, "--", "cat")
    for servers in (f"127.0.0.1:1,127.0.0.1:{server.port}", f"127.0.0.1:1 localhost:{server.port}"):
        result = tools.run("gearman", "-f", function, "x", GEARMAN_SERVER=servers)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"x", b"")


@pytest.mark.parametrize("name", ["gearmand", "geartrain"])
def test_ipv6_is_spoken(start_server, tools, name):
    server = start_server(name, host="::1")
    tools.worker(server, "f", "--", "cat")
    assert tools.run("gearman", "-f", "f", "x", server=server).stdout == b"x"
    address = f"[::1]:{server.port}"
    assert tools.run("gearman", "-f", "f", "x", "-h", address).stdout == b"x"
    assert tools.run("gearman", "-f", "f", "x", GEARMAN_SERVER=address).stdout == b"x"


def test_unix_sockets_are_spoken(start_server, tools, tmp_path):
    server = start_server("geartrain", path=str(tmp_path / "socket"))
    tools.worker(server, "f", "--", "cat")
    assert tools.run("gearman", "-f", "f", "x", server=server).stdout == b"x"
    address = f"unix:{server.path}"
    assert tools.run("gearman", "-f", "f", "x", GEARMAN_SERVER=address).stdout == b"x"


# Worker mode.


@pytest.mark.parametrize("debian", [False, True])
@pytest.mark.parametrize(
    ("args", "packets"),
    [
        (["--", "cat"], [Packet(WORK_COMPLETE, [b"H:t:1", b"work\nload"])]),
        (["--", "true"], [Packet(WORK_COMPLETE, [b"H:t:1", b""])]),
        ([], [Packet(WORK_COMPLETE, [b"H:t:1", b""])]),
        (["--", "false"], [Packet(WORK_FAIL, [b"H:t:1"])]),
        (
            ["--", "sh", "-c", "cat; exit 3"],
            [Packet(WORK_DATA, [b"H:t:1", b"work\nload"]), Packet(WORK_FAIL, [b"H:t:1"])],
        ),
        (
            ["-n", "--", "head", "-n1"],
            [Packet(WORK_DATA, [b"H:t:1", b"work\n"]), Packet(WORK_COMPLETE, [b"H:t:1", b""])],
        ),
        (
            ["-N", "--", "head", "-n1"],
            [Packet(WORK_DATA, [b"H:t:1", b"work"]), Packet(WORK_COMPLETE, [b"H:t:1", b""])],
        ),
    ],
)
def test_a_worker_sends_the_same_packets_as_gearmands_tool(tools, script, args, packets, debian):
    def answer(packet):
        if packet.type == GRAB_JOB_ALL:
            return pack_response(JOB_ASSIGN_UNIQ, [b"H:t:1", b"f", b"key", b"work\nload"])
        return b""

    peer = script(answer)
    result = tools.run("gearman", "-w", "-c", "1", "-f", "f", *args, server=peer, debian=debian)
    assert result.returncode == 0
    assert result.stdout == (b"work\nload" if not args else b"")
    grab = [Packet(CAN_DO, [b"f"]), Packet(GRAB_JOB_ALL, [])]
    eventually(lambda: len(peer.received) >= 2 + len(packets), "all packets have come")
    assert peer.received == grab + packets


def test_a_worker_announces_all_functions_and_sleeps_where_there_is_nothing_to_do(tools, script):
    peer = script(lambda packet: pack_response(NO_JOB, []) if packet.type == GRAB_JOB_ALL else b"")
    tools.start("-w", "-f", "f", "-f", "g", "--", "cat", server=peer)
    eventually(lambda: len(peer.received) == 4, "the worker sleeps")
    announced = [Packet(CAN_DO, [b"f"]), Packet(CAN_DO, [b"g"])]
    assert peer.received == [*announced, Packet(GRAB_JOB_ALL, []), Packet(PRE_SLEEP, [])]


@pytest.mark.parametrize(
    "assignment",
    [
        Packet(JOB_ASSIGN, [b"H:t:1", b"f", b"load"]),
        Packet(JOB_ASSIGN_UNIQ, [b"H:t:1", b"f", b"key", b"load"]),
        Packet(JOB_ASSIGN_ALL, [b"H:t:1", b"f", b"key", b"reducer", b"load"]),
    ],
)
def test_every_kind_of_assignment_is_understood(tools, script, assignment):
    peer = script(
        lambda packet: (
            pack_response(assignment.type, assignment.args) if packet.type == GRAB_JOB_ALL else b""
        )
    )
    facts = 'echo "$GEARMAN_FUNCTION $GEARMAN_HANDLE $GEARMAN_UNIQUE $(cat)"'
    result = tools.run("gearman", "-wc1", "-ff", "--", "sh", "-c", facts, server=peer)
    assert result.returncode == 0
    eventually(lambda: peer.received[-1].type == WORK_COMPLETE, "the result has come")
    unique = b"" if assignment.type == JOB_ASSIGN else b"key"
    assert peer.received[-1].args == [b"H:t:1", b"f H:t:1 " + unique + b" load\n"]


def test_a_worker_without_a_command_prints_workloads(server, tools, function):
    worker = tools.worker(server, function, "-c", "2")
    assert tools.run("gearman", "-f", function, "one\n", "two\n", server=server).stdout == b""
    assert stops(worker) == 0
    assert worker.stdout.read() == b"one\ntwo\n"


def test_each_line_is_its_own_piece_of_data_as_soon_as_it_is_written(server, tools, function):
    command = 'echo one; read line; printf "two\\nthr"; echo ee; printf "four"'
    tools.worker(server, function, "-n", "--", "sh", "-c", command)
    result = tools.run("gearman", "-P", "-f", function, "go\n", server=server)
    assert result.stdout.decode() == "".join(
        f"{function}: {line}" for line in ("one\n", "two\n", "three\n", "four", "")
    )


def test_lines_lose_their_newline_and_nothing_else(server, tools, function):
    tools.worker(server, function, "-N", "--", "printf", r"one\n\ntwo\r\nthree")
    result = tools.run("gearman", "-P", "-s", "-f", function, server=server)
    assert result.stdout.decode() == "".join(
        f"{function}: {line}" for line in ("one", "", "two\r", "three", "")
    )


def test_the_lines_of_a_failing_command_are_sent_once(server, tools, function):
    tools.worker(server, function, "-n", "--", "sh", "-c", "echo one; printf two; exit 1")
    result = tools.run("gearman", "-P", "-s", "-f", function, server=server)
    assert result.stdout.decode() == f"{function}: one\n{function}: two"
    assert result.returncode == 1


def test_workload_and_output_may_be_larger_than_any_pipe(server, tools, function):
    tools.worker(server, function, "--", "cat")
    workload = os.urandom(2 * 1024 * 1024)
    result = tools.run("gearman", "-f", function, stdin=workload, server=server)
    assert result.stdout == workload


def test_a_command_need_not_read_its_workload(server, tools, function):
    tools.worker(server, function, "--", "head", "-c", "500000", "/dev/zero")
    result = tools.run("gearman", "-f", function, stdin=b"x" * 1_000_000, server=server)
    assert result.returncode == 0
    assert result.stdout == bytes(500_000)


def test_a_command_that_a_signal_kills_fails_its_job(server, tools, function):
    worker = tools.worker(server, function, "-c", "1", "--", "sh", "-c", "echo out; kill -9 $$")
    result = tools.run("gearman", "-s", "-f", function, server=server)
    assert result.stdout == b"out\n"
    assert result.returncode == 1
    assert stops(worker) == 0
    assert worker.stderr.read().endswith(b": sh was killed by SIGKILL\n")


def test_a_failing_command_is_named_on_standard_error(server, tools, function):
    worker = tools.worker(server, function, "-c", "1", "--", "sh", "-c", "exit 3")
    assert tools.run("gearman", "-s", "-f", function, server=server).returncode == 1
    assert stops(worker) == 0
    line = worker.stderr.read().decode()
    assert line.startswith(f"gearman: {function} H:")
    assert line.endswith(": sh exited with status 3\n")


def test_a_command_gets_signals_as_the_shell_would_give_them(server, tools, function):
    # With SIGPIPE ignored, as here, yes would complain instead of ending.
    command = "yes | head -n1; echo ${PIPESTATUS[0]}"
    tools.worker(server, function, "--", "bash", "-c", command)
    result = tools.run("gearman", "-s", "-f", function, server=server)
    assert result.stdout == b"y\n141\n"


def test_a_worker_ends_after_so_many_jobs(server, tools, function):
    worker = tools.worker(server, function, "-c", "2", "--", "cat")
    assert tools.run("gearman", "-f", function, "1", "2", server=server).returncode == 0
    assert stops(worker) == 0
    server.wait_for_workers(function, 0)


def test_a_worker_that_waits_in_vain_counts_that_and_exits_with_6(server, tools, function):
    start = time.monotonic()
    args = ["-w", "-c", "2", "-t", "150", "-f", function, "--", "cat"]
    result = tools.run("gearman", *args, server=server)
    assert result.returncode == 6
    assert 0.3 <= time.monotonic() - start < 8


def test_a_worker_without_a_count_waits_on(server, tools, function):
    worker = tools.worker(server, function, "-t", "50", "--", "cat")
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.3)
    assert tools.run("gearman", "-f", function, "x", server=server).stdout == b"x"


@pytest.mark.parametrize("name", ["gearmand", "geartrain"])
def test_a_worker_comes_back_when_its_server_does(start_server, tools, name):
    server = start_server(name)
    worker = tools.worker(server, "f", "--", "cat")
    server.stop()
    assert b"; trying again\n" in worker.stderr.readline()
    server = start_server(name, port=server.port)
    server.wait_for_workers("f")
    assert tools.run("gearman", "-f", "f", "x", server=server).stdout == b"x"


def test_a_worker_waits_for_a_server_that_is_not_there_yet(start_server, tools):
    port = free_port()
    worker = tools.start("-w", "-h", "127.0.0.1", "-p", str(port), "-f", "f", "--", "cat")
    assert b"no job server at 127.0.0.1" in worker.stderr.readline()
    server = start_server("geartrain", port=port)
    server.wait_for_workers("f")
    assert tools.run("gearman", "-f", "f", "x", server=server).stdout == b"x"


def test_a_worker_with_a_count_does_not_wait_for_a_server(tools):
    result = tools.run("gearman", "-w", "-c", "1", "-p", "1", "-f", "f", "--", "cat")
    assert result.returncode == 3
    assert result.stderr.count(b"\n") == 1


def test_a_worker_with_a_count_ends_when_its_server_does(start_server, tools):
    server = start_server("geartrain")
    worker = tools.worker(server, "f", "-c", "1", "--", "cat")
    server.stop()
    assert stops(worker) == 3


def test_a_worker_serves_all_its_servers(start_server, tools):
    one, other = start_server("geartrain"), start_server("gearmand")
    servers = f"127.0.0.1:{one.port},127.0.0.1:{other.port}"
    tools.start("-w", "-f", "f", "--", "cat", GEARMAN_SERVER=servers)
    for server in (one, other):
        server.wait_for_workers("f")
        assert tools.run("gearman", "-f", "f", "x", "y", server=server).stdout == b"xy"
    other.stop()
    assert tools.run("gearman", "-f", "f", "x", server=one).stdout == b"x"


# Processes and signals.


def test_a_client_that_is_interrupted_dies_of_it_without_words(server, tools, function):
    for number in (signal.SIGINT, signal.SIGTERM):
        client = tools.start("-f", function, "-s", server=server)
        eventually(lambda: server.status(function)[0] >= 1, "the job waits")
        client.send_signal(number)
        assert stops(client) == -number
        assert client.stderr.read() == b""


def test_a_reader_that_stops_reading_ends_a_client_without_words(server, tools, function):
    tools.worker(server, function, "--", "head", "-c", "1000000", "/dev/zero")
    client = tools.start("-f", function, "-s", server=server)
    assert client.stdout.read(1) == b"\0"
    client.stdout.close()
    assert client.stderr.read() == b""
    assert stops(client) == -signal.SIGPIPE


def test_a_sleeping_worker_dies_of_a_signal_and_takes_its_pid_file_along(
    server, tools, function, tmp_path
):
    pid_file = tmp_path / "pid"
    worker = tools.worker(server, function, "-i", str(pid_file), "--", "cat")
    assert pid_file.read_text() == f"{worker.pid}\n"
    worker.send_signal(signal.SIGTERM)
    assert stops(worker) == -signal.SIGTERM
    assert not pid_file.exists()
    assert worker.stderr.read() == b""


def waiting_command(directory: Path) -> list[str]:
    """A command that says when it has begun, and ends when the file ``go`` gets a line."""
    os.mkfifo(directory / "go")
    script = f"touch {directory}/begun; read word < {directory}/go; echo $word"
    return ["--", "sh", "-c", script]


def test_a_worker_that_is_stopped_finishes_its_job_first(server, tools, function, tmp_path):
    worker = tools.worker(server, function, *waiting_command(tmp_path))
    client = tools.start("-f", function, "-s", server=server)
    eventually((tmp_path / "begun").exists, "the command runs")
    worker.send_signal(signal.SIGTERM)
    (tmp_path / "go").write_text("done\n")
    assert stops(client) == 0
    assert client.stdout.read() == b"done\n"
    assert stops(worker) == -signal.SIGTERM


def test_a_second_signal_stops_a_worker_at_once(server, tools, function, tmp_path):
    worker = tools.worker(server, function, *waiting_command(tmp_path))
    tools.start("-f", function, "-s", server=server)
    eventually((tmp_path / "begun").exists, "the command runs")
    worker.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.2)
    worker.send_signal(signal.SIGINT)
    assert stops(worker) == -signal.SIGINT
    (tmp_path / "go").write_text("done\n")


def test_a_job_whose_command_died_with_its_worker_is_done_by_another(
    server, tools, function, tmp_path
):
    # As systemd stops a service: the worker and its command get the signal together.
    command = f"touch {tmp_path}/begun; exec sleep 30"
    worker = tools.start("-w", "-f", function, "--", "sh", "-c", command, server=server, group=True)
    client = tools.start("-f", function, "-s", server=server)
    eventually((tmp_path / "begun").exists, "the command runs")
    os.killpg(worker.pid, signal.SIGTERM)
    assert stops(worker) == -signal.SIGTERM
    tools.worker(server, function, "--", "echo", "done by another")
    assert stops(client) == 0
    assert client.stdout.read() == b"done by another\n"


def test_a_daemon_has_its_pid_file_when_the_prompt_comes_back(server, tools, function, tmp_path):
    pid_file = tmp_path / "pid"
    args = ["-d", "-w", "-i", str(pid_file), "-f", function, "--", "cat"]
    result = tools.run("gearman", *args, server=server)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    pid = int(pid_file.read_text())
    try:
        server.wait_for_workers(function)
        assert tools.run("gearman", "-f", function, "x", server=server).stdout == b"x"
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not pid_file.exists(), "the pid file is gone")


def test_a_daemon_may_submit_what_comes_from_a_pipe(server, tools, function):
    tools.run("gearman", "-d", "-b", "-n", "-f", function, stdin=b"1\n2\n3\n", server=server)
    server.wait_for_jobs(function, 3)


def test_a_pid_file_goes_with_a_client_too(server, tools, function, tmp_path):
    pid_file = tmp_path / "pid"
    pid_file.write_text("old\n")
    args = ["-b", "-i", str(pid_file), "-f", function, "x"]
    assert tools.run("gearman", *args, server=server).returncode == 0
    assert not pid_file.exists()


def test_a_full_disk_is_one_line_and_exit_code_1(server, tools, function):
    tools.worker(server, function, "--", "cat")
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [tools.program("gearman", False), "-p", str(server.port), "-f", function, "x"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=10,
        )
    assert result.returncode == 1
    assert result.stderr == b"gearman: standard output: No space left on device\n"


def test_a_client_imports_nothing_heavy():
    heavy = ["asyncio", "logging", "random", "sqlalchemy", "ssl", "subprocess", "typer", "uuid"]
    modules = "geartrain.cli.gearman, geartrain.cli.gearman_client, geartrain.cli.gearadmin"
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == b"[]\n"


# Without a process.


def test_options_are_bundled_and_follow_data_and_end():
    options = parse_options(["data", "-bIf", "f", "-p9", "-hserver", "-vPn", "--", "-b", "--"], {})
    assert options.functions == [b"f"]
    assert options.addresses == [Address("server", 9)]
    assert options.arguments == ["data", "-b", "--"]
    assert options.background
    assert options.verbose
    assert options.prefix
    assert options.lines
    assert not options.strip
    assert options.priority == "h"


@pytest.mark.parametrize(
    ("args", "address"),
    [
        ([], Address("localhost", 4730)),
        (["-p", "9"], Address("localhost", 9)),
        (["-h", "10.0.0.1"], Address("10.0.0.1", 4730)),
        (["-h", "10.0.0.1:9"], Address("10.0.0.1", 9)),
        (["-h", "10.0.0.1:9", "-p", "8"], Address("10.0.0.1", 8)),
        (["-h", "::1"], Address("::1", 4730)),
        (["-h", "fe80::1%lo", "-p", "9"], Address("fe80::1%lo", 9)),
        (["-h", "[::1]:9"], Address("::1", 9)),
        (["-h", "unix:/run/g"], Address("", 0, "/run/g")),
        (["-h", "unix:/run/g", "-p", "9"], Address("", 0, "/run/g")),
        (["-p", "ssh"], Address("localhost", 22)),
    ],
)
def test_host_and_port_are_read_in_every_spelling(args, address):
    assert parse_options(["-f", "f", *args], {}).addresses == [address]


@pytest.mark.parametrize(
    ("value", "seconds"), [("1500", 1.5), ("0", 0.001), ("-1", None), ("-500", None)]
)
def test_a_timeout_is_in_milliseconds_and_negative_for_none(value, seconds):
    assert parse_options(["-f", "f", "-t", value], {}).timeout == seconds


def test_an_environment_that_can_not_be_read_is_an_error():
    with pytest.raises(UsageError):
        parse_options(["-f", "f"], {"GEARMAN_SERVER": "host:port"})


def test_an_empty_environment_names_no_server():
    environ = {"GEARMAN_SERVER": " ", "GEARMAN_SERVERS": ""}
    assert parse_options(["-f", "f", "-h", "a"], environ).addresses == [Address("a", 4730)]


def test_progress_is_whole_percents():
    assert percent(b"1", b"3") == 33
    assert percent(b"3", b"3") == 100
    assert percent(b"1", b"0") == 0
    assert percent(b"", b"") == 0


def test_names_from_the_wire_can_not_drive_a_terminal():
    assert printable(b"caf\xc3\xa9") == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert printable(b"\x1b[2J\xff") == r"\x1b[2J\xff"


def test_a_new_key_has_the_form_of_a_uuid():
    assert [len(part) for part in new_unique().split(b"-")] == [8, 4, 4, 4, 12]
