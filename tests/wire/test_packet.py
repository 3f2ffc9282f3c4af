from __future__ import annotations

import pytest

from geartrain.wire import packet
from geartrain.wire.packet import (
    ARGUMENTS,
    LAST_MAY_LACK,
    LAST_TYPE,
    NAMES,
    SUBMIT_JOB,
    TEXT,
    WORK_COMPLETE,
    WRONG_MAGIC,
    Packet,
)

# The command table of PROTOCOL: number, name, arguments with the data counted as one.
# Reduce submissions carry one argument more than PROTOCOL lists, as gearmand has it.
COMMANDS = [
    (1, "CAN_DO", 1),
    (2, "CANT_DO", 1),
    (3, "RESET_ABILITIES", 0),
    (4, "PRE_SLEEP", 0),
    (5, "UNUSED", 0),
    (6, "NOOP", 0),
    (7, "SUBMIT_JOB", 3),
    (8, "JOB_CREATED", 1),
    (9, "GRAB_JOB", 0),
    (10, "NO_JOB", 0),
    (11, "JOB_ASSIGN", 3),
    (12, "WORK_STATUS", 3),
    (13, "WORK_COMPLETE", 2),
    (14, "WORK_FAIL", 1),
    (15, "GET_STATUS", 1),
    (16, "ECHO_REQ", 1),
    (17, "ECHO_RES", 1),
    (18, "SUBMIT_JOB_BG", 3),
    (19, "ERROR", 2),
    (20, "STATUS_RES", 5),
    (21, "SUBMIT_JOB_HIGH", 3),
    (22, "SET_CLIENT_ID", 1),
    (23, "CAN_DO_TIMEOUT", 2),
    (24, "ALL_YOURS", 0),
    (25, "WORK_EXCEPTION", 2),
    (26, "OPTION_REQ", 1),
    (27, "OPTION_RES", 1),
    (28, "WORK_DATA", 2),
    (29, "WORK_WARNING", 2),
    (30, "GRAB_JOB_UNIQ", 0),
    (31, "JOB_ASSIGN_UNIQ", 4),
    (32, "SUBMIT_JOB_HIGH_BG", 3),
    (33, "SUBMIT_JOB_LOW", 3),
    (34, "SUBMIT_JOB_LOW_BG", 3),
    (35, "SUBMIT_JOB_SCHED", 8),
    (36, "SUBMIT_JOB_EPOCH", 4),
    (37, "SUBMIT_REDUCE_JOB", 5),
    (38, "SUBMIT_REDUCE_JOB_BACKGROUND", 5),
    (39, "GRAB_JOB_ALL", 0),
    (40, "JOB_ASSIGN_ALL", 5),
    (41, "GET_STATUS_UNIQUE", 1),
    (42, "STATUS_RES_UNIQUE", 6),
]


@pytest.mark.parametrize(("number", "name", "arguments"), COMMANDS)
def test_numbers_names_and_arguments_are_those_of_protocol(number, name, arguments):
    assert getattr(packet, name) == number
    assert NAMES[number] == name
    assert ARGUMENTS[number] == arguments


def test_table_ends_where_protocol_ends():
    assert LAST_TYPE == 42
    assert len(NAMES) == len(ARGUMENTS) == len(LAST_MAY_LACK) == 43


def test_only_packets_with_a_handle_or_code_in_front_may_lack_their_data():
    lacking = [name for name, lacks in zip(NAMES, LAST_MAY_LACK, strict=True) if lacks]
    assert lacking == ["WORK_COMPLETE", "ERROR", "WORK_EXCEPTION", "WORK_DATA", "WORK_WARNING"]


def test_packets_are_equal_by_type_and_arguments():
    one = Packet(WORK_COMPLETE, [b"H:t:1", b"tset"])
    assert one == Packet(WORK_COMPLETE, [b"H:t:1", b"tset"])
    assert hash(one) == hash(Packet(WORK_COMPLETE, [b"H:t:1", b"tset"]))
    assert one != Packet(SUBMIT_JOB, [b"H:t:1", b"tset"])
    assert one != Packet(WORK_COMPLETE, [b"H:t:2", b"tset"])
    assert one != (WORK_COMPLETE, [b"H:t:1", b"tset"])


def test_packet_shows_its_name():
    assert (
        repr(Packet(WORK_COMPLETE, [b"H:t:1", b"x"])) == "Packet(WORK_COMPLETE, [b'H:t:1', b'x'])"
    )
    assert repr(Packet(TEXT, [b"status"])) == "Packet(TEXT, [b'status'])"
    assert repr(Packet(WRONG_MAGIC, [])) == "Packet(WRONG_MAGIC, [])"
