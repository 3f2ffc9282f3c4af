"""
The item that names all jobs of a queue in memcached: whose it is, and what is in it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from geartrain.store.number_set import NumberSet

__all__ = ["Head"]

FORMAT: Final = 1

_encode: Final = msgspec.msgpack.Encoder().encode
# Format, generation, holder, numbers of jobs, numbers of dead letters.
_decode: Final = msgspec.msgpack.Decoder(tuple[int, int, bytes, bytes, bytes]).decode


class Head:
    """
    What the head says.

    Attributes:
        generation: How often a server was started on the queue.
        holder: The server that has it, as ``holder`` describes one.
        jobs: Numbers of the jobs.
        letters: Numbers of the dead letters.

    """

    def __init__(self, generation: int, holder: bytes, jobs: NumberSet, letters: NumberSet) -> None:
        self.generation = generation
        self.holder = holder
        self.jobs = jobs
        self.letters = letters

    def packed(self) -> bytes:
        """Return the head as a value."""
        numbers = (self.jobs.packed(), self.letters.packed())
        return _encode((FORMAT, self.generation, self.holder, *numbers))

    @classmethod
    def unpacked(cls, value: bytes) -> Head:
        """Return the head of a value; raises ValueError where it is none of this format."""
        try:
            form, generation, holder, jobs, letters = _decode(value)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(str(error)) from None
        if form != FORMAT:
            raise ValueError(f"it was written by another version, in format {form}")
        return cls(generation, holder, NumberSet.unpacked(jobs), NumberSet.unpacked(letters))
