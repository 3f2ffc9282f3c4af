"""
Where in which Redis a queue is, from a URL.

``redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=PREFIX]``; ``valkey:``
is the same, ``rediss:`` and ``valkeys:`` encrypt. Other parameters are those of
the redis library, such as ``ssl_ca_certs``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from geartrain.errors import UsageError

__all__ = ["SCHEMES", "Place", "read_place"]

SCHEMES: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}
DEFAULT_PREFIX: Final = "geartrain"
DEFAULT_PORT: Final = 6379


class Place:
    """
    Where a queue is.

    Attributes:
        prefix: What the names of its keys begin with.
        name: The URL without user and password, for people.

    """

    def __init__(self, url: str, prefix: str, name: str) -> None:
        self._url = url
        self.prefix = prefix
        self.name = name

    def client(self, connecting: float, answering: float) -> Redis:
        """
        Return a client, not connected yet, that neither retries nor decodes.

        Args:
            connecting: Seconds until a connection has to be made.
            answering: Seconds until an answer has to come.

        """
        return Redis.from_url(
            self._url,
            socket_connect_timeout=connecting,
            socket_timeout=answering,
            # A script that was tried again would not know whether it had run already.
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            decode_responses=False,
            protocol=2,
            single_connection_client=False,
            max_connections=2,
        )


def read_place(url: str, prefix: str = DEFAULT_PREFIX) -> Place:
    """
    Return where a URL points; raises UsageError, which repeats nothing of a password.

    Args:
        url: See above.
        prefix: What holds where the URL has none.

    """
    usual = prefix
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise UsageError(
            "the redis URL has no valid port: redis://HOST:PORT/0 is its form; "
            "write / : @ in a password as %2F %3A %40"
        ) from None
    if not parts.hostname:
        raise UsageError("the redis URL names no host: say redis://127.0.0.1:6379/0")
    database = parts.path.strip("/") or "0"
    if not database.isdecimal():
        raise UsageError(f"the database of a redis URL is a number, such as /0, not {parts.path}")
    others = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "prefix":
            prefix = value
        else:
            others.append((name, value))
    if not re.fullmatch(r"[!-~]{1,100}", prefix):
        raise UsageError("the prefix in a redis URL is 1 to 100 printable characters of ASCII")
    scheme = SCHEMES[parts.scheme.lower()]
    plain = urlunsplit((scheme, parts.netloc, f"/{database}", urlencode(others), ""))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if prefix == usual else f"?prefix={prefix}"
    place = Place(plain, prefix, f"{parts.scheme.lower()}://{host}:{port}/{database}{shown}")
    try:
        place.client(1.0, 1.0).connection_pool.make_connection()
    except (TypeError, ValueError) as error:
        names = ", ".join(name for name, _ in others)
        raise UsageError(
            f"the redis library does not take these parameters of the URL: {names}"
        ) from error
    return place
