"""
Values of any size in memcached's items, which have a size of their own at most.

A larger value is cut into pieces under keys of their own; the item itself then
says how many there are, and how to tell that all of them are there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from pymemcache.client.base import Client

__all__ = ["Items"]

# What an item takes besides its value, and memcached's own share of it, in bytes.
OVERHEAD: Final = 2048
# Items and bytes sent at once: what memcached answers has to fit into the system's buffers.
PAGE: Final = 500
PAGE_BYTES: Final = 2 * 1024 * 1024
# Items asked for at once; each may be as large as an item can be.
READ_PAGE: Final = 100
# No MessagePack value begins with it, so no value of ours does.
CUT: Final = b"\xc1"

_encode: Final = msgspec.msgpack.Encoder().encode
# Pieces, bytes, checksum.
_decode: Final = msgspec.msgpack.Decoder(tuple[int, int, int]).decode


class Items:
    """
    Reads and writes values of any size.

    Args:
        item_size: The size of memcached's largest item, in bytes.

    """

    def __init__(self, item_size: int) -> None:
        self.room = max(item_size - OVERHEAD, 256)
        # How many pieces the values have that were cut, by key, as far as they were seen.
        self.cut: dict[str, int] = {}

    def write(self, client: Client, values: Mapping[str, bytes], expire: int = 0) -> None:
        """Write values under their keys; raises MemcacheError where one is not stored."""
        page: dict[bytes | str, Any] = {}
        size = 0
        for key, value in self._cut(values):
            page[key] = value
            size += len(value)
            if len(page) == PAGE or size > PAGE_BYTES:
                self._set(client, page, expire)
                page, size = {}, 0
        self._set(client, page, expire)

    def read(self, client: Client, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield each key with its value, or None where it, or a piece of it, is gone."""
        page: list[str] = []
        for key in keys:
            page.append(key)
            if len(page) == READ_PAGE:
                yield from self._page(client, page)
                page = []
        yield from self._page(client, page)

    def forget(self, client: Client, keys: Iterable[str]) -> None:
        """Delete values without waiting, and the pieces of those that were written or read."""
        page = []
        for key in keys:
            page.append(key)
            page += [f"{key}:{number}" for number in range(self.cut.pop(key, 0))]
        for start in range(0, len(page), PAGE):
            client.delete_many(page[start : start + PAGE], noreply=True)

    def _cut(self, values: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        for key, value in values.items():
            if len(value) <= self.room:
                yield key, value
                continue
            starts = range(0, len(value), self.room)
            self.cut[key] = len(starts)
            for number, start in enumerate(starts):
                yield f"{key}:{number}", value[start : start + self.room]
            yield key, CUT + _encode((len(starts), len(value), zlib.crc32(value)))

    def _set(self, client: Client, page: dict[bytes | str, Any], expire: int) -> None:
        if page and client.set_many(page, expire=expire, noreply=False):
            raise OSError("an item was not stored")

    def _page(self, client: Client, page: list[str]) -> Iterator[tuple[str, bytes | None]]:
        if not page:
            return
        found = client.get_many(page)
        for key in page:
            value = found.get(key)
            if value is not None and value.startswith(CUT):
                value = self._joined(client, key, value)
            yield key, value

    def _joined(self, client: Client, key: str, value: bytes) -> bytes | None:
        """Return the value of an item that was cut; None when a piece is gone."""
        try:
            count, size, checksum = _decode(value[1:])
        except (msgspec.DecodeError, msgspec.ValidationError):
            return value
        if not 0 < count <= size:
            return value
        self.cut[key] = count
        pieces = []
        for number in range(count):
            piece = client.get(f"{key}:{number}")
            if piece is None:
                return None
            pieces.append(piece)
        whole = b"".join(pieces)
        return whole if len(whole) == size and zlib.crc32(whole) == checksum else None
