"""``gearadmin`` as a process, beside Debian's, against gearmand and against our own server."""

from __future__ import annotations

import signal

import pytest

from geartrain import __version__
from geartrain.cli.gearadmin import Question, ask_for, print_answer
from geartrain.errors import UsageError
from tests.cli.conftest import Tools
from tests.cli.servers import Server

EVERYTHING = [
    "--status",
    "--workers",
    "--server-version",
    "--server-verbose",
    "--priority-status",
    "--show-jobs",
    "--show-unique-jobs",
    "--getpid",
]


@pytest.fixture
def busy_server(server: Server, function: str, tools: Tools) -> Server:
    """A server with a worker, and jobs of each priority that nobody does."""
    tools.worker(server, f"{function}-worked", "--", "cat")
    for option in ("-I", "-L", "-P"):
        queued = ["-b", option, "-f", function, "-u", f"key{option}", "x"]
        assert tools.run("gearman", *queued, server=server).returncode == 0
    return server


def connections(listing: bytes) -> list[bytes]:
    """Return a list of workers without its order and each connection's number, which vary."""
    return sorted(line.partition(b" ")[2] for line in listing.splitlines())


def test_each_option_prints_what_gearmands_gearadmin_prints(busy_server, tools):
    for option in EVERYTHING:
        theirs = tools.run("gearadmin", option, server=busy_server, debian=True)
        ours = tools.run("gearadmin", option, server=busy_server)
        assert ours.returncode == theirs.returncode == 0
        assert ours.stderr == theirs.stderr == b""
        assert ours.stdout != b""
        if option == "--workers":
            assert connections(ours.stdout) == connections(theirs.stdout)
        else:
            assert ours.stdout == theirs.stdout


def test_all_options_at_once_run_in_gearmands_order(busy_server, tools):
    changes = ["--create-function=new", "--drop-function=new", "--cancel-job=H:nowhere:1"]
    options = [*EVERYTHING, *changes]
    options.remove("--workers")
    theirs = tools.run("gearadmin", *options, server=busy_server, debian=True)
    ours = tools.run("gearadmin", *reversed(options), server=busy_server)
    assert ours.stdout == theirs.stdout
    assert ours.stderr.replace(b"\r", b"") == theirs.stderr.replace(b"\r", b"")
    assert ours.stderr == b"Error: UNKNOWN_JOB\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--host={host}", "--port={port}", "--getpid"],
        ["--host", "{host}", "--port", "{port}", "--getpid"],
        ["-h{host}", "-p{port}", "--getpid"],
        ["-h", "{host}:{port}", "--getpid"],
        ["-p", "{port}", "-h", "{host}", "--getp"],
    ],
)
def test_options_have_all_their_spellings(server, tools, options):
    options = [option.format(host=server.host, port=server.port) for option in options]
    result = tools.run("gearadmin", *options)
    assert result.returncode == 0
    assert result.stdout == b"%d\n" % server.process.pid


def test_the_environment_names_the_server_where_no_option_does(server, tools):
    address = f"127.0.0.1:{server.port}"
    result = tools.run("gearadmin", "--getpid", GEARMAN_SERVERS=address)
    assert result.stdout == b"%d\n" % server.process.pid
    result = tools.run("gearadmin", "-p", "1", "--getpid", GEARMAN_SERVERS=address)
    assert result.returncode == 1


def test_a_job_is_cancelled(server, tools, function):
    submission = tools.run("gearman", "-v", "-b", "-f", function, "x", server=server)
    handle = submission.stdout.decode().removeprefix("Task created: ").strip()
    result = tools.run("gearadmin", f"--cancel-job={handle}", server=server)
    assert result.returncode == 0
    assert result.stdout == b"OK\n"


def test_functions_are_created_and_dropped_one_after_the_other(server, tools, function):
    names = [f"--create-function={function}-{number}" for number in (1, 2)]
    result = tools.run("gearadmin", *names, "--status", server=server)
    assert result.stdout.startswith(b"OK\nOK\n")
    assert f"{function}-1\t0\t0\t0\n".encode() in result.stdout
    names = [f"--drop-function={function}-{number}" for number in (1, 2)]
    result = tools.run("gearadmin", *names, "--status", server=server)
    assert f"{function}-1\t".encode() not in result.stdout
    assert f"{function}-2\t".encode() not in result.stdout


def test_an_error_of_the_server_is_an_exit_code_and_does_not_stop_the_rest(server, tools):
    result = tools.run("gearadmin", "--drop-function=nobody", "--getpid", server=server)
    assert result.returncode == 5
    assert result.stdout == b"%d\n" % server.process.pid
    assert result.stderr == b"Error: function not found\n"


def test_a_queue_is_limited(server, tools, function):
    tools.run("gearadmin", f"--create-function={function}", server=server)
    result = tools.run("gearadmin", "--maxqueue", f"{function} 1", server=server)
    assert (result.returncode, result.stdout) == (0, b"OK\n")
    result = tools.run("gearman", "-b", "-f", function, "1", "2", server=server)
    assert result.returncode == 5


def test_our_server_is_shut_down(start_server, tools):
    server = start_server("geartrain")
    result = tools.run("gearadmin", "--shutdown", server=server)
    assert (result.returncode, result.stdout) == (0, b"OK\n")
    assert server.process.wait(10) == 0


