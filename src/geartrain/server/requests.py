"""
From packets to commands: what a session's packet asks the broker to do.
"""

from __future__ import annotations

from typing import Final

from geartrain.broker.commands import (
    GRAB_ALL,
    GRAB_PLAIN,
    GRAB_UNIQUE,
    Answer,
    CanDo,
    CantDo,
    DeclarePolicy,
    Echo,
    GetStatus,
    GetStatusUnique,
    GrabJob,
    PreSleep,
    ResetAbilities,
    SessionCommand,
    SetClientId,
    SubmitJob,
    WantAttempts,
    WantExceptions,
    WantLocal,
    WorkComplete,
    WorkData,
    WorkException,
    WorkFail,
    WorkStatus,
    WorkWarning,
)
from geartrain.broker.job import HIGH, LOW, NORMAL
from geartrain.errors import UsageError
from geartrain.server.policies import declared_policy
from geartrain.wire.packet import (
    CAN_DO,
    CAN_DO_TIMEOUT,
    CANT_DO,
    ECHO_REQ,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    GRAB_JOB,
    GRAB_JOB_ALL,
    GRAB_JOB_UNIQ,
    OPTION_REQ,
    PRE_SLEEP,
    RESET_ABILITIES,
    SET_CLIENT_ID,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_JOB_SCHED,
    SUBMIT_REDUCE_JOB,
    SUBMIT_REDUCE_JOB_BACKGROUND,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    WRONG_MAGIC,
    Packet,
)
from geartrain.wire.schedule import next_minute
from geartrain.wire.writer import pack_response

# gearmand keeps 127 bytes of a client id and drops the rest without a word.
MAX_CLIENT_ID: Final = 127
# Longest function name: what fits gearmand's buffer, and far more than libgearman allows. Each
# worker may announce thousands of them.
MAX_FUNCTION: Final = 8 * 1024
# Latest epoch that fits the integers of every store.
_MAX_EPOCH: Final = 2**62
# An int of more digits is no number of seconds, milliseconds or steps.
_MAX_DIGITS: Final = 20
# What a worker declares a policy with.
_POLICY: Final = b"policy:"


def error(session: int, code: bytes, text: bytes) -> Answer:
    """Return the command that answers with ERROR, in its turn."""
    return Answer(session, pack_response(ERROR, [code, text]))


def command_of(now: float, session: int, packet: Packet) -> SessionCommand:
    """
    Return what a binary packet asks for.

    Args:
        now: Seconds since 1970; SUBMIT_JOB_SCHED counts from it.
        session: Number of the connection.
        packet: As many arguments as its type has; not a text line.

    """
    kind = packet.type
    args = packet.args
    if kind == SUBMIT_JOB_BG:
        return submission(session, args, NORMAL, True)
    if kind == SUBMIT_JOB:
        return submission(session, args, NORMAL, False)
    if kind == GRAB_JOB_UNIQ:
        return GrabJob(session, GRAB_UNIQUE)
    if kind == GRAB_JOB_ALL:
        return GrabJob(session, GRAB_ALL)
    if kind == GRAB_JOB:
        return GrabJob(session, GRAB_PLAIN)
    if kind == WORK_COMPLETE:
        return WorkComplete(session, args[0], args[1])
    if kind == PRE_SLEEP:
        return PreSleep(session)
    if kind == WORK_DATA:
        return WorkData(session, args[0], args[1])
    if kind == WORK_STATUS:
        return work_status(session, args)
    if kind == WORK_FAIL:
        return WorkFail(session, args[0])
    if kind == WORK_EXCEPTION:
        return WorkException(session, args[0], args[1])
    if kind == WORK_WARNING:
        return WorkWarning(session, args[0], args[1])
    if kind == GET_STATUS:
        return GetStatus(session, args[0])
    if kind == ECHO_REQ:
        return Echo(session, args[0])
    if kind == SUBMIT_JOB_HIGH:
        return submission(session, args, HIGH, False)
    if kind == SUBMIT_JOB_HIGH_BG:
        return submission(session, args, HIGH, True)
    if kind == SUBMIT_JOB_LOW:
        return submission(session, args, LOW, False)
    if kind == SUBMIT_JOB_LOW_BG:
        return submission(session, args, LOW, True)
    return rare_command_of(now, session, kind, args)


def rare_command_of(now: float, session: int, kind: int, args: list[bytes]) -> SessionCommand:
    """Return what a packet asks for that few programs send, or that few times."""
    if kind == CAN_DO:
        return CanDo(session, args[0]) if len(args[0]) <= MAX_FUNCTION else name_too_long(session)
    if kind == CAN_DO_TIMEOUT:
        return can_do_timeout(session, args)
    if kind == CANT_DO:
        return CantDo(session, args[0])
    if kind == RESET_ABILITIES:
        return ResetAbilities(session)
    if kind == SET_CLIENT_ID:
        return SetClientId(session, args[0][:MAX_CLIENT_ID])
    if kind == OPTION_REQ:
        return option(session, args[0])
    if kind == SUBMIT_JOB_EPOCH:
        return submit_epoch(session, args)
    if kind == SUBMIT_JOB_SCHED:
        return submit_scheduled(now, session, args)
    if kind == SUBMIT_REDUCE_JOB:
        return reduction(session, args, False)
    if kind == SUBMIT_REDUCE_JOB_BACKGROUND:
        return reduction(session, args, True)
    if kind == GET_STATUS_UNIQUE:
        return GetStatusUnique(session, args[0])
    if kind == WRONG_MAGIC:
        return error(session, b"INVALID_MAGIC", b"Request magic expected")
    # What only servers send, and ALL_YOURS, which nobody ever defined further.
    return error(session, b"INVALID_COMMAND", b"Command not expected")


