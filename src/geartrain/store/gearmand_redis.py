"""
gearmand's keys in a Redis: one for each job, ``_gear_-FUNCTION-UNIQUE``.

gearmand 2.0 also writes function and unique key into the value. 1.1 doesn't,
and cuts the key at its first dash when it reads it, also where the function's
name has one. Here a key that ends with a UUID, or begins with a function that
was named, is cut there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from geartrain.errors import StoreUnavailable
from geartrain.store.redis_url import read_place

__all__ = ["RedisSource"]

DEFAULT_PREFIX: Final = "_gear_"
PATIENCE: Final = 10.0
PAGE: Final = 500
# libgearman's clients make one up where a job has no unique key.
UUID: Final = re.compile(
    rb"(.+)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.DOTALL | re.IGNORECASE
)


class RedisSource:
    """
    gearmand's keys under one prefix.

    Args:
        url: Of the Redis.
        functions: Functions whose names have dashes in them.

    """

    def __init__(self, url: str, functions: Sequence[str] = ()) -> None:
        self.place = read_place(url, DEFAULT_PREFIX)
        self.start = self.place.prefix.encode() + b"-"
        # The longest first, since one may begin with another.
        self.functions = sorted((name.encode() for name in functions), key=len, reverse=True)

    @property
    def name(self) -> str:
        """The URL without user and password."""
        return self.place.name

    def is_there(self) -> bool:
        """Return whether there is any key of gearmand's."""
        with self._connected() as client:
            return next(self._keys(client), None) is not None

    def rows(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Yield each key's job, in the order of keys: gearmand keeps no other."""
        with self._connected() as client:
            keys = sorted(set(self._keys(client)))
            for key in keys:
                values = self._values(client, key)
                if values is not None:
                    yield f"key {key.decode('utf-8', 'backslashreplace')}", values

    def put_away(self) -> str:
        """Rename the keys."""
        prefix = self.place.prefix.encode() + b"imported"
        with self._connected() as client:
            for key in set(self._keys(client)):
                client.rename(key, prefix + b"-" + key[len(self.start) :])
        return f"{prefix.decode()}-..."

    def close(self) -> None:
        """Do nothing: no connection outlives a call."""

    def _keys(self, client: Redis) -> Iterator[bytes]:
        escaped = re.sub(rb"([][*?\\^])", rb"\\\1", self.start)
        yield from client.scan_iter(match=escaped + b"*", count=PAGE)

    def _values(self, client: Redis, key: bytes) -> Sequence[object] | None:
        """Return the columns of a key's job, None where it is gone."""
        kind: Any = client.type(key)
        if kind == b"none":
            return None
        function, unique = self._names(key[len(self.start) :])
        if kind == b"string":
            # As gearmand wrote it before it knew priorities.
            return unique, function, 1, client.get(key), 0
        if kind != b"hash":
            return unique, function, f"of a key that holds a {kind.decode()}", None, 0
        fields: Any = client.hgetall(key)
        priority = fields.get(b"priority", b"1")
        return (
            fields.get(b"unique", unique),
            fields.get(b"function", function),
            int(priority) if priority.isdigit() else priority,
            fields.get(b"data", "missing"),
            0,
        )

    def _names(self, rest: bytes) -> tuple[bytes, bytes]:
        """Return function and unique key, from what stands behind the prefix."""
        for function in self.functions:
            if rest.startswith(function + b"-"):
                return function, rest[len(function) + 1 :]
        found = UUID.fullmatch(rest)
        if found:
            return found[1], found[2]
        function, _, unique = rest.partition(b"-")
        return function, unique

    @contextmanager
    def _connected(self) -> Iterator[Redis]:
        try:
            with self.place.client(PATIENCE, PATIENCE) as client:
                yield client
        except RedisError as error:
            raise StoreUnavailable(f"{self.name} can't be read: {error}") from error
