"""
The options of ``gearman``: the letters of gearmand's own tool, read as getopt(3) reads them.

Letters may be bundled (``-bf resize``), values may touch them (``-fresize``),
and options may follow data; ``--`` ends them.
"""

from __future__ import annotations

import getopt
import os
import re
from collections.abc import Mapping
from typing import Final

from geartrain.cli.addressing import address_of
from geartrain.client.address import ENVIRONMENT, Address, parse_addresses
from geartrain.errors import UsageError

USAGE: Final = """\
Client mode: gearman [options] [<data> ...]
Worker mode: gearman -w [options] [-- <command> [<args> ...]]

Common options to both client and worker modes.
\t-f <function> - Function name to use for jobs (can give many)
\t-h <host>     - Job server host, or unix:/path (localhost)
\t-H            - Print this help menu
\t-v            - Print diagnostic information to stdout
\t-p <port>     - Job server port (4730)
\t-t <timeout>  - Timeout in milliseconds
\t-i <pidfile>  - Create a pidfile for the process
\t-d            - Run as a daemon, detached from the terminal
\t-S            - Enable SSL connections (not available yet)
\t--version     - Print the version

Client options:
\t-b            - Run jobs in the background
\t-I            - Run jobs as high priority
\t-L            - Run jobs as low priority
\t-n            - Run one job per line
\t-N            - Same as -n, but strip off the newline
\t-P            - Prefix all output lines with functions names
\t-s            - Send job without reading from standard input
\t-u <unique>   - Unique key to use for job

Worker options:
\t-c <count>    - Number of jobs for worker to run before exiting
\t-n            - Send data packet for each line
\t-N            - Same as -n, but strip off the newline
\t-w            - Run in worker mode

Environment:
\tGEARMAN_SERVER  - Servers, as host:port,host:port; goes before -h and -p
\tGEARMAN_SERVERS - The same, used where nothing else names a server

Exit codes: 0 done, 1 a job failed or wrong usage, 3 no server reached or
connection lost, 5 a job was refused, 6 timed out.
"""

_LETTERS: Final = "bc:f:h:HILnNp:Pst:u:vwi:dS"
_LONG: Final = ["help", "version"]
# What the client library of existing clients allows, and gearmand behind it.
_MAX_FUNCTION: Final = 512
_MAX_UNIQUE: Final = 64


class Options:
    """
    What the command line and the environment say.

    Attributes:
        help: Print the usage and nothing else.
        version: Print the version and nothing else.
        functions: Names, in the order given.
        addresses: Job servers, in the order to try them.
        timeout: Longest silence to bear, in seconds, or None.
        pid_file: Path, or empty.
        daemon: Detach from the terminal.
        verbose: Print handles.
        worker: Worker mode.
        background: Submit and don't wait for results.
        priority: ``h``, ``n`` or ``l``.
        lines: One job, or one WORK_DATA, per line.
        strip: Without the line's newline.
        prefix: Function name before each output.
        no_input: Don't read standard input.
        unique: Key for all jobs, or empty for one of its own for each.
        count: Jobs to run before exiting, or 0 for any number.
        arguments: Workloads, or in worker mode the command.

    """

    def __init__(self) -> None:
        self.help = False
        self.version = False
        self.functions: list[bytes] = []
        self.addresses: list[Address] = []
        self.timeout: float | None = None
        self.pid_file = ""
        self.daemon = False
        self.verbose = False
        self.worker = False
        self.background = False
        self.priority = "n"
        self.lines = False
        self.strip = False
        self.prefix = False
        self.no_input = False
        self.unique = b""
        self.count = 0
        self.arguments: list[str] = []


def parse_options(argv: list[str], environ: Mapping[str, str]) -> Options:
    """
    Return what ``argv``, the arguments after the program's name, and the environment say.

    Raises:
        UsageError: An option is unknown, lacks its value, or has one that can't be.

    """
    try:
        pairs, arguments = getopt.gnu_getopt(argv, _LETTERS, _LONG)
    except getopt.GetoptError as error:
        hint = "; put -- before the command" if "-w" in argv and "--" not in argv else ""
        raise UsageError(f"{error.msg}{hint}") from error
    options = Options()
    options.arguments = arguments
    host = port = ""
    for name, value in pairs:
        if name == "-h":
            host = value
        elif name == "-p":
            port = value
        else:
            _apply(options, name, value)
    if options.help or options.version:
        return options
    if not options.functions:
        raise UsageError("no function is given; name it with -f, as in: gearman -f wc < file")
    options.addresses = _addresses(host, port, environ)
    return options


def _apply(options: Options, name: str, value: str) -> None:
    if name in _FLAGS:
        setattr(options, _FLAGS[name], True)
    elif name == "-N":
        options.lines = options.strip = True
    elif name == "-I":
        options.priority = "h"
    elif name == "-L":
        options.priority = "l"
    elif name == "-f":
        options.functions.append(_function(value))
    elif name == "-u":
        options.unique = _unique(value)
    elif name == "-c":
        options.count = _number(name, value, "jobs")
    elif name == "-t":
        # gearmand's tool takes any negative number for "no timeout".
        milliseconds = -1 if value.startswith("-") else _number(name, value, "milliseconds")
        options.timeout = None if milliseconds < 0 else max(milliseconds, 1) / 1000
    elif name == "-i":
        options.pid_file = value
    else:
        raise UsageError("-S: SSL connections are not available yet; leave -S out")


_FLAGS: Final[dict[str, str]] = {
    "-b": "background",
    "-d": "daemon",
    "-H": "help",
    "--help": "help",
    "-n": "lines",
    "-P": "prefix",
    "-s": "no_input",
    "-v": "verbose",
    "--version": "version",
    "-w": "worker",
}


def _function(value: str) -> bytes:
    name = os.fsencode(value)
    if not name:
        raise UsageError("-f: the function has no name")
    if len(name) > _MAX_FUNCTION:
        raise UsageError(f"-f: a function name takes at most {_MAX_FUNCTION} bytes")
    return name


def _unique(value: str) -> bytes:
    unique = os.fsencode(value)
    if len(unique) > _MAX_UNIQUE:
        raise UsageError(f"-u: a unique key takes at most {_MAX_UNIQUE} bytes")
    return unique


def _number(name: str, value: str, unit: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", value) is None:
        raise UsageError(f"{name}: {value!r} is not a number of {unit}")
    return int(value)


def _addresses(host: str, port: str, environ: Mapping[str, str]) -> list[Address]:
    # gearmand's tool lets the environment win over -h and -p, and scripts count on it.
    servers = environ.get("GEARMAN_SERVER", "")
    if servers.strip():
        return parse_addresses(re.sub(r"[\s,]+", ",", servers.strip()))
    if not host and not port and environ.get(ENVIRONMENT, "").strip():
        return parse_addresses(environ[ENVIRONMENT])
    return [address_of(host or "localhost", port)]


__all__ = ["USAGE", "Options", "parse_options"]
