"""
Where in which memcached a queue is, from ``memcached://HOST[:PORT][?prefix=PREFIX]``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from pymemcache.client.base import Client

from geartrain.errors import UsageError

__all__ = ["Place", "read_place"]

DEFAULT_PREFIX: Final = "geartrain"
DEFAULT_PORT: Final = 11211
FORM: Final = "memcached://127.0.0.1:11211"


class Place:
    """
    Where a queue is.

    Attributes:
        prefix: What the keys of its items begin with.
        name: The URL, for people.

    """

    def __init__(self, host: str, port: int, prefix: str, name: str) -> None:
        self._address = (host, port)
        self.prefix = prefix
        self.name = name

    def client(self, connecting: float, answering: float) -> Client:
        """
        Return a client, not connected yet, that waits for every answer.

        Args:
            connecting: Seconds until a connection has to be made.
            answering: Seconds until an answer has to come.

        """
        return Client(
            self._address,
            connect_timeout=connecting,
            timeout=answering,
            no_delay=True,
            default_noreply=False,
        )


def read_place(url: str) -> Place:
    """Return where a URL points; raises UsageError."""
    try:
        parts = urlsplit(url)
        if "," in parts.netloc:
            raise UsageError(
                "a store is in one memcached, since a part of a queue is no queue: name one server"
            )
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        raise UsageError(f"the memcached URL has no valid port: {FORM} is its form") from None
    if not host:
        raise UsageError(f"the memcached URL names no host: say {FORM}")
    if "@" in parts.netloc or parts.path.strip("/"):
        raise UsageError(f"a memcached URL has no user, password or database: {FORM} is its form")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", DEFAULT_PREFIX)
    if query:
        raise UsageError("a memcached URL takes ?prefix= and nothing else")
    # A key has 250 bytes at most, and the longest of ours ends with a handle.
    if not re.fullmatch(r"[!-~]{1,100}", prefix):
        raise UsageError("the prefix in a memcached URL is 1 to 100 printable characters of ASCII")
    shown = f"[{host}]" if ":" in host else host
    end = "" if prefix == DEFAULT_PREFIX else f"?prefix={prefix}"
    return Place(host, port, prefix, f"memcached://{shown}:{port}{end}")