def test_our_server_is_shut_down_gracefully(start_server, tools):
    server = start_server("geartrain")
    result = tools.run("gearadmin", "--shutdown-graceful", server=server)
    assert (result.returncode, result.stdout) == (0, b"OK\n")
    assert server.process.wait(10) == 0


def test_gearmand_no_longer_knows_shutdown_and_that_is_an_error(start_server, tools):
    result = tools.run("gearadmin", "--shutdown", server=start_server("gearmand"))
    assert result.returncode == 5
    assert result.stderr == b"Error: UNKNOWN_COMMAND Unknown+server+commandshutdown\n"


@pytest.mark.parametrize("name", ["gearmand", "geartrain"])
def test_ipv6_is_spoken(start_server, tools, name):
    server = start_server(name, host="::1")
    result = tools.run("gearadmin", "-h", "::1", "-p", str(server.port), "--getpid")
    assert result.stdout == b"%d\n" % server.process.pid
    result = tools.run("gearadmin", "-h", f"[::1]:{server.port}", "--getpid")
    assert result.stdout == b"%d\n" % server.process.pid


def test_unix_sockets_are_spoken(start_server, tools, tmp_path):
    server = start_server("geartrain", path=str(tmp_path / "socket"))
    result = tools.run("gearadmin", "-h", f"unix:{server.path}", "--getpid")
    assert result.stdout == b"%d\n" % server.process.pid


def test_a_server_that_is_not_there_is_one_line_and_exit_code_1(tools):
    result = tools.run("gearadmin", "-h", "127.0.0.1", "-p", "1", "--status")
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.startswith(b"gearadmin: no job server could be reached: 127.0.0.1:1 (")
    assert result.stderr.count(b"\n") == 1


def test_a_server_that_hangs_up_is_one_line_and_exit_code_1(tools, script):
    peer = script(lambda packet: None)
    result = tools.run("gearadmin", "--status", "--getpid", server=peer)
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], b"no operation is given"),
        (["--nope"], b"--nope not recognized"),
        (["--show"], b"--show not a unique prefix"),
        (["--create-function"], b"--create-function requires argument"),
        (["--status=3"], b"--status must not have an argument"),
        (["status"], b"'status' is no option"),
        (["-p", "no-such-service", "--status"], b"neither a port number nor"),
        (["-p", "70000", "--status"], b"not within 1..65535"),
        (["-h", "unix:", "--status"], b"names no socket"),
        (["--create-function", "a\r\nshutdown"], b"control character"),
        (["--maxqueue", "f many"], b"'FUNCTION N'"),
        (["-S", "--status"], b"SSL connections are not available"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_next_step(tools, options, words):
    result = tools.run("gearadmin", *options)
    assert result.returncode == 1
    assert result.stdout == b""
    assert words in result.stderr
    assert b"gearadmin --help" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_help_lists_every_option_of_gearmands_gearadmin(tools):
    theirs = tools.run("gearadmin", "--help", debian=True)
    ours = tools.run("gearadmin", "--help")
    assert ours.returncode == theirs.returncode == 0
    for line in theirs.stdout.decode().splitlines():
        assert line[:33].strip() in ours.stdout.decode()


def test_the_version_is_ours(tools):
    assert tools.run("gearadmin", "--version").stdout.decode().split()[-1] == __version__


def test_a_reader_that_stops_reading_ends_it_without_words(server, tools):
    process = tools.start("--status", server=server, name="gearadmin")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(10) == -signal.SIGPIPE


# Without a process.


def test_questions_have_a_fixed_order_and_repeat_where_they_take_an_argument():
    values = {"status": ["", ""], "cancel-job": ["H:a:1", "H:a:2"], "getpid": [""]}
    questions = [(question.line, question.answers_list) for question in ask_for(values)]
    assert questions == [
        (b"getpid", False),
        (b"cancel job H:a:1", False),
        (b"cancel job H:a:2", False),
        (b"status", True),
    ]


@pytest.mark.parametrize("argument", ["f", "f 1", "f 1 2", "f 1 2 3", "f  10"])
def test_maxqueue_takes_up_to_three_numbers(argument):
    assert ask_for({"maxqueue": [argument]})[0].line == b"maxqueue " + argument.encode()


@pytest.mark.parametrize("argument", ["", "f 1 2 3 4", "f x", " f"])
def test_maxqueue_takes_nothing_else(argument):
    with pytest.raises(UsageError):
        ask_for({"maxqueue": [argument]})


@pytest.mark.parametrize(
    ("answer", "stdout", "stderr"),
    [
        (b"OK\r\n", b"OK\n", b""),
        (b"OK 1.1.20+ds\n", b"1.1.20+ds\n", b""),
        (b"ERR UNKNOWN_JOB\r\n", b"", b"Error: UNKNOWN_JOB\n"),
        (b".\n", b".\n", b""),
        (b"OK me\t1\t0\t0\n.\n", b"OK me\t1\t0\t0\n.\n", b""),
        (b"ERR or\t1\t0\t0\n.\n", b"ERR or\t1\t0\t0\n.\n", b""),
    ],
)
def test_an_answer_is_printed_without_its_ok(capfd, answer, stdout, stderr):
    assert print_answer(answer) == (stderr == b"")
    printed = capfd.readouterr()
    assert printed.out.encode() == stdout
    assert printed.err.encode() == stderr


def test_a_question_remembers_the_shape_of_its_answer():
    assert Question(b"status", True).answers_list
