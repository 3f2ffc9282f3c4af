"""python-gearman's small tools: addresses, time that runs out, lists of one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from geartrain.client.address import Address, parse_address
from geartrain.compat.gearman.constants import DEFAULT_GEARMAN_PORT
from geartrain.errors import UsageError

Item = TypeVar("Item")

_TLS_KEYS = ("keyfile", "certfile", "ca_certs")


class Stopwatch:
    """
    Time that runs out.

    Args:
        time_remaining: Seconds; None for no end.

    """

    def __init__(self, time_remaining: float | None) -> None:
        self.stop_time = None if time_remaining is None else time.monotonic() + time_remaining

    def get_time_remaining(self) -> float | None:
        """Return the seconds left, never less than 0; None for no end."""
        if self.stop_time is None:
            return None
        return max(0.0, self.stop_time - time.monotonic())

    def has_time_remaining(self) -> bool:
        """Return whether any time is left."""
        return self.stop_time is None or time.monotonic() < self.stop_time


def unlist(given_list: Sequence[Item]) -> Item | None:
    """Return the only item of a list, None where it is empty; `ValueError` where there are more."""
    if len(given_list) > 1:
        raise ValueError(f"one item was expected, and {len(given_list)} are there")
    return given_list[0] if given_list else None


def disambiguate_server_parameter(hostport_tuple: Any) -> tuple[str, int]:
    """Return the host and the port that one item of a ``host_list`` stands for."""
    address = read_address(hostport_tuple)
    return (address.path or address.host), address.port


def read_address(item: Any) -> Address:
    """
    Return the address that one item of a ``host_list`` stands for.

    Args:
        item: ``"host"``, ``"host:port"``, ``(host, port)``, or a dict with ``host`` and ``port``.
            A port may be text.

    Raises:
        UsageError: It is none of these, or asks for TLS.

    """
    if isinstance(item, Mapping):
        if any(item.get(key) for key in _TLS_KEYS):
            raise UsageError(
                f"server {item.get('host')!r}: TLS is not available yet; leave out "
                f"{', '.join(_TLS_KEYS)}, and go through a tunnel or a network you trust"
            )
        item = (item.get("host"), item.get("port") or DEFAULT_GEARMAN_PORT)
    if isinstance(item, tuple | list) and len(item) == 2:
        host, port = item
        if isinstance(port, str) and port.isascii() and port.isdigit():
            port = int(port)
        return parse_address((as_text(host), port))
    return parse_address(as_text(item))


def as_text(name: Any) -> Any:
    """Return a name that came as bytes as text, and anything else as it is."""
    if isinstance(name, bytes):
        # Bytes that are no UTF-8 are kept as surrogates, so that nothing is lost.
        return name.decode("utf-8", "surrogateescape")
    return name


def as_bytes(name: Any) -> Any:
    """Return a name that came as text as it is sent, and anything else as it is."""
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name


__all__ = [
    "Stopwatch",
    "as_bytes",
    "as_text",
    "disambiguate_server_parameter",
    "read_address",
    "unlist",
]
