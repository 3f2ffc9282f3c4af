"""
Opens one connection to one server, for blocking callers.

A name is resolved anew at each attempt. Nothing is retried here: who dials
decides when to try again, and where.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Final

from geartrain.client.address import Address
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive, tune

CONNECT_TIMEOUT: Final = 5.0


def dial(
    address: Address,
    timeout: float = CONNECT_TIMEOUT,
    keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
) -> socket.socket:
    """
    Return a connected, blocking socket with its options set.

    Args:
        address: The server. Where its name stands for several IP addresses, they are
            tried one after the other.
        timeout: Seconds for all of it but the resolver, which has time limits of its own.
        keepalive: When the kernel probes the quiet connection; None for never.

    Raises:
        OSError: The server can't be reached; TimeoutError where the time ran out.

    """
    if address.path:
        return _connect(socket.AF_UNIX, address.path, timeout, keepalive)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    deadline = time.monotonic() + timeout
    failure = OSError(f"{address.host} has no address")
    for family, _, _, _, place in found:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            failure = TimeoutError("timed out")
            break
        try:
            return _connect(family, place, remaining, keepalive)
        except OSError as error:
            failure = error
    raise failure


def _connect(
    family: int, place: object, timeout: float, keepalive: Keepalive | None
) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(place)  # type: ignore[arg-type]
        connection.settimeout(None)
        tune(connection, keepalive)
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: OSError) -> str:
    """Return why a connection could not be made, in a few words without the errno."""
    if isinstance(error, TimeoutError):
        return str(error) or "timed out"
    if isinstance(error, ConnectionError) and error.errno:
        # asyncio has words of its own.
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()


__all__ = ["CONNECT_TIMEOUT", "dial", "explain"]
