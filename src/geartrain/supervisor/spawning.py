"""
Starts one process: its session, user, directory, environment, and pipes for its output.

A process leads a session and a group of its own, so that what it starts can be
found and signalled with it, and a terminal's Ctrl-C is not its business.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from geartrain.supervisor.descendants import die_with_parent
from geartrain.supervisor.program import Launch

__all__ = ["Child", "SpawnError", "spawn"]

# What a service manager says to the supervisor is not for its programs.
_OURS: Final = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC")


class SpawnError(Exception):
    """A process could not be started; the message says why."""


@dataclass
class Child:
    """
    A process that runs.

    Attributes:
        process: For its end to be noted in; it is reaped elsewhere.
        stdout: Reading end of its standard output.
        stderr: Reading end of its standard error; None where that goes to its standard output.

    """

    process: subprocess.Popen[bytes]
    stdout: int
    stderr: int | None

    @property
    def pid(self) -> int:
        """Its process id, and that of its group and session."""
        return self.process.pid


def spawn(launch: Launch, additions: Mapping[str, str], death_signal: int) -> Child:
    """
    Start a process.

    Args:
        launch: What it is started with.
        additions: What its environment has beside; what ``launch`` says wins.
        death_signal: The signal it gets when this process is gone.

    Raises:
        SpawnError: It could not be started.

    """
    out_reader, out_writer, err_reader, err_writer = _pipes(launch.redirect_stderr)
    try:
        process = subprocess.Popen(
            launch.argv,
            stdin=subprocess.DEVNULL,
            stdout=out_writer,
            stderr=subprocess.STDOUT if err_writer is None else err_writer,
            cwd=launch.directory or None,
            env=_environment(launch, additions),
            start_new_session=True,
            umask=launch.umask,
            preexec_fn=die_with_parent(death_signal),
            **_account(launch.user),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        for descriptor in (out_reader, err_reader):
            if descriptor is not None:
                os.close(descriptor)
        raise SpawnError(_explain(launch, error)) from None
    finally:
        for descriptor in (out_writer, err_writer):
            if descriptor is not None:
                os.close(descriptor)
    for descriptor in (out_reader, err_reader):
        if descriptor is not None:
            os.set_blocking(descriptor, False)
    return Child(process, out_reader, err_reader)


def _pipes(in_one: bool) -> tuple[int, int, int | None, int | None]:
    """Return reading and writing ends for both outputs, or for one alone."""
    try:
        out_reader, out_writer = os.pipe()
    except OSError as error:
        raise SpawnError(f"no pipe for its output: {(error.strerror or '').lower()}") from None
    if in_one:
        return out_reader, out_writer, None, None
    try:
        return out_reader, out_writer, *os.pipe()
    except OSError as error:
        os.close(out_reader)
        os.close(out_writer)
        raise SpawnError(f"no pipe for its output: {(error.strerror or '').lower()}") from None


def _environment(launch: Launch, additions: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    if launch.user:
        found = _user(launch.user)
        environment |= {"HOME": found.pw_dir, "USER": launch.user, "LOGNAME": launch.user}
    return {**environment, **additions, **launch.environment}


def _account(user: str) -> dict[str, Any]:
    """Return the arguments that have a process run as a user."""
    if not user:
        return {}
    found = _user(user)
    if found.pw_uid == os.geteuid():
        return {}
    return {
        "user": found.pw_uid,
        "group": found.pw_gid,
        "extra_groups": os.getgrouplist(user, found.pw_gid),
    }


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        # It was there when the configuration was read.
        raise SpawnError(f"there is no user {name!r}") from None


def _explain(launch: Launch, error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"can't run {launch.argv[0]!r}: {error}"
    reason = (error.strerror or str(error)).lower()
    if launch.directory and not os.path.isdir(launch.directory):
        return f"can't enter the directory {launch.directory!r}: {reason}"
    if launch.user and isinstance(error, PermissionError) and os.geteuid() != 0:
        return f"can't run {launch.argv[0]!r} as {launch.user!r}: {reason}"
    return f"can't run {launch.argv[0]!r}: {reason}"
