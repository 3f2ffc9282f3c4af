"""
Broken packets and lines, each of them from a seed.
"""

from __future__ import annotations

import random

from tests.server.peer import request

FUNCTIONS = [b"f", b"g", b"", b"a name", b"x" * 300]
KEYS = [b"", b"-", b"key", b"k" * 64, b"k" * 65]
NUMBERS = [b"0", b"1", b"-1", b"9e40", b"99999999999999999999", b"", b"\xb2", b"1.5"]
LINES = [
    b"status\n",
    b"workers\r\n",
    b"prioritystatus\n",
    b"show jobs\n",
    b"show unique jobs\n",
    b"version\n",
    b"getpid\n",
    b"verbose\n",
    b"maxqueue f 0\n",
    b"maxqueue\n",
    b"create function f\n",
    b"create function          \n",
    b"drop function g\n",
    b"cancel job H:x:1\n",
    b"shutdown now\n",
    b"%n%s%n\n",
    b"\n",
]
# Sizes and types that are special to somebody.
SPECIAL = [0, 1, 2, 12, 43, 44, 255, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
LAST_TYPE = 42


class Mutator:
    """
    Makes inputs that are nearly right.

    Args:
        seed: The same seed makes the same inputs.

    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def input(self) -> bytes:
        """Return one input: a packet, a line, or what has become of it."""
        choose = self.random
        data = choose.choice(LINES) if choose.random() < 0.2 else self.packet()
        for _ in range(choose.choice((0, 1, 1, 1, 2, 5))):
            data = self.mutated(data)
        return data

    def packet(self) -> bytes:
        """Return a packet, as many arguments as it may or may not have."""
        choose = self.random
        kind = choose.randint(0, LAST_TYPE + 1)
        args = [self.argument() for _ in range(choose.choice((0, 1, 1, 2, 3, 3, 3, 4, 5, 8)))]
        return request(kind, *args)

    def argument(self) -> bytes:
        choose = self.random
        kind = choose.randrange(5)
        if kind == 0:
            return choose.choice(FUNCTIONS)
        if kind == 1:
            return choose.choice(KEYS)
        if kind == 2:
            return choose.choice(NUMBERS)
        if kind == 3:
            return b"H:vm:1"
        return choose.randbytes(choose.choice((0, 1, 10, 100)))

    def mutated(self, data: bytes) -> bytes:
        """Return the data with one thing wrong."""
        choose = self.random
        kind = choose.randrange(9)
        if not data:
            return choose.randbytes(4)
        at = choose.randrange(len(data))
        if kind == 0:
            return data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1 :]
        if kind == 1:
            return data[:at]
        if kind == 2:
            return data[:at] + choose.randbytes(choose.randint(1, 8)) + data[at:]
        if kind == 3:
            return data[:at] + data[at + choose.randint(1, 8) :]
        if kind == 4:
            return data[:4] + choose.choice(SPECIAL).to_bytes(4, "big") + data[8:]
        if kind == 5:
            return data[:8] + choose.choice(SPECIAL).to_bytes(4, "big") + data[12:]
        if kind == 6:
            return data + data[:at]
        if kind == 7:
            return data.replace(b"\0", choose.choice((b"", b"\n", b"\0\0", b"\r")))
        return data[:4] + choose.randbytes(8) + data[12:]
