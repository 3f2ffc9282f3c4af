"""
Pickle, for those who ask for it with ``App(codec="pickle", allow_pickle=True)``.

A pickle runs whatever its sender likes when it is read. Nothing else imports
this module, and it refuses nothing: who uses it trusts everybody who can reach
the job server.
"""

from __future__ import annotations

import pickle
from typing import Any

from geartrain.errors import CodecError


class PickleCodec:
    """Any Python object; both ends are to be trusted."""

    name = "pickle"

    def dumps(self, value: Any) -> bytes:
        """Return a value as a pickle. Raises CodecError."""
        try:
            return pickle.dumps(value)
        except Exception as error:
            raise CodecError(f"{type(value).__name__} can't be pickled ({error})") from error

    def loads(self, data: bytes) -> Any:
        """Return what was pickled. Raises CodecError."""
        try:
            return pickle.loads(data)
        except Exception as error:
            raise CodecError(f"{len(data)} bytes can't be read as a pickle ({error})") from error

    def convert(self, value: Any, kind: Any) -> Any:
        """Return the value: a pickle carries its types."""
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


__all__ = ["PickleCodec"]
