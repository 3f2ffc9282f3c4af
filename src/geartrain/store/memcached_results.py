"""
Results of jobs in memcached, which the head of the queue does not name.

Each is an item of its own, which memcached forgets some time after it has expired.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from time import time
from typing import Final

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheServerError

from geartrain.store.batch import Result
from geartrain.store.memcached_items import Items
from geartrain.store.memcached_server import known_keys
from geartrain.store.rows import is_handle
from geartrain.store.values import pack_result, unpack_result

__all__ = ["Results"]

warnings = logging.getLogger("geartrain.warning")

# For how long memcached keeps a result longer than it has to, in seconds: in case nobody asks for
# what has expired to be forgotten.
LEEWAY: Final = 3600
# Later than that, in seconds since 1970, memcached can't say when.
LAST: Final = 2**31


class Results:
    """
    The results of one queue.

    Args:
        prefix: What their keys begin with; a handle follows.
        items: How values are written.

    """

    def __init__(self, prefix: str, items: Items) -> None:
        self._prefix = prefix
        self._items = items
        # When they expire, and their handles; of those that this process has seen.
        self._expiries: list[tuple[float, bytes]] = []

    def _key(self, handle: bytes) -> str:
        return self._prefix + handle.decode()

    def keep(self, client: Client, results: Sequence[Result]) -> None:
        """Write results."""
        for result in results:
            key = self._key(result.handle)
            end = int(result.expires) + LEEWAY
            # What lies in the past would not be stored at all.
            end = end if time() < end < LAST else 0
            try:
                self._items.write(client, {key: pack_result(result)}, end)
            except MemcacheServerError as error:
                # Jobs that end make room; they have to, whether their results find any or not.
                self._items.forget(client, [key])
                warnings.warning("memcached keeps no result of %r: %s", result.handle, error)
                continue
            self._note(result)

    def find(self, client: Client, handle: bytes) -> Result | None:
        """Return the result of a handle, None where there is none that can be read."""
        if not is_handle(handle):
            return None
        for _, value in self._items.read(client, [self._key(handle)]):
            result = None if value is None else unpack_result(handle, value)
            if isinstance(result, Result):
                return result
        return None

    def page(self, client: Client, after: bytes, limit: int) -> list[Result]:
        """Return results of larger handles in their order, as many as this at most."""
        prefix = self._prefix.encode()
        handles = [key[len(prefix) :] for key in known_keys(client, prefix)]
        wanted = [handle for handle in handles if handle > after and is_handle(handle)]
        named = {self._key(handle): handle for handle in wanted}
        found: list[Result] = []
        for key, value in self._items.read(client, named):
            # A piece of a value has the key of that value, and a number.
            if value is None or key.rpartition(":")[0] in self._items.cut:
                continue
            result = unpack_result(named[key], value)
            if isinstance(result, Result):
                found.append(result)
                self._note(result)
            if len(found) == limit:
                break
        return found

    def _note(self, result: Result) -> None:
        heapq.heappush(self._expiries, (result.expires, result.handle))

    def forget(self, client: Client, now: float) -> None:
        """Forget those that have expired, as far as this process has seen them."""
        expired: list[str] = []
        while self._expiries and self._expiries[0][0] <= now:
            _, handle = heapq.heappop(self._expiries)
            result = self.find(client, handle)
            # A later result may have replaced it.
            if result is not None and result.expires <= now:
                expired.append(self._key(handle))
        self._items.forget(client, expired)
