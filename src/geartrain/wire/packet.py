"""
The packets of the Gearman protocol: numbers, names, arguments.

A packet is a header of twelve bytes (magic, type, size; integers big-endian)
and *size* bytes of arguments. Arguments end with a NUL each, but for the last
one, which runs to the end of the packet and may contain NULs itself.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

REQUEST: Final = b"\0REQ"
RESPONSE: Final = b"\0RES"
HEADER_SIZE: Final = 12

# A text line is handed out as a packet of type 0, which no binary packet may have.
TEXT: Final = 0
CAN_DO: Final = 1
CANT_DO: Final = 2
RESET_ABILITIES: Final = 3
PRE_SLEEP: Final = 4
UNUSED: Final = 5
NOOP: Final = 6
SUBMIT_JOB: Final = 7
JOB_CREATED: Final = 8
GRAB_JOB: Final = 9
NO_JOB: Final = 10
JOB_ASSIGN: Final = 11
WORK_STATUS: Final = 12
WORK_COMPLETE: Final = 13
WORK_FAIL: Final = 14
GET_STATUS: Final = 15
ECHO_REQ: Final = 16
ECHO_RES: Final = 17
SUBMIT_JOB_BG: Final = 18
ERROR: Final = 19
STATUS_RES: Final = 20
SUBMIT_JOB_HIGH: Final = 21
SET_CLIENT_ID: Final = 22
CAN_DO_TIMEOUT: Final = 23
ALL_YOURS: Final = 24
WORK_EXCEPTION: Final = 25
OPTION_REQ: Final = 26
OPTION_RES: Final = 27
WORK_DATA: Final = 28
WORK_WARNING: Final = 29
GRAB_JOB_UNIQ: Final = 30
JOB_ASSIGN_UNIQ: Final = 31
SUBMIT_JOB_HIGH_BG: Final = 32
SUBMIT_JOB_LOW: Final = 33
SUBMIT_JOB_LOW_BG: Final = 34
SUBMIT_JOB_SCHED: Final = 35
SUBMIT_JOB_EPOCH: Final = 36
SUBMIT_REDUCE_JOB: Final = 37
SUBMIT_REDUCE_JOB_BACKGROUND: Final = 38
GRAB_JOB_ALL: Final = 39
JOB_ASSIGN_ALL: Final = 40
GET_STATUS_UNIQUE: Final = 41
STATUS_RES_UNIQUE: Final = 42

LAST_TYPE: Final = 42

# A packet with the other side's magic; its type and arguments are not looked at.
WRONG_MAGIC: Final = -1

# Index is the type: name, number of arguments, whether the last one may be left out.
# Reduce jobs carry four arguments before the workload although PROTOCOL lists three:
# function, unique, reducer, and one that gearmand ignores and libgearman sends empty.
# Perl's worker sends WORK_COMPLETE without the separator when the result is empty.
_TABLE: Final = (
    ("TEXT", 1, False),
    ("CAN_DO", 1, False),
    ("CANT_DO", 1, False),
    ("RESET_ABILITIES", 0, False),
    ("PRE_SLEEP", 0, False),
    ("UNUSED", 0, False),
    ("NOOP", 0, False),
    ("SUBMIT_JOB", 3, False),
    ("JOB_CREATED", 1, False),
    ("GRAB_JOB", 0, False),
    ("NO_JOB", 0, False),
    ("JOB_ASSIGN", 3, False),
    ("WORK_STATUS", 3, False),
    ("WORK_COMPLETE", 2, True),
    ("WORK_FAIL", 1, False),
    ("GET_STATUS", 1, False),
    ("ECHO_REQ", 1, False),
    ("ECHO_RES", 1, False),
    ("SUBMIT_JOB_BG", 3, False),
    ("ERROR", 2, True),
    ("STATUS_RES", 5, False),
    ("SUBMIT_JOB_HIGH", 3, False),
    ("SET_CLIENT_ID", 1, False),
    ("CAN_DO_TIMEOUT", 2, False),
    ("ALL_YOURS", 0, False),
    ("WORK_EXCEPTION", 2, True),
    ("OPTION_REQ", 1, False),
    ("OPTION_RES", 1, False),
    ("WORK_DATA", 2, True),
    ("WORK_WARNING", 2, True),
    ("GRAB_JOB_UNIQ", 0, False),
    ("JOB_ASSIGN_UNIQ", 4, False),
    ("SUBMIT_JOB_HIGH_BG", 3, False),
    ("SUBMIT_JOB_LOW", 3, False),
    ("SUBMIT_JOB_LOW_BG", 3, False),
    ("SUBMIT_JOB_SCHED", 8, False),
    ("SUBMIT_JOB_EPOCH", 4, False),
    ("SUBMIT_REDUCE_JOB", 5, False),
    ("SUBMIT_REDUCE_JOB_BACKGROUND", 5, False),
    ("GRAB_JOB_ALL", 0, False),
    ("JOB_ASSIGN_ALL", 5, False),
    ("GET_STATUS_UNIQUE", 1, False),
    ("STATUS_RES_UNIQUE", 6, False),
)

NAMES: Final[list[str]] = [name for name, _, _ in _TABLE]
ARGUMENTS: Final[list[int]] = [count for _, count, _ in _TABLE]
LAST_MAY_LACK: Final[list[bool]] = [lack for _, _, lack in _TABLE]


@mypyc_attr(acyclic=True)
class Packet:
    """
    One packet, cut into its arguments.

    Attributes:
        type: Number of the packet, or ``TEXT`` for a line of the text protocol,
            or ``WRONG_MAGIC``.
        args: As many arguments as ``ARGUMENTS`` says; for ``TEXT`` the line
            without its end.

    """

    __slots__ = ("args", "type")

    def __init__(self, type: int, args: list[bytes]) -> None:
        self.type = type
        self.args = args

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and other.type == self.type and other.args == self.args

    def __hash__(self) -> int:
        return hash((self.type, tuple(self.args)))

    def __repr__(self) -> str:
        name = NAMES[self.type] if self.type >= 0 else "WRONG_MAGIC"
        return f"Packet({name}, {self.args!r})"
