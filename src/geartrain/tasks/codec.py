"""
How values become bytes and back.

A codec writes values, reads them as plain ones (dicts, lists, numbers, text),
and makes of those what an annotation asks for. None of them lets bytes choose
code; the one that does, pickle, is in ``pickle_codec`` and has to be asked for.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias

import msgspec

from geartrain.errors import CodecError, UsageError

_REFUSED: Final = (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)


class Codec(Protocol):
    """
    Writes and reads values.

    Own codecs take part by having these methods; a codec has to be picklable where its
    handles are.

    Attributes:
        name: What error messages call it.

    """

    name: str

    def dumps(self, value: Any) -> bytes:
        """Return a value as bytes. Raises CodecError."""

    def loads(self, data: bytes) -> Any:
        """Return bytes as a plain value. Raises CodecError."""

    def convert(self, value: Any, kind: Any) -> Any:
        """Make of a plain value what an annotation asks for. Raises CodecError."""


class JsonCodec:
    """
    JSON: any language can call such a task.

    Dataclasses, msgspec structs, pydantic models, dates, UUIDs, decimals, sets and bytes
    (as base64) are written, and read again by the annotation.
    """

    name = "json"

    def dumps(self, value: Any) -> bytes:
        """Return a value as JSON. Raises CodecError."""
        try:
            return msgspec.json.encode(value, enc_hook=_plain)
        except _REFUSED as error:
            raise _unwritable(value, self.name, error) from error

    def loads(self, data: bytes) -> Any:
        """Return JSON as a plain value. Raises CodecError."""
        try:
            return msgspec.json.decode(data)
        except _REFUSED as error:
            raise _unreadable(data, self.name, error) from error

    def convert(self, value: Any, kind: Any) -> Any:
        """Make of a plain value what an annotation asks for. Raises CodecError."""
        try:
            return msgspec.convert(value, kind, str_keys=True, dec_hook=_made)
        except _REFUSED as error:
            raise CodecError(str(error)) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class MsgpackCodec:
    """MessagePack: as JSON, but smaller, and bytes stay bytes."""

    name = "msgpack"

    def dumps(self, value: Any) -> bytes:
        """Return a value as MessagePack. Raises CodecError."""
        try:
            return msgspec.msgpack.encode(value, enc_hook=_plain)
        except _REFUSED as error:
            raise _unwritable(value, self.name, error) from error

    def loads(self, data: bytes) -> Any:
        """Return MessagePack as a plain value. Raises CodecError."""
        try:
            return msgspec.msgpack.decode(data)
        except _REFUSED as error:
            raise _unreadable(data, self.name, error) from error

    def convert(self, value: Any, kind: Any) -> Any:
        """Make of a plain value what an annotation asks for. Raises CodecError."""
        try:
            return msgspec.convert(
                value, kind, builtin_types=(bytes, bytearray, memoryview), dec_hook=_made
            )
        except _REFUSED as error:
            raise CodecError(str(error)) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class RawCodec:
    """Bytes as they are: a task with it takes one argument, bytes or str, and returns the same."""

    name = "raw"

    def dumps(self, value: Any) -> bytes:
        """Return bytes, or text as UTF-8. Raises CodecError for anything else."""
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        raise CodecError(
            f"{type(value).__name__} can't be sent raw; use bytes or str, or give the task "
            'another codec, such as codec="json"'
        )

    def loads(self, data: bytes) -> Any:
        """Return the bytes."""
        return data

    def convert(self, value: Any, kind: Any) -> Any:
        """Return the bytes, or text where the annotation is ``str``. Raises CodecError."""
        if kind is None or kind is type(None):
            return None
        if kind is not str:
            return value
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"the bytes are no UTF-8 text: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


CodecLike: TypeAlias = "str | Codec"

_CODECS: Final[dict[str, Codec]] = {
    codec.name: codec for codec in (JsonCodec(), MsgpackCodec(), RawCodec())
}


def find_codec(codec: CodecLike, allow_pickle: bool = False) -> Codec:
    """
    Return the codec of a name, or an own one as it is.

    Raises:
        UsageError: The name is unknown, or it is pickle and that was not allowed.

    """
    if not isinstance(codec, str):
        if getattr(codec, "name", None) == "pickle" and not allow_pickle:
            raise UsageError(_PICKLE_REFUSED)
        return codec
    if codec == "pickle":
        if not allow_pickle:
            raise UsageError(_PICKLE_REFUSED)
        from geartrain.tasks.pickle_codec import PickleCodec

        return PickleCodec()
    if codec not in _CODECS:
        names = ", ".join(sorted([*_CODECS, "pickle"]))
        raise UsageError(f"codec {codec!r} is unknown; it is one of {names}, or an object")
    return _CODECS[codec]


_PICKLE_REFUSED: Final = (
    "a pickle runs whatever code its sender likes, so whoever can submit a job would own your "
    'workers, and whoever works your callers; if that is accepted, write App(codec="pickle", '
    "allow_pickle=True)"
)


def _plain(value: Any) -> Any:
    """Return a value of a type msgspec does not know as one it does."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"no {type(value).__module__}.{type(value).__qualname__} can be")


def _made(kind: Any, value: Any) -> Any:
    """Return an object of a type msgspec does not know."""
    if hasattr(kind, "model_validate_json"):
        return kind.model_validate_json(msgspec.json.encode(value))
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError(f"values of {kind!r} can't be made of what was sent; use a dataclass")


def _unwritable(value: Any, name: str, error: Exception) -> CodecError:
    return CodecError(
        f"{type(value).__name__} can't be written as {name} ({error}); use plain values, "
        "dataclasses, msgspec structs or pydantic models"
    )


def _unreadable(data: bytes, name: str, error: Exception) -> CodecError:
    return CodecError(
        f"{len(data)} bytes can't be read as {name} ({error}){_guess(data, name)}; "
        "both ends need the same codec"
    )


def _guess(data: bytes, name: str) -> str:
    """Return what the bytes look like, in words."""
    if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "; it looks like a pickle, which is refused"
    if data[:1] in (b"{", b"[", b'"') and name != "json":
        return "; it looks like json"
    if data[:1] >= b"\x80" and name != "msgpack":
        return "; it looks like msgpack"
    return ""


__all__ = ["Codec", "CodecLike", "JsonCodec", "MsgpackCodec", "RawCodec", "find_codec"]
