"""
The options of gearmand, from the command line and from its configuration file.

Every option of gearmand 1.1 and 2.0 is understood, in both spellings, and by
its whole name only. What has no meaning for this server is accepted, and
``--help`` says so; what would be dangerous to pass over is refused elsewhere.
"""

from __future__ import annotations

import argparse
import os
import socket
import stat
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from geartrain.errors import UsageError

__all__ = [
    "CONFIG_FILE",
    "HTTP_PORT",
    "LOG_FILE",
    "PID_FILE",
    "PORT",
    "VERBOSE",
    "Options",
    "help_text",
    "read_options",
]

CONFIG_FILE: Final = "/etc/gearmand.conf"
LOG_FILE: Final = "/var/log/gearmand.log"
PID_FILE: Final = "/var/gearmand.pid"
PORT: Final = 4730
HTTP_PORT: Final = 8080
VERBOSE: Final = ("FATAL", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")

# Options whose value is, or may hold, a password.
SECRETS: Final = ("libdrizzle-password", "libpq-conninfo", "mysql-password", "redis-password")

# What the kernel takes for TCP_KEEPIDLE and TCP_KEEPINTVL, and for TCP_KEEPCNT.
_MAX_KEEPALIVE: Final = 32767
_MAX_KEEPALIVE_COUNT: Final = 127
# What the nearest name alone would not tell.
_MEANT: Final = {"-v": "--verbose INFO", "-c": "--config-file", "-s": "--ssl", "-D": "-d"}


class Options:
    """
    What was given.

    Attributes:
        values: Value of each option that was given, by its long name; True for a flag.
        remarks: What the administrator should hear of it, although the server starts.

    """

    def __init__(self, values: dict[str, Any], remarks: list[str]) -> None:
        self.values = values
        self.remarks = remarks

    def has(self, name: str) -> bool:
        """Return whether an option was given, here or in the configuration file."""
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """Return the value of an option."""
        return str(self.values.get(name, default))

    def number(self, name: str, default: int) -> int:
        """Return the value of an option that is a number."""
        return int(self.values.get(name, default))


# Values.


def whole_number(text: str) -> int:
    """Return a decimal number."""
    try:
        return int(text, 10)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def number_up_to(largest: int) -> Callable[[str], int]:
    """Return a reader of numbers from -1 on."""

    def number(text: str) -> int:
        found = whole_number(text)
        if not -1 <= found <= largest:
            raise argparse.ArgumentTypeError(f"{text} is out of range: say -1 to {largest}")
        return found

    return number


def port(text: str) -> int:
    """Return the number of a port; those in ``/etc/services`` have names too."""
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: say 0 to 65535") from None


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader of a few words."""

    def word(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(words)}")
        return text

    return word


# Group, and its options: letter, name, value (None for a flag), metavar and help.
_Option = tuple[str, str, Callable[[str], Any] | None, str, str]

_GENERAL: Final[tuple[_Option, ...]] = (
    ("b", "backlog", whole_number, "N", "connections that may wait to be accepted (4096)"),
    ("", "check-args", None, "", "check command line and configuration file, and exit"),
    ("", "compat", one_of("1.1", "2.0"), "VERSION",
     ("gearmand to follow where 1.1 and 2.0 differ (2.0), in the order of functions and in"
      " --job-retries 0, which is any number or 1; not an option of gearmand")),
    ("", "config-file", str, "FILE",
     f"options in a file; the command line wins ({CONFIG_FILE} where it exists)"),
    ("", "coredump", None, "", "allow core dumps"),
    ("d", "daemon", None, "", "detach; returns when the server accepts connections"),
    ("", "exceptions", None, "", "send exceptions also to clients that did not ask for them"),
    ("f", "file-descriptors", whole_number, "N", "most open files (as many as the user may have)"),
    ("", "hashtable-buckets", whole_number, "N", "no meaning here: tables grow with their jobs"),
    ("h", "help", None, "", "print this and exit"),
    ("j", "job-retries", number_up_to(255), "N",
     "attempts until a job without result is given up, -1 for any number (-1); see --compat"),
    ("", "job-handle-prefix", str, "PREFIX", "start of job handles (H: and the host's name)"),
    ("", "keepalive", None, "", "no meaning here: keepalive is always on"),
    ("", "keepalive-count", number_up_to(_MAX_KEEPALIVE_COUNT), "N",
     "unanswered probes until a peer counts as gone (4)"),
    ("", "keepalive-idle", number_up_to(_MAX_KEEPALIVE), "SECONDS",
     "silence until the first probe (60)"),
    ("", "keepalive-interval", number_up_to(_MAX_KEEPALIVE), "SECONDS",
     "time between probes (15)"),
    ("l", "log-file", str, "FILE",
     f"log file, or stderr, or none ({LOG_FILE}, or stderr where that can't be written)"),
    ("L", "listen", str, "ADDRESS", "address to listen on (all)"),
    ("P", "pid-file", str, "FILE", f"file for the process id ({PID_FILE})"),
    ("q", "queue-type", str, "TYPE",
     ("where background jobs are kept: builtin (in memory), libsqlite3, redis or libmemcached"
      " (builtin)")),
    ("r", "protocol", str, "NAME", "protocol to speak besides Gearman's: http"),
    ("R", "round-robin", None, "",
     "with --compat 1.1, take turns among a worker's functions; 2.0 always does"),
    ("", "syslog", None, "", "log to syslog too"),
    ("t", "threads", whole_number, "N", "no meaning here: one thread serves all connections"),
    ("u", "user", str, "USER", "user to switch to, once addresses and files are taken"),
    ("", "verbose", one_of(*VERBOSE), "LEVEL", f"what to log: {', '.join(VERBOSE)} (ERROR)"),
    ("V", "version", None, "", "print the version and exit"),
    ("w", "worker-wakeup", whole_number, "N", "no meaning here: one worker is woken for a job"),
)  # fmt: skip

_GONE: Final = "understood, but not available; use -q libsqlite3"

_GROUPS: Final[tuple[tuple[str, str, tuple[_Option, ...]], ...]] = (
    ("general options", "", _GENERAL),
    ("Gearman protocol", "", (
        ("p", "port", port, "PORT", f"port to listen on (GEARMAND_PORT, or {PORT})"),
        ("", "ssl", None, "", "refused: this version has no TLS, and won't start without it"),
        ("", "ssl-ca-file", str, "FILE", "no meaning without --ssl"),
        ("", "ssl-certificate", str, "FILE", "no meaning without --ssl"),
        ("", "ssl-key", str, "FILE", "no meaning without --ssl"),
    )),
    ("HTTP (-r http)", "", (
        ("", "http-port", port, "PORT", f"port to listen on ({HTTP_PORT})"),
    )),
    ("SQLite (-q libsqlite3)", "", (
        ("", "libsqlite3-db", str, "FILE", "database file; made where there is none"),
        ("", "libsqlite3-table", str, "NAME",
         "gearmand's table, taken over when found; a view like it stays (gearman_queue)"),
        ("", "store-queue-on-shutdown", None, "",
         "no meaning here: a job is stored before it is acknowledged"),
    )),
    ("MySQL or MariaDB (-q mysql)", "", (
        ("", "mysql-host", str, "HOST", "host of the database (localhost)"),
        ("", "mysql-port", port, "PORT", "its port (3306)"),
        ("", "mysql-user", str, "USER", "user of the database"),
        ("", "mysql-password", str, "PASSWORD",
         "the user's password; better in a configuration file of mode 0600"),
        ("", "mysql-db", str, "DATABASE", "name of the database"),
        ("", "mysql-table", str, "NAME",
         "gearmand's table, whose jobs are taken over when found (gearman_queue)"),
    )),
    ("PostgreSQL (-q postgres)", "", (
        ("", "libpq-conninfo", str, "STRING",
         "as libpq has it: words like host=HOST, or a URL; better in a file of mode 0600"),
        ("", "libpq-table", str, "NAME",
         "gearmand's table, whose jobs are taken over when found (queue)"),
    )),
    ("Redis (-q redis)", "", (
        ("", "redis-server", str, "HOST", "host of the Redis (127.0.0.1)"),
        ("", "redis-port", port, "PORT", "its port (6379)"),
        ("", "redis-password", str, "PASSWORD",
         "its password; better in a configuration file of mode 0600"),
        ("", "redis-prefix", str, "PREFIX",
         "start of gearmand's keys, whose jobs are taken over when found (_gear_)"),
    )),
    ("memcached (-q libmemcached): jobs are lost when memcached ends", "", (
        ("", "libmemcached-servers", str, "HOST", "HOST or HOST:PORT of one memcached (127.0.0.1)"),
        ("", "libmemcached-prefix", str, "PREFIX", "start of the keys (gear_)"),
    )),
    ("Drizzle (-q libdrizzle)", _GONE, (
        ("", "libdrizzle-host", str, "HOST", ""),
        ("", "libdrizzle-port", port, "PORT", ""),
        ("", "libdrizzle-uds", str, "PATH", ""),
        ("", "libdrizzle-user", str, "USER", ""),
        ("", "libdrizzle-password", str, "PASSWORD", ""),
        ("", "libdrizzle-db", str, "DATABASE", ""),
        ("", "libdrizzle-table", str, "NAME", ""),
        ("", "libdrizzle-mysql", str, "", ""),
    )),
    ("Tokyo Cabinet (-q libtokyocabinet)", _GONE, (
        ("", "libtokyocabinet-file", str, "FILE", ""),
        ("", "libtokyocabinet-optimize", str, "", ""),
    )),
)  # fmt: skip

# The manual shows a value, its examples have none.
_MAYBE_VALUE: Final = ("libdrizzle-mysql", "libtokyocabinet-optimize")


# Parsing.


class Parser(argparse.ArgumentParser):
    """Parses as argparse does, but raises UsageError instead of printing a usage and exiting."""

    def error(self, message: str) -> NoReturn:
        text = message.replace("argument ", "option ", 1)
        raise UsageError(text.replace("ignored explicit argument", "takes no value, and got"))


def new_parser() -> Parser:
    """Return the parser. What is not given is not in its namespace either."""
    parser = Parser(
        prog="gearmand",
        usage="gearmand [options]",
        description="A job server with the options of gearmand. What follows in brackets holds"
        " where an option is not given.",
        epilog="SIGTERM and SIGINT stop it at once, SIGUSR1 when the last job is done, SIGHUP"
        " reopens the log file.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, 2, 34, 98),
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
    )
    for title, description, options in _GROUPS:
        group = parser.add_argument_group(title, description)
        for option in options:
            add_option(group, option)
    return parser


def add_option(group: argparse._ArgumentGroup, option: _Option) -> None:
    """Add one line of the table."""
    letter, name, kind, metavar, text = option
    names = [f"-{letter}", f"--{name}"] if letter else [f"--{name}"]
    if kind is None:
        group.add_argument(*names, dest=name, action="store_true", help=text)
    elif name in _MAYBE_VALUE:
        group.add_argument(*names, dest=name, nargs="?", help=text, metavar="BOOLEAN")
    else:
        group.add_argument(*names, dest=name, type=kind, metavar=metavar, help=text)


def help_text() -> str:
    """Return what ``--help`` prints."""
    return new_parser().format_help()


def read_options(argv: Sequence[str], config_file: str = CONFIG_FILE) -> Options:
    """
    Return the options of the command line and of the configuration file.

    Args:
        argv: The arguments, without the program's name.
        config_file: What is read where ``--config-file`` is not given; need not exist.

    Raises:
        UsageError: An option is unknown, lacks its value or has a wrong one; the file that
            was named can't be read.

    """
    parser = new_parser()
    given, others = parse(parser, argv)
    if others:
        raise UsageError(f"unexpected argument {others[0]!r}: options start with a dash")
    remarks = [
        f"--{name} can be read by every user of this machine while the server runs;"
        " write it into a configuration file of mode 0600"
        for name in SECRETS
        if name in given
    ]
    found = read_file(parser, given.get("config-file", ""), config_file, remarks)
    return Options({**found, **given}, remarks)


def parse(parser: Parser, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the options among the words, and the words that are none; raises UsageError."""
    namespace, others = parser.parse_known_args(list(words))
    for word in others:
        if word.startswith("-") and word != "-":
            raise UsageError(unknown(parser, word))
    return vars(namespace), others


def unknown(parser: Parser, word: str) -> str:
    """Return what to do about an option nobody knows. Its value may be a password."""
    import difflib

    name = word.partition("=")[0]
    known = [one for action in parser._actions for one in action.option_strings]
    meant = _MEANT.get(name) or "".join(difflib.get_close_matches(name, known, 1))
    hint = f"did you mean {meant}?" if meant else "gearmand --help lists them all"
    return f"there is no option {name}: {hint}"


def read_file(parser: Parser, named: str, default: str, remarks: list[str]) -> dict[str, Any]:
    """Return the options of the configuration file; none where there is no file by default."""
    path = named or default
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().splitlines()
    except OSError as error:
        if named:
            raise UsageError(f"can't read {path}: {error.strerror}") from None
        if not isinstance(error, FileNotFoundError):
            remarks.append(f"{path} is left out: {error.strerror}")
        return {}
    # gearmand takes any word in the file that is no option for nothing, a # included.
    words = [word for line in lines if not line.lstrip().startswith("#") for word in line.split()]
    try:
        found, others = parse(parser, words)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if others:
        remarks.append(f"{path}: {others[0]!r} is no option and is left out")
    if mode & stat.S_IROTH and any(name in found for name in SECRETS):
        remarks.append(f"{path} holds a password and can be read by every user: chmod 600 {path}")
    return found