def name_too_long(session: int) -> Answer:
    """Refuse the name of a function."""
    text = b"Function name is longer than %d bytes" % MAX_FUNCTION
    return error(session, b"ARGUMENT_TOO_LARGE", text)


def submission(session: int, args: list[bytes], priority: int, background: bool) -> SessionCommand:
    """SUBMIT_JOB and its sisters of other priorities, in the background or not."""
    if len(args[0]) > MAX_FUNCTION:
        return name_too_long(session)
    return SubmitJob(session, args[0], args[1], args[2], priority, background)


def reduction(session: int, args: list[bytes], background: bool) -> SessionCommand:
    """SUBMIT_REDUCE_JOB. Its fourth argument has no meaning; libgearman sends it empty."""
    if len(args[0]) > MAX_FUNCTION or len(args[2]) > MAX_FUNCTION:
        return name_too_long(session)
    return SubmitJob(session, args[0], args[1], args[4], NORMAL, background, 0, args[2])


def number(digits: bytes) -> int:
    """Return a decimal number of at most twenty digits, or -1 for anything else."""
    return int(digits) if digits.isdigit() and len(digits) <= _MAX_DIGITS else -1


def can_do_timeout(session: int, args: list[bytes]) -> SessionCommand:
    """CAN_DO_TIMEOUT: the time is in milliseconds, as gearmand and libgearman have it."""
    milliseconds = number(args[1].rstrip(b"\0"))
    if milliseconds < 0:
        return error(
            session, b"INVALID_FUNCTION_TIMEOUT", b"CAN_DO_TIMEOUT takes a number of milliseconds"
        )
    if len(args[0]) > MAX_FUNCTION:
        return name_too_long(session)
    return CanDo(session, args[0], milliseconds / 1000.0)


def work_status(session: int, args: list[bytes]) -> SessionCommand:
    """WORK_STATUS: both numbers are passed on as they are, but they have to be numbers."""
    denominator = args[2].rstrip(b"\0")
    if not is_progress(args[1]) or not is_progress(denominator):
        return error(session, b"INVALID_PACKET", b"WORK_STATUS takes two numbers")
    return WorkStatus(session, args[0], args[1], denominator)


def is_progress(digits: bytes) -> bool:
    """Return whether this is a number, with a fraction perhaps, as scripting languages send it."""
    whole, point, fraction = digits.partition(b".")
    return number(whole) >= 0 and (not point or fraction.isdigit()) and len(digits) <= _MAX_DIGITS


def option(session: int, name: bytes) -> SessionCommand:
    """OPTION_REQ: ``exceptions``; ours: ``fires``, ``policy:``, ``attempts``, ``local``."""
    if name.startswith(_POLICY):
        try:
            policy = declared_policy(name[len(_POLICY) :].rstrip(b"\0"))
        except UsageError as problem:
            return error(session, b"INVALID_POLICY", str(problem).encode("utf-8", "replace"))
        return DeclarePolicy(session, name, policy)
    wanted = name.split(b"\0", 1)[0].lower()
    # Schedulers ask for ``fires`` to learn that the server remembers how fires ended, and want
    # exceptions anyway.
    if wanted in (b"exceptions", b"fires"):
        return WantExceptions(session, name)
    if wanted == b"local":
        return WantLocal(session, name)
    if wanted == b"attempts":
        return WantAttempts(session, name)
    return error(session, b"UNKNOWN_OPTION", b"Server does not recognize given option")


def submit_epoch(session: int, args: list[bytes]) -> SessionCommand:
    """SUBMIT_JOB_EPOCH: seconds since 1970; what does not start with a number means now."""
    if len(args[0]) > MAX_FUNCTION:
        return name_too_long(session)
    epoch = number(args[2])
    if epoch < 0:
        epoch = leading_number(args[2])
    return SubmitJob(session, args[0], args[1], args[3], NORMAL, True, min(epoch, _MAX_EPOCH))


def leading_number(text: bytes) -> int:
    """Return the number at the start of the text as C's strtoll reads it, 0 where there is none."""
    digits = text.lstrip(b" \t\n\v\f\r").removeprefix(b"+")
    end = 0
    while end < len(digits) and digits[end : end + 1].isdigit():
        end += 1
    if end == 0:
        return 0
    return int(digits[:end]) if end <= _MAX_DIGITS else _MAX_EPOCH


def submit_scheduled(now: float, session: int, args: list[bytes]) -> SessionCommand:
    """
    SUBMIT_JOB_SCHED: minute, hour, day of month, month and day of week, in UTC.

    The job runs once, at the next minute that fits. An empty field fits any value.
    """
    if len(args[0]) > MAX_FUNCTION:
        return name_too_long(session)
    epoch = next_minute(int(now), args[2], args[3], args[4], args[5], args[6])
    if epoch < 0:
        return error(
            session,
            b"INVALID_PACKET",
            b"SUBMIT_JOB_SCHED takes minute, hour, day of month, month and day of week as numbers",
        )
    return SubmitJob(session, args[0], args[1], args[7], NORMAL, True, epoch)
