"""
Runs a command on a workload: standard input in, standard output out.

Both go on at once, so that neither side waits for a full pipe, however large
workload and output are. Standard error stays ours.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import IO, Final

_PIECE: Final = 64 * 1024


def run_command(
    argv: list[str],
    workload: bytes,
    environ: Mapping[bytes, bytes],
    receive: Callable[[bytes], None],
) -> int:
    """
    Run ``argv`` without a shell and return its exit status; negative for a signal.

    Args:
        argv: Program, found as the shell finds it, and its arguments.
        workload: What it reads.
        environ: Its whole environment.
        receive: Called with each piece of what it writes, as it comes.

    Raises:
        OSError: It can't be started.

    """
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        _exchange(process.stdin, process.stdout, workload, receive)
        return process.wait()


def describe(status: int) -> str:
    """Return in words how a command ended that ended badly."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _exchange(
    stdin: IO[bytes], stdout: IO[bytes], workload: bytes, receive: Callable[[bytes], None]
) -> None:
    rest = memoryview(workload)
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if rest:
            os.set_blocking(stdin.fileno(), False)
            selector.register(stdin, selectors.EVENT_WRITE)
        else:
            stdin.close()
        while selector.get_map():
            for key, _ in selector.select():
                if key.fileobj is stdin:
                    rest = _feed(stdin, rest)
                    if not rest:
                        selector.unregister(stdin)
                        _close(stdin)
                    continue
                piece = os.read(stdout.fileno(), _PIECE)
                if piece:
                    receive(piece)
                else:
                    # It may have closed its output and still read.
                    selector.unregister(stdout)


def _feed(stdin: IO[bytes], rest: memoryview) -> memoryview:
    """Write as much as the pipe takes and return what is left."""
    try:
        return rest[os.write(stdin.fileno(), rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        # A command need not read all of it, or any.
        return rest[:0]


def _close(stdin: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stdin.close()


__all__ = ["describe", "run_command"]
