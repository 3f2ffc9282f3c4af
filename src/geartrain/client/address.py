"""
Where a job server listens, and the ways to write that down.

Nothing is looked up here: names are resolved when they are dialled, each time
anew, because a server that moved has the same name and another address.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from geartrain.errors import UsageError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 4730

# Comma-separated servers, used where a program names none.
ENVIRONMENT: Final = "GEARMAN_SERVERS"

_LAST_PORT: Final = 65535


class Address(NamedTuple):
    """
    A host and port, or the path of a unix socket.

    Attributes:
        host: Name or IP address, without brackets; empty for a unix socket.
        port: TCP port; 0 for a unix socket.
        path: Path of the unix socket; empty for TCP.

    """

    host: str
    port: int = DEFAULT_PORT
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        if ":" in self.host:
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


# What users may write for one server, and for several.
AddressLike: TypeAlias = "str | tuple[str, int] | Address"
ServersLike: TypeAlias = "AddressLike | Iterable[AddressLike] | None"


def parse_address(value: AddressLike) -> Address:
    """
    Return the address that ``value`` says.

    Args:
        value: ``"host"``, ``"host:port"``, ``"[::1]:4730"``, ``"unix:/path"``, the same
            after ``gearman://``, a pair ``(host, port)``, or an `Address`.

    Raises:
        UsageError: It is none of these; the message says what to write.

    """
    if isinstance(value, Address):
        return value
    if isinstance(value, tuple):
        return _from_pair(value)
    if not isinstance(value, str):
        raise UsageError(f"server {value!r} is neither 'host:port' nor a pair (host, port)")
    text = value.strip()
    if text.startswith("unix:"):
        return _from_path(value, text.removeprefix("unix:"))
    scheme, separator, rest = text.partition("://")
    if separator:
        return _from_url(value, scheme.lower(), rest)
    return _from_text(value, text)


def parse_addresses(servers: ServersLike = None) -> list[Address]:
    """
    Return the addresses of one or several servers, in the order given, each once.

    Args:
        servers: Addresses as `parse_address` takes them; a string may hold several,
            separated by commas. None means those of ``GEARMAN_SERVERS``, or
            ``127.0.0.1:4730`` where that is not set.

    Raises:
        UsageError: One of them can't be read, or there is none.

    """
    if servers is None:
        servers = os.environ.get(ENVIRONMENT) or str(Address(DEFAULT_HOST))
    values: list[AddressLike] = []
    for value in _one_by_one(servers):
        if isinstance(value, str):
            values += [part for part in value.split(",") if part.strip()]
        else:
            values.append(value)
    if not values:
        raise UsageError(f"no job server is given; write for instance '{Address(DEFAULT_HOST)}'")
    return list(dict.fromkeys(parse_address(value) for value in values))


def _one_by_one(servers: AddressLike | Iterable[AddressLike]) -> Iterable[AddressLike]:
    if isinstance(servers, str | Address) or _is_pair(servers):
        return [servers]  # type: ignore[list-item]
    if not isinstance(servers, Iterable):
        raise UsageError(f"servers {servers!r} is neither an address nor a list of addresses")
    return servers  # type: ignore[return-value]


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _from_pair(value: tuple[str, int]) -> Address:
    if not _is_pair(value) or isinstance(value[1], bool) or not value[0]:
        raise UsageError(f"server {value!r} is not a pair of a host and a port number")
    host, port = value
    if not 0 < port <= _LAST_PORT:
        raise UsageError(f"port {port} of server {value!r} is not within 1..{_LAST_PORT}")
    _check_host(value, host)
    return Address(host, port)


def _from_path(value: str, path: str) -> Address:
    # unix:/run/gearman.sock and unix:///run/gearman.sock are the same.
    path = path.removeprefix("//")
    if not path or "\0" in path:
        raise UsageError(f"server {value!r} names no socket; write unix:/path/to/socket")
    return Address("", 0, path)


def _from_url(value: str, scheme: str, rest: str) -> Address:
    if scheme == "gearmans":
        raise UsageError(
            f"server {value!r}: TLS is not available yet; use gearman:// within a network "
            "you trust, or through a tunnel"
        )
    if scheme != "gearman":
        raise UsageError(f"server {value!r}: {scheme}:// is unknown; write gearman://host:port")
    return _from_text(value, rest.removesuffix("/"))


def _from_text(value: str, text: str) -> Address:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError(f"server {value!r} has no closing bracket; write [::1]:{DEFAULT_PORT}")
        port = rest[1:]
        separator = rest[:1]
    else:
        host, separator, port = text.partition(":")
        if ":" in port:
            raise UsageError(
                f"server {value!r} has several colons; "
                f"an IPv6 address takes brackets: [::1]:{DEFAULT_PORT}"
            )
    _check_host(value, host)
    if not separator:
        return Address(host)
    # int() would take "1_0", " 10" and digits of other scripts.
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _LAST_PORT:
        raise UsageError(f"port {port!r} of server {value!r} is not a number within 1..65535")
    return Address(host, int(port))


def _check_host(value: AddressLike, host: str) -> None:
    # Whether it exists is known when it is dialled; here, whether a resolver would take it.
    readable = host != "" and not any(character in host for character in " /@\0\t\r\n")
    try:
        if readable:
            host.encode("idna")
    except UnicodeError:
        readable = False
    if not readable:
        raise UsageError(f"server {value!r} names no host; write for instance 10.0.0.1:4730")


__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "ENVIRONMENT",
    "Address",
    "AddressLike",
    "ServersLike",
    "parse_address",
    "parse_addresses",
]
