"""
python-gearman's names of packets and of their arguments, and two functions for whole packets.

For tools that put packets together by hand. Clients and workers do without: the
numbers, and the bytes, are those of ``geartrain.wire``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from geartrain.compat.gearman.constants import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NONE
from geartrain.compat.gearman.errors import ProtocolError
from geartrain.compat.gearman.util import as_bytes
from geartrain.wire import packet as packets
from geartrain.wire.writer import pack

NULL_CHAR: Final = b"\x00"
MAGIC_REQ_STRING: Final = packets.REQUEST
MAGIC_RES_STRING: Final = packets.RESPONSE
COMMAND_HEADER_SIZE: Final = packets.HEADER_SIZE

GEARMAN_COMMAND_TEXT_COMMAND: Final = 9999

GEARMAN_SERVER_COMMAND_STATUS: Final = "status"
GEARMAN_SERVER_COMMAND_VERSION: Final = "version"
GEARMAN_SERVER_COMMAND_WORKERS: Final = "workers"
GEARMAN_SERVER_COMMAND_MAXQUEUE: Final = "maxqueue"
GEARMAN_SERVER_COMMAND_SHUTDOWN: Final = "shutdown"

_JOB: Final = ["task", "unique", "data"]
_REPORT: Final = ["job_handle", "data"]

# Packets without arguments are not listed.
_PARAMS: Final[dict[int, list[str]]] = {
    packets.CAN_DO: ["task"],
    packets.CAN_DO_TIMEOUT: ["task", "timeout"],
    packets.CANT_DO: ["task"],
    packets.SET_CLIENT_ID: ["client_id"],
    packets.SUBMIT_JOB: _JOB,
    packets.SUBMIT_JOB_HIGH: _JOB,
    packets.SUBMIT_JOB_LOW: _JOB,
    packets.SUBMIT_JOB_BG: _JOB,
    packets.SUBMIT_JOB_HIGH_BG: _JOB,
    packets.SUBMIT_JOB_LOW_BG: _JOB,
    packets.SUBMIT_JOB_EPOCH: ["task", "unique", "epoch", "data"],
    packets.SUBMIT_JOB_SCHED: [
        "task",
        "unique",
        "minute",
        "hour",
        "day_of_month",
        "month",
        "day_of_week",
        "data",
    ],
    packets.SUBMIT_REDUCE_JOB: ["task", "unique", "reducer", "unused", "data"],
    packets.SUBMIT_REDUCE_JOB_BACKGROUND: ["task", "unique", "reducer", "unused", "data"],
    packets.JOB_CREATED: ["job_handle"],
    packets.JOB_ASSIGN: ["job_handle", "task", "data"],
    packets.JOB_ASSIGN_UNIQ: ["job_handle", "task", "unique", "data"],
    packets.JOB_ASSIGN_ALL: ["job_handle", "task", "unique", "reducer", "data"],
    packets.WORK_STATUS: ["job_handle", "numerator", "denominator"],
    packets.WORK_COMPLETE: _REPORT,
    packets.WORK_DATA: _REPORT,
    packets.WORK_WARNING: _REPORT,
    packets.WORK_EXCEPTION: _REPORT,
    packets.WORK_FAIL: ["job_handle"],
    packets.GET_STATUS: ["job_handle"],
    packets.GET_STATUS_UNIQUE: ["unique"],
    packets.STATUS_RES: ["job_handle", "known", "running", "numerator", "denominator"],
    packets.STATUS_RES_UNIQUE: [
        "unique",
        "known",
        "running",
        "numerator",
        "denominator",
        "client_count",
    ],
    packets.ECHO_REQ: ["data"],
    packets.ECHO_RES: ["data"],
    packets.OPTION_REQ: ["option_name"],
    packets.OPTION_RES: ["option_name"],
    packets.ERROR: ["error_code", "error_text"],
}

# Number of a packet -> the names of its arguments; its name.
GEARMAN_PARAMS_FOR_COMMAND: Final[dict[int, list[str]]] = {}
GEARMAN_COMMAND_TO_NAME: Final[dict[int, str]] = {}

for _number, _name in enumerate(packets.NAMES):
    if _number != packets.TEXT:
        GEARMAN_PARAMS_FOR_COMMAND[_number] = _PARAMS.get(_number, [])
        GEARMAN_COMMAND_TO_NAME[_number] = f"GEARMAN_COMMAND_{_name}"
# GEARMAN_COMMAND_CAN_DO and its likes.
globals().update({_name: _number for _number, _name in GEARMAN_COMMAND_TO_NAME.items()})
GEARMAN_COMMAND_TO_NAME[GEARMAN_COMMAND_TEXT_COMMAND] = "GEARMAN_COMMAND_TEXT_COMMAND"


def __getattr__(name: str) -> int:
    # The numbers of packets are found before this is asked; it tells type checkers of them.
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_command_name(cmd_type: int) -> str | int:
    """Return the name of a packet, or its number where it has none."""
    return GEARMAN_COMMAND_TO_NAME.get(cmd_type, cmd_type)


def submit_cmd_for_background_priority(background: bool, priority: str | None) -> int:
    """Return the number of the packet that submits a job."""
    numbers = {
        (True, PRIORITY_NONE): packets.SUBMIT_JOB_BG,
        (True, PRIORITY_LOW): packets.SUBMIT_JOB_LOW_BG,
        (True, PRIORITY_HIGH): packets.SUBMIT_JOB_HIGH_BG,
        (False, PRIORITY_NONE): packets.SUBMIT_JOB,
        (False, PRIORITY_LOW): packets.SUBMIT_JOB_LOW,
        (False, PRIORITY_HIGH): packets.SUBMIT_JOB_HIGH,
    }
    return numbers[bool(background), priority]


def pack_binary_command(
    cmd_type: int, cmd_args: Mapping[str, Any], is_response: bool = False
) -> bytes:
    """
    Return a packet as bytes.

    Args:
        cmd_type: Its number.
        cmd_args: Its arguments by name, text or bytes.
        is_response: Whether a server sends it.

    Raises:
        ProtocolError: There is no such packet, or its arguments are others.

    """
    names = GEARMAN_PARAMS_FOR_COMMAND.get(cmd_type)
    if names is None:
        raise ProtocolError(f"packet type {cmd_type!r} is not defined")
    if set(names) != set(cmd_args):
        raise ProtocolError(
            f"{get_command_name(cmd_type)} takes {sorted(names)}, not {sorted(cmd_args)}"
        )
    args = [as_bytes(cmd_args[name]) for name in names]
    if any(NULL_CHAR in arg for arg in args[:-1]):
        raise ProtocolError(f"an argument of {get_command_name(cmd_type)} contains a NUL")
    return pack(MAGIC_RES_STRING if is_response else MAGIC_REQ_STRING, cmd_type, args)


def parse_binary_command(
    in_buffer: bytes, is_response: bool = True
) -> tuple[int | None, dict[str, bytes] | None, int]:
    """
    Return the first packet of some bytes: its number, its arguments by name, its length.

    The number and the arguments are None, and the length 0, where it is not all there.

    Raises:
        ProtocolError: The bytes are no such packet.

    """
    if len(in_buffer) < COMMAND_HEADER_SIZE:
        return None, None, 0
    magic, cmd_type, size = struct.unpack_from("!4sII", in_buffer)
    due = MAGIC_RES_STRING if is_response else MAGIC_REQ_STRING
    if magic != due:
        raise ProtocolError(f"packet starts with {magic!r}, not with {due!r}")
    names = GEARMAN_PARAMS_FOR_COMMAND.get(cmd_type)
    if names is None:
        raise ProtocolError(f"packet type {cmd_type} is not defined")
    length = COMMAND_HEADER_SIZE + size
    if len(in_buffer) < length:
        return None, None, 0
    payload = bytes(in_buffer[COMMAND_HEADER_SIZE:length])
    values = payload.split(NULL_CHAR, len(names) - 1) if names else []
    if len(values) != len(names) or (payload and not names):
        raise ProtocolError(f"{get_command_name(cmd_type)} does not carry its arguments")
    return cmd_type, dict(zip(names, values, strict=True)), length


__all__ = [
    "COMMAND_HEADER_SIZE",
    "GEARMAN_COMMAND_TEXT_COMMAND",
    "GEARMAN_COMMAND_TO_NAME",
    "GEARMAN_PARAMS_FOR_COMMAND",
    "GEARMAN_SERVER_COMMAND_MAXQUEUE",
    "GEARMAN_SERVER_COMMAND_SHUTDOWN",
    "GEARMAN_SERVER_COMMAND_STATUS",
    "GEARMAN_SERVER_COMMAND_VERSION",
    "GEARMAN_SERVER_COMMAND_WORKERS",
    "MAGIC_REQ_STRING",
    "MAGIC_RES_STRING",
    "NULL_CHAR",
    "get_command_name",
    "pack_binary_command",
    "parse_binary_command",
    "submit_cmd_for_background_priority",
]
