"""
What makes a process a daemon: no terminal, another user, more files, core dumps.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import signal
from typing import Final

from geartrain.errors import UsageError

__all__ = [
    "Account",
    "Detachment",
    "allow_core_dumps",
    "fill_standard_streams",
    "raise_file_limit",
]

_BEGUN: Final = b"+"


class Detachment:
    """
    A process that goes on without its terminal.

    The one that the user started stays until the other accepts connections, so
    that what goes wrong before is seen, and its exit code tells how it went.

    Attributes:
        is_parent: Whether this is the process that the user started.

    """

    def __init__(self) -> None:
        self.begun, self.begin = os.pipe()
        child = os.fork()
        self.is_parent = child != 0
        if self.is_parent:
            os.close(self.begin)
            os.waitpid(child, 0)
            return
        os.close(self.begun)
        os.setsid()
        # The leader of a session could get a terminal again; its child can't.
        if os.fork():
            os._exit(0)

    def wait(self) -> bool:
        """In the parent: return whether the other has begun, as soon as that is known."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return os.read(self.begun, 1) == _BEGUN

    def let_go(self) -> None:
        """In the other: give up standard streams, and let the parent go."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if null > 2:
            os.close(null)
        # The parent may have been interrupted; the server was not.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.begin, _BEGUN)
        os.close(self.begin)


def fill_standard_streams() -> None:
    """
    Open /dev/null for standard streams that were closed.

    A socket or a database would get their numbers otherwise, and what is
    written to standard error would go there.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)


class Account:
    """
    The user that a server runs as.

    Args:
        name: Name of the user; empty for no change.

    Raises:
        UsageError: There is no such user, or this process may not switch to it.

    Attributes:
        needed: Whether it is another user than this process's.
        owner: User and group for the files it has to own, -1 to leave them.

    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner = (-1, -1)
        self.needed = False
        if not name:
            return
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            raise UsageError(f"-u {name}: there is no such user") from None
        self.needed = (os.geteuid(), os.getuid()) != (found.pw_uid, found.pw_uid)
        if self.needed and os.geteuid() != 0:
            raise UsageError(f"-u {name}: only root can switch to another user")
        if self.needed:
            self.owner = (found.pw_uid, found.pw_gid)

    def become(self) -> None:
        """Switch to the user, for good; raises UsageError."""
        if not self.needed:
            return
        user, group = self.owner
        try:
            os.initgroups(self.name, group)
            os.setgid(group)
            os.setuid(user)
        except OSError as error:
            raise UsageError(f"-u {self.name}: can't switch: {error.strerror}") from None


def raise_file_limit(wanted: int) -> None:
    """
    Allow this process so many open files; as many as it may have for 0.

    Raises UsageError where it may not have as many.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
        elif hard != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        raise UsageError(
            f"-f {wanted}: only {hard} files are allowed; start as root, raise the limit"
            " (ulimit -n, or LimitNOFILE in systemd) or say fewer"
        ) from None


def allow_core_dumps() -> None:
    """Let a crash leave a core dump, as large as it may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
