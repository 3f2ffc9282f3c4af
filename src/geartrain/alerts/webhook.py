"""
Messages posted to a URL as JSON, signed where a secret is set.

What a URL names is looked up once and connected to as found, so that a name can't point to one
address when it is checked and to another when it is used. Machines of one's own network are
refused unless they are allowed by name; redirections are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Final
from urllib.parse import urlsplit

from geartrain.alerts.channel import ChannelError
from geartrain.errors import UsageError
from geartrain.store.schedule_rows import Message

__all__ = ["WebhookChannel", "post"]

_PATIENCE: Final = 15.0
# What is read of an answer, for the log.
_READ: Final = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """A URL taken apart."""

    secure: bool
    host: str
    port: int
    path: str


class WebhookChannel:
    """
    Posts to a URL.

    Args:
        url: ``https://...`` or ``http://...``.
        secret_file: Where the key is that messages are signed with; empty for none.
        allow: Hosts that may be addresses of a private network or of this machine.

    """

    for_programs = True

    def __init__(self, url: str, secret_file: str = "", allow: tuple[str, ...] = ()) -> None:
        self.place = read_place(url)
        self.secret_file = secret_file
        self.allow = allow

    def send(self, message: Message) -> None:
        """Post a message; raises ChannelError."""
        body = message.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "geartrain",
            # The same whenever it is sent again.
            "Idempotency-Key": f"geartrain-alert-{message.id}",
        }
        if self.secret_file:
            stamp = f"{time():.0f}"
            headers["X-Geartrain-Timestamp"] = stamp
            headers["X-Geartrain-Signature"] = "sha256=" + self._signed(stamp, body)
        status, answer = post(self.place, body, headers, self.allow)
        if not 200 <= status < 300:
            # Whoever says so would say so again.
            final = 400 <= status < 500 and status not in (408, 425, 429)
            raise ChannelError(f"{self.place.host} answered {status}: {answer}", final=final)

    def _signed(self, stamp: str, body: bytes) -> str:
        try:
            secret = Path(self.secret_file).read_bytes().strip()
        except OSError as error:
            raise ChannelError(f"can't read {self.secret_file}: {error.strerror}") from None
        return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def read_place(url: str) -> Place:
    """Return the place that a URL names; raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("a webhook's URL begins with https:// or http:// and names a host")
    if parts.username is not None:
        raise UsageError("a webhook's URL holds no password: use secret_file to sign messages")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(secure, parts.hostname, port or (443 if secure else 80), path)


def post(
    place: Place, body: bytes, headers: dict[str, str], allow: tuple[str, ...]
) -> tuple[int, str]:
    """Post to a place; return the status and the beginning of the answer. Raises ChannelError."""
    try:
        address = resolved(place, allow)
        connection = _connection(place, address)
        try:
            connection.request("POST", place.path, body, headers)
            response = connection.getresponse()
            answer = response.read(_READ).decode("utf-8", "replace")
            return response.status, " ".join(answer.split())[:200]
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise ChannelError(f"{place.host}:{place.port} can't be reached: {error}") from error


def resolved(place: Place, allow: tuple[str, ...]) -> str:
    """Return an address of a host that may be posted to; raises ChannelError."""
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    if place.host in allow:
        return addresses[0]
    for address in addresses:
        if ipaddress.ip_address(address.partition("%")[0]).is_global:
            return address
    raise ChannelError(
        f"{place.host} is {addresses[0]}, an address of this machine or network; "
        f'where that is meant, set allow = ["{place.host}"] for the channel',
        final=True,
    )


def _connection(place: Place, address: str) -> http.client.HTTPConnection:
    """Return a connection to an address that believes to be to the place's host."""

    def connect(*_: object, **__: object) -> socket.socket:
        return socket.create_connection((address, place.port), _PATIENCE)

    connection: http.client.HTTPConnection
    if place.secure:
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            place.host, place.port, timeout=_PATIENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(place.host, place.port, timeout=_PATIENCE)
    replaced: Callable[..., socket.socket] = connect
    connection._create_connection = replaced  # type: ignore[attr-defined]
    return connection
