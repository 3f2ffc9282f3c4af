"""
The server that the options ``-h`` and ``-p`` of the drop-in tools name together.
"""

from __future__ import annotations

import socket
from typing import Final

from geartrain.client.address import DEFAULT_PORT, Address, parse_address
from geartrain.errors import UsageError

_LAST_PORT: Final = 65535


def address_of(host: str, port: str) -> Address:
    """
    Return the address that the options ``-h`` and ``-p`` name together.

    Args:
        host: Name, IPv4 or IPv6 address with or without brackets, ``host:port``, or
            ``unix:/path``.
        port: Number or name of a service; empty for 4730.

    Raises:
        UsageError: They can't be read.

    """
    if host.startswith("unix:") or host.startswith("["):
        address = parse_address(host)
    elif host.count(":") > 1:
        address = Address(host, DEFAULT_PORT)
    else:
        address = parse_address(host)
    if not port or address.path:
        return address
    return Address(address.host, _port(port))


def _port(value: str) -> int:
    if value.isascii() and value.isdigit():
        if not 0 < int(value) <= _LAST_PORT:
            raise UsageError(f"-p: port {value} is not within 1..{_LAST_PORT}")
        return int(value)
    try:
        return socket.getservbyname(value, "tcp")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"-p: {value!r} is neither a port number nor a known service") from error


__all__ = ["address_of"]
