"""
What a memcached says of itself: its figures, which process it is, and what keys it has.
"""

from __future__ import annotations

import socket
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheServerError, MemcacheUnexpectedCloseError

__all__ = ["identity", "known_keys", "statistics"]


def statistics(client: Client, *kinds: str) -> dict[bytes, Any]:
    """Return what memcached says of itself; numbers are numbers."""
    return dict(client.stats(*kinds))  # type: ignore[no-untyped-call]


def identity(client: Client) -> tuple[int, int]:
    """Return which memcached answers: its process, and about when that was started."""
    stats = statistics(client)
    pid, now, uptime = (int(stats.get(name, 0)) for name in (b"pid", b"time", b"uptime"))
    return pid, now - uptime


def known_keys(client: Client, prefix: bytes) -> list[bytes]:
    """
    Return all keys that begin like this, in their order.

    Raises MemcacheServerError where memcached does not tell them.
    """
    said = dump(client)
    if not said.endswith(b"END\r\n"):
        raise MemcacheServerError(f"it does not list its keys: {said[:100]!r}")
    named = (line.split(b" ")[0].removeprefix(b"key=") for line in said.splitlines()[:-1])
    return sorted(key for key in map(unquote_to_bytes, named) if key.startswith(prefix))


def dump(client: Client) -> bytes:
    """Return what memcached says of all its items; pymemcache can't read it."""
    address = cast("tuple[str, int]", client.server)
    with socket.create_connection(address, client.connect_timeout) as connection:
        connection.settimeout(client.timeout)
        connection.sendall(b"lru_crawler metadump all\r\n")
        said = bytearray()
        # Each line ends with a line feed alone; the last one, END or a refusal, with both.
        while not said.endswith(b"\r\n"):
            some = connection.recv(1 << 20)
            if not some:
                raise MemcacheUnexpectedCloseError
            said += some
    return bytes(said)
