"""
``gearadmin``: asks a job server for its lists, and tells it what to do.

It takes the place of gearmand's own tool: the same options, run in the same
fixed order, the same bytes on standard output. It speaks the text protocol
and prints what it hears; it knows nothing of what the lists mean.
"""

from __future__ import annotations

import getopt
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import BinaryIO, Final

from geartrain.cli.addressing import address_of
from geartrain.cli.connection import dial_first
from geartrain.cli.exit_code import DONE, FAILED, REFUSED, TIMED_OUT
from geartrain.cli.output import say, write_err, write_out
from geartrain.client.address import ENVIRONMENT, Address, parse_addresses
from geartrain.errors import ConnectionFailed, ConnectionLost, UsageError

USAGE: Final = """\
Options:
  --help                         Options related to the program.
  -h [ --host ] arg (=localhost) Connect to the host, or to unix:/path
  -p [ --port ] arg (=4730)      Port number or service to use for connection
  --server-version               Fetch the version number for the server.
  --server-verbose               Fetch the verbose setting for the server.
  --create-function arg          Create the function from the server.
  --cancel-job arg               Remove a given job from the server's queue
  --drop-function arg            Drop the function from the server.
  --show-unique-jobs             Show unique IDs of jobs on the server.
  --show-jobs                    Show all jobs on the server.
  --getpid                       Get Process ID for the server.
  --status                       Status for the server.
  --priority-status              Queued jobs status by priority.
  --workers                      Workers for the server.
  -S [ --ssl ]                   Enable SSL connections (not available yet).

Options that gearmand's own gearadmin does not have:
  --maxqueue arg                 Limit a queue: "FUNCTION N", or one N for each
                                 of high, normal and low; 0 is unlimited.
  --shutdown                     Stop the server.
  --shutdown-graceful            Stop the server when its jobs are done.
  --version                      Print the version of this program.

Environment:
  GEARMAN_SERVERS                Server, as host:port, where -h and -p name none.

Exit codes: 0 done, 1 wrong usage or no connection, 5 the server answered ERR,
6 the server did not answer.
"""

# Whatever the order on the command line, this is the order in which they are run.
# Option, text command, whether it takes an argument, whether it answers with a list.
_OPERATIONS: Final = (
    ("getpid", b"getpid", False, False),
    ("create-function", b"create function", True, False),
    ("drop-function", b"drop function", True, False),
    ("maxqueue", b"maxqueue", True, False),
    ("show-jobs", b"show jobs", False, True),
    ("show-unique-jobs", b"show unique jobs", False, True),
    ("cancel-job", b"cancel job", True, False),
    ("server-verbose", b"verbose", False, False),
    ("server-version", b"version", False, False),
    ("workers", b"workers", False, True),
    ("priority-status", b"prioritystatus", False, True),
    ("status", b"status", False, True),
    ("shutdown-graceful", b"shutdown graceful", False, False),
    ("shutdown", b"shutdown", False, False),
)

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_MAXQUEUE: Final = re.compile(rb"[^ ]+(?: +-?[0-9]+){0,3}")
_TIMEOUT: Final = 30.0


class Question:
    """
    One text command and the shape of its answer.

    Attributes:
        line: The command, without its end.
        answers_list: Whether lines up to a dot answer it, or a single line.

    """

    def __init__(self, line: bytes, answers_list: bool) -> None:
        self.line = line
        self.answers_list = answers_list


