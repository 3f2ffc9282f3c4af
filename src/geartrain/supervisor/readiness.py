"""
Whether a process that was started is ready, by what it does and not by a guess.

``tcp://HOST:PORT`` accepts connections; ``http://HOST:PORT/PATH`` answers with
a status below 400; ``gearman:FUNCTION`` has a worker for the function at each
of the job servers; ``log:REGEX`` is written to the output. A look is taken
again after a pause, which grows up to a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from geartrain.client.address import AddressLike
from geartrain.client.admin_aio import AsyncAdminClient
from geartrain.errors import GeartrainError, UsageError

__all__ = ["check_readiness", "wait_until_ready"]

# Seconds.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_PATIENCE: Final = 5.0


def check_readiness(ready: str) -> None:
    """Raise UsageError for what is no way to tell readiness."""
    kind, _, rest = ready.partition(":")
    if not ready or (kind == "gearman" and rest):
        return
    if kind == "log" and rest:
        try:
            re.compile(rest.encode())
        except re.error as error:
            raise UsageError(f"ready: {rest!r} is no regular expression: {error}") from None
        return
    if kind in ("tcp", "http", "https") and rest.startswith("//"):
        with contextlib.suppress(ValueError):
            parts = urlsplit(ready)
            if parts.hostname and (parts.port or kind != "tcp"):
                return
    raise UsageError(
        f"ready takes tcp://HOST:PORT, http://HOST:PORT/PATH, gearman, gearman:FUNCTION or"
        f" log:REGEX, not {ready!r}"
    )


async def wait_until_ready(ready: str, servers: Sequence[AddressLike], workers: int) -> None:
    """
    Return once what ``ready`` asks for is seen.

    Args:
        ready: One of the forms above; not ``log``, which is a matter of the output.
        servers: Job servers, each of which has to know the workers.
        workers: How many workers there have to be for the function.

    """
    pause = _FIRST_PAUSE
    while not await _is_ready(ready, servers, workers):
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def _is_ready(ready: str, servers: Sequence[AddressLike], workers: int) -> bool:
    kind, _, rest = ready.partition(":")
    try:
        async with asyncio.timeout(_PATIENCE):
            if kind == "gearman":
                return await _has_workers(rest, servers, workers)
            return await _answers(urlsplit(ready))
    except (OSError, ValueError, IndexError, GeartrainError, EOFError, asyncio.LimitOverrunError):
        return False


async def _has_workers(function: str, servers: Sequence[AddressLike], workers: int) -> bool:
    for server in servers:
        async with AsyncAdminClient(server, timeout=_PATIENCE) as client:
            rows = await client.status()
            if not any(row.function == function and row.workers >= workers for row in rows):
                return False
    return True


async def _answers(url: SplitResult) -> bool:
    port = url.port or (443 if url.scheme == "https" else 80)
    secure = True if url.scheme == "https" else None
    reader, writer = await asyncio.open_connection(url.hostname, port, ssl=secure)
    try:
        if url.scheme == "tcp":
            return True
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        words = (await reader.readuntil(b"\n")).split()
        return words[0].startswith(b"HTTP/") and 200 <= int(words[1][:3]) < 400
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
