"""
gearmand's log: its levels, its lines, its file and syslog.

A line is ``  ERROR 2026-11-22 03:30:23.489213 [  main ] text``, with the place
in the source behind it at ERROR and DEBUG. It stays one line whatever a peer
has put into a name.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from typing import Final

from geartrain.cli.output import STDERR
from geartrain.errors import UsageError

__all__ = ["LEVELS", "Log", "open_log_file"]

FATAL: Final = 70
ALERT: Final = 60
NOTICE: Final = 25

# Python's numbers for gearmand's levels, the worst first; their order is syslog's.
LEVELS: Final = {
    "FATAL": FATAL,
    "ALERT": ALERT,
    "CRITICAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "NOTICE": NOTICE,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}

# What is logged here is heard whatever the level of the log.
_ALWAYS: Final = "geartrain.warning"
_MODE: Final = 0o640


def level_of(number: int) -> tuple[int, str]:
    """Return syslog's number and gearmand's name for one of Python's levels."""
    for priority, (name, least) in enumerate(LEVELS.items()):
        if number >= least:
            return priority, name
    return len(LEVELS) - 1, "DEBUG"


class LineFormatter(logging.Formatter):
    """Writes a record as gearmand writes a line."""

    def format(self, record: logging.LogRecord) -> str:
        _, level = level_of(record.levelno)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        fraction = int(record.created % 1 * 1_000_000)
        line = f"{level:>7} {moment}.{fraction:06d} [{thread_of(record)} ] {text_of(record)}"
        if level in ("ERROR", "DEBUG"):
            place = record.pathname.rpartition("geartrain/")[2]
            line += f" -> {place}:{record.lineno}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def thread_of(record: logging.LogRecord) -> str:
    """Return the thread's name, six characters wide."""
    name = (record.threadName or "").removeprefix("geartrain-")
    return f"{'main' if name == 'MainThread' else name[:6]:>6}"


def text_of(record: logging.LogRecord) -> str:
    """Return what a record says, control characters escaped."""
    text = record.getMessage()
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "replace").decode()
        for one in text
    )


class FileHandler(logging.Handler):
    """Appends lines to an open file, each with one system call."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            os.write(self.descriptor, line.encode("utf-8", "backslashreplace"))
        except OSError:
            # The disk of the log is full, or its pipe closed; jobs are more important.
            return


class SyslogHandler(logging.Handler):
    """Sends lines to syslog, as gearmand does: as a user program, with its level and time."""

    def __init__(self) -> None:
        super().__init__()
        import syslog

        self.syslog = syslog
        syslog.openlog("gearmand", syslog.LOG_PID | syslog.LOG_NDELAY, syslog.LOG_USER)

    def emit(self, record: logging.LogRecord) -> None:
        priority, _ = level_of(record.levelno)
        self.syslog.syslog(priority, self.format(record).replace("\0", "\\0"))


class Log:
    """
    Where the server's log goes.

    Args:
        path: A file, ``stderr`` or ``none``.
        required: Whether a file that can't be written is an error; else it is stderr.
        level: One of ``LEVELS``.
        syslog: Whether it goes to syslog too.
        owner: Whom a new file belongs to: user and group, -1 to leave them.

    Raises:
        UsageError: The file is required and can't be written.

    Attributes:
        to_stderr: Whether standard error is where it goes.

    """

    def __init__(
        self, path: str, required: bool, level: str, syslog: bool, owner: tuple[int, int]
    ) -> None:
        self.owner = owner
        self.path = ""
        self.file: FileHandler | None = None
        self.to_stderr = path == "stderr"
        handlers: list[logging.Handler] = []
        failure = ""
        if path not in ("stderr", "none"):
            try:
                self.path = os.path.abspath(path)
                self.file = FileHandler(open_log_file(self.path, owner))
                handlers.append(self.file)
            except UsageError as error:
                if required:
                    raise
                failure = f"{error}; the log goes to standard error"
                self.to_stderr = True
        if self.to_stderr:
            handlers.append(FileHandler(STDERR))
        if syslog:
            handlers.append(SyslogHandler())
        self.start(handlers, LEVELS[level])
        if failure:
            self.remark(failure)

    def start(self, handlers: list[logging.Handler], level: int) -> None:
        """Have everything that is logged go there from now on."""
        root = logging.getLogger()
        root.handlers = handlers or [logging.NullHandler()]
        root.setLevel(level)
        for handler in handlers:
            handler.setFormatter(LineFormatter())
        always = logging.getLogger(_ALWAYS)
        always.setLevel(logging.WARNING)
        if not self.to_stderr:
            aloud = FileHandler(STDERR)
            aloud.setFormatter(logging.Formatter("gearmand: %(message)s"))
            always.addHandler(aloud)

    def remark(self, text: str) -> None:
        """Log what has to be heard whatever the level of the log."""
        logging.getLogger(_ALWAYS).warning("%s", text)

    def reopen(self) -> None:
        """Go on in the file that has the log's name now; in the old one where that fails."""
        if self.file is None:
            return
        try:
            descriptor = open_log_file(self.path, self.owner)
        except UsageError as error:
            logging.getLogger(_ALWAYS).error("the log is not reopened: %s", error)
            return
        old, self.file.descriptor = self.file.descriptor, descriptor
        os.close(old)


def open_log_file(path: str, owner: tuple[int, int]) -> int:
    """
    Open a log file to append to it, and return its descriptor; raises UsageError.

    A link to a file is not followed: whoever may write to the log's directory
    could have the server write to any file. A link to standard output or error,
    a terminal or a pipe is.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        os.fchown(descriptor, *owner)
        return descriptor
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(path, error) from None
    try:
        target = os.readlink(path) if os.path.islink(path) else ""
        descriptor = os.open(path, flags if target else flags | os.O_NOFOLLOW)
    except OSError as error:
        raise unusable(path, error) from None
    mode = os.fstat(descriptor).st_mode
    ours = target.startswith(("/dev/std", "/proc/self/fd/"))
    if target and not (ours or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        os.close(descriptor)
        raise UsageError(f"the log file {path} is a symbolic link: name the file itself")
    return descriptor


def unusable(path: str, error: OSError) -> UsageError:
    """Return the error for a log file that can't be opened."""
    return UsageError(f"can't write the log file {path}: {error.strerror}")