def main() -> int:
    """Run the command line of this process and return its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return run(sys.argv[1:], os.environ)
    except BrokenPipeError:
        # As in: gearadmin --workers | head
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return FAILED
    except UsageError as error:
        say("gearadmin", f"{error} (gearadmin --help lists the options)")
        return FAILED
    except ConnectionFailed as error:
        say(
            "gearadmin",
            f"{error}; start one with 'geartrain serve', or name another with -h and -p",
        )
        return FAILED
    except TimeoutError:
        say("gearadmin", f"the server gave no answer within {_TIMEOUT:g} s")
        return TIMED_OUT
    except ConnectionLost as error:
        say("gearadmin", str(error))
        return FAILED
    except OSError as error:
        say("gearadmin", f"standard output: {error.strerror}")
        return FAILED


def run(argv: list[str], environ: Mapping[str, str]) -> int:
    """
    Run one command line and return the exit code.

    Raises:
        UsageError: It can't be understood.
        ConnectionFailed: The server can't be reached.
        ConnectionLost: The server went away before its answer was complete.
        TimeoutError: The server doesn't answer.
        OSError: Standard output can't be written.

    """
    values = parse(argv)
    if "help" in values:
        write_out(USAGE.encode())
        return DONE
    if "version" in values:
        from geartrain import __version__

        write_out(f"gearadmin (geartrain) {__version__}\n".encode())
        return DONE
    questions = ask_for(values)
    if not questions:
        raise UsageError("no operation is given, such as --status")
    return ask(servers(values, environ), questions)


def parse(argv: list[str]) -> dict[str, list[str]]:
    """
    Return the values of each option given, by its long name.

    Raises:
        UsageError: An option is unknown or lacks its value, or there is more than options.

    """
    names = [name + "=" * takes for name, _, takes, _ in _OPERATIONS]
    names += ["help", "version", "host=", "port=", "ssl"]
    try:
        pairs, rest = getopt.gnu_getopt(argv, "h:p:S", names)
    except getopt.GetoptError as error:
        raise UsageError(error.msg) from error
    if rest:
        raise UsageError(f"{rest[0]!r} is no option")
    values: dict[str, list[str]] = {}
    letters = {"-h": "host", "-p": "port", "-S": "ssl"}
    for name, value in pairs:
        values.setdefault(letters.get(name, name.removeprefix("--")), []).append(value)
    if "ssl" in values:
        raise UsageError("-S: SSL connections are not available yet; leave -S out")
    return values


def ask_for(values: Mapping[str, list[str]]) -> list[Question]:
    """
    Return what has to be asked, in the fixed order.

    Raises:
        UsageError: An argument can't be sent as one word of a text command.

    """
    questions = []
    for name, command, takes_argument, answers_list in _OPERATIONS:
        if not takes_argument:
            questions += [Question(command, answers_list)] * (name in values)
            continue
        for value in values.get(name, []):
            argument = os.fsencode(value)
            if _CONTROL.search(argument):
                raise UsageError(f"--{name}: {value!r} holds a control character")
            if name == "maxqueue" and _MAXQUEUE.fullmatch(argument) is None:
                raise UsageError(f"--maxqueue: {value!r} is not of the form 'FUNCTION N'")
            questions.append(Question(command + b" " + argument, answers_list))
    return questions


def servers(values: Mapping[str, list[str]], environ: Mapping[str, str]) -> list[Address]:
    """
    Return the servers to try.

    Raises:
        UsageError: Their addresses can't be read.

    """
    if "host" not in values and "port" not in values and environ.get(ENVIRONMENT, "").strip():
        return parse_addresses(environ[ENVIRONMENT])
    return [address_of(values.get("host", ["localhost"])[-1], values.get("port", [""])[-1])]


def ask(addresses: list[Address], questions: list[Question]) -> int:
    """Ask the first server that accepts, print its answers and return the exit code."""
    sock, address = dial_first(addresses)
    sock.settimeout(_TIMEOUT)
    exit_code = DONE
    with sock, sock.makefile("rb") as answers:
        for question in questions:
            try:
                sock.sendall(question.line + b"\r\n")
                answer = read_answer(answers, question)
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionLost(str(address)) from error
            if answer is None:
                raise ConnectionLost(str(address))
            if not print_answer(answer):
                exit_code = REFUSED
    return exit_code


def read_answer(answers: BinaryIO, question: Question) -> bytes | None:
    """Return the answer to a question, or None if the connection ended before it did."""
    line = answers.readline()
    if not line.endswith(b"\n"):
        return None
    # A list of names may start with anything, but its lines never end with CR LF.
    if not question.answers_list or (line.startswith(b"ERR ") and line.endswith(b"\r\n")):
        return line
    lines = [line]
    while lines[-1] != b".\n":
        line = answers.readline()
        if not line.endswith(b"\n"):
            return None
        lines.append(line)
    return b"".join(lines)


def print_answer(answer: bytes) -> bool:
    """Print an answer as gearmand's gearadmin does; return whether it is a good one."""
    if answer.startswith(b"ERR ") and answer.endswith(b"\r\n"):
        write_err(b"Error: " + answer.removeprefix(b"ERR ").rstrip(b"\r\n") + b"\n")
        return False
    if answer.startswith((b"OK ", b"OK\r\n")) and answer.count(b"\n") == 1:
        answer = answer.removeprefix(b"OK ").rstrip(b"\r\n") + b"\n"
    write_out(answer)
    return True


if __name__ == "__main__":
    sys.exit(main())
