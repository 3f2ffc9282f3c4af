"""
A job as one value of a store that knows keys and values only.

The value is a MessagePack array of the columns behind the number, which is in
the key. It begins with the handle, so that two values can be told to be of the
same job by their first bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from geartrain.broker.job import Job
from geartrain.store.batch import DeadLetter, Result
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import (
    COLUMNS,
    LETTER_COLUMNS,
    RESULT_COLUMNS,
    letter_row_of,
    read_letter,
    read_result,
    read_row,
    result_row_of,
    row_of,
)

__all__ = [
    "handle_head",
    "number_of",
    "pack_job",
    "pack_letter",
    "pack_result",
    "pack_values",
    "unpack_job",
    "unpack_letter",
    "unpack_result",
]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


def pack_job(job: Job) -> bytes:
    """Return the value of a job."""
    return _encode(row_of(job)[1:])


def pack_values(columns: Sequence[object]) -> bytes:
    """Return the value of the columns behind the number, whatever they are."""
    return _encode(list(columns))


def handle_head(handle: bytes) -> bytes:
    """Return how the values of a job with this handle begin."""
    # An array of nine; a binary of up to 255 bytes and its length.
    return b"\x99\xc4%c%b" % (len(handle), handle)


def unpack_job(key: bytes, value: bytes, change: bytes | None = None) -> Job | Damaged:
    """
    Return the job of a value, or what is wrong with it.

    Args:
        key: The job's number in decimal digits.
        value: What ``pack_job`` returned.
        change: Attempts and epoch that have replaced those of the value, as digits with a
            blank between; None for none.

    """
    number = number_of(key)
    if number is None:
        return Damaged(f"key {key[:80]!r}", "the key is no number")
    columns = columns_of(value, len(COLUMNS) - 1)
    if isinstance(columns, str):
        return Damaged(f"number {number}", columns)
    if change is not None:
        try:
            columns[8], columns[5] = (int(word) for word in change.split())
        except ValueError:
            return Damaged(f"number {number}", f"attempts and epoch are {change[:80]!r}")
    return read_row([number, *columns])


def pack_letter(letter: DeadLetter) -> bytes:
    """Return the value of a dead letter."""
    return _encode(letter_row_of(letter)[1:])


def unpack_letter(key: bytes, value: bytes) -> DeadLetter | Damaged:
    """Return the dead letter of a value, or what is wrong with it."""
    number = number_of(key)
    columns = columns_of(value, len(LETTER_COLUMNS) - 1)
    if isinstance(columns, str) or number is None:
        return Damaged(f"dead letter {key[:80]!r}", str(columns))
    return read_letter([number, *columns])


def pack_result(result: Result) -> bytes:
    """Return the value of a result."""
    return _encode(result_row_of(result)[1:])


def unpack_result(handle: bytes, value: bytes) -> Result | Damaged:
    """Return the result of a value, or what is wrong with it."""
    columns = columns_of(value, len(RESULT_COLUMNS) - 1)
    if isinstance(columns, str):
        return Damaged(f"result of {handle!r}", columns)
    return read_result([handle, *columns])


def columns_of(value: bytes, count: int) -> list[object] | str:
    """Return what a value holds, or in words why it holds no columns, or another number of them."""
    try:
        columns = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"the value is no MessagePack: {error}"
    if not isinstance(columns, list) or len(columns) != count:
        return f"the value has not {count} columns"
    return columns


def number_of(key: bytes) -> int | None:
    """Return the number that a key says, None when it says none."""
    try:
        number = int(key)
    except ValueError:
        return None
    return number if b"%d" % number == key else None
