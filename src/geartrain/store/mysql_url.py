"""
URLs of MySQL and MariaDB.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from geartrain.errors import UsageError
from geartrain.store.secret import masked_url

__all__ = ["Place", "read_place"]

DEFAULT_PORT: Final = 3306
PATHS: Final = ("ssl_ca", "ssl_cert", "ssl_key", "unix_socket")
SWITCHES: Final = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
ON: Final = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}


class Place:
    """
    Where a database is, and who one is there.

    Attributes:
        user: As which user.
        password: Empty for none.
        hosts: Hosts and ports, in the order in which they are tried.
        database: Its name.
        options: Other arguments of the driver's.

    """

    def __init__(
        self,
        user: str,
        password: str,
        hosts: list[tuple[str, int]],
        database: str,
        options: dict[str, Any],
    ) -> None:
        self.user = user
        self.password = password
        self.hosts = hosts
        self.database = database
        self.options = options


def read_place(url: str) -> Place:
    """
    Return what a URL says.

    Args:
        url: ``mysql://USER:PASSWORD@HOST1:PORT,HOST2/DATABASE?ssl_ca=FILE``; ``mariadb://`` is
            the same. Signs with a meaning in URLs are written as %XX. Parameters: ``ssl_ca``,
            ``ssl_cert``, ``ssl_key``, ``unix_socket``; ``ssl_verify_cert``,
            ``ssl_verify_identity`` and ``ssl_disabled`` are ``true`` or ``false``.

    Raises UsageError, which repeats no password.
    """
    parts = urlsplit(url)
    who, _, where = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise UsageError(f"{masked_url(url)} names no database: say mysql://USER@HOST/DATABASE")
    return Place(
        unquote(user),
        unquote(password),
        [read_host(host, url) for host in where.split(",")],
        database,
        read_options(parts.query, url),
    )


def read_host(text: str, url: str) -> tuple[str, int]:
    """Return a host and its port."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"{masked_url(url)} has no valid port: {port!r}")
    return unquote(host.removeprefix("[").removesuffix("]")) or "localhost", int(port)


def read_options(query: str, url: str) -> dict[str, Any]:
    """Return the parameters of a URL as arguments of the driver's."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in PATHS and value:
            options[name] = value
        elif name in SWITCHES and value.lower() in ON:
            options[name] = ON[value.lower()]
        else:
            raise UsageError(
                f"{masked_url(url)}: {name} is not understood; there are "
                f"{', '.join(PATHS)} with a path, and {', '.join(SWITCHES)} with true or false"
            )
    return options
