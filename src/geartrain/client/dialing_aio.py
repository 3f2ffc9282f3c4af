"""
Opens one connection to one server, for the event loop.

The twin of ``dialing``, in a module of its own so that blocking programs
never load asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from geartrain.client.address import Address
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive, tune

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)


async def dial_protocol(
    address: Address,
    protocol: Callable[[], AnyProtocol],
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - as dial() has it
    keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
) -> tuple[asyncio.Transport, AnyProtocol]:
    """
    Return a transport and the protocol that ``protocol`` made, connected and with options set.

    Args:
        address: The server; its name is resolved now.
        protocol: Makes the protocol.
        timeout: Seconds for all of it.
        keepalive: When the kernel probes the quiet connection; None for never.

    Raises:
        OSError: The server can't be reached; TimeoutError where the time ran out.

    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        if address.path:
            transport, made = await loop.create_unix_connection(protocol, address.path)
        else:
            transport, made = await loop.create_connection(protocol, address.host, address.port)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        tune(connection, keepalive)
    return transport, made


__all__ = ["dial_protocol"]
