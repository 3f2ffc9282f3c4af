"""
From effects to bytes: what a session is sent.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i32_be
from mypy_extensions import i32

from geartrain.broker.commands import GRAB_ALL, GRAB_ATTEMPT, GRAB_PLAIN
from geartrain.broker.effects import (
    AssignJob,
    EchoResult,
    Error,
    JobCreated,
    NoJob,
    Noop,
    OptionResult,
    Reply,
    SendComplete,
    SendData,
    SendException,
    SendFail,
    SendReport,
    SendStatus,
    SendWarning,
    SessionEffect,
    StatusResult,
)
from geartrain.wire.packet import (
    ECHO_RES,
    ERROR,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    OPTION_RES,
    RESPONSE,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from geartrain.wire.writer import pack_response

_NOOP: Final = pack_response(NOOP, [])
_NO_JOB: Final = pack_response(NO_JOB, [])
# Workloads from this size on are handed to the socket as they are, not copied into the buffer.
LARGE: Final = 32 * 1024
# Bytes that one connection may be sent in one pass, where nothing else is set.
OUTPUT_LIMIT: Final = 32 * 1024 * 1024


class Outbox:
    """
    What one connection is to be sent in this pass of the event loop.

    Attributes:
        limit: Results are no longer taken once it holds more bytes than this. A client may
            have joined a job a million times, and would be sent the result as often.
        overrun: Whether results were left out; the connection is of no use any more.

    """

    __slots__ = ("buffer", "chunked", "chunks", "limit", "overrun")

    def __init__(self) -> None:
        # Full buffers and large workloads, in order; the buffer comes after them.
        self.chunks: list[bytes] = []
        self.buffer = BytesWriter()
        # Bytes in the chunks.
        self.chunked = 0
        self.limit = OUTPUT_LIMIT
        self.overrun = False

    def size(self) -> int:
        """Return how many bytes it holds."""
        return self.chunked + len(self.buffer)

    def takes_results(self) -> bool:
        """Return whether there is room for one more result, and note it where there is none."""
        if self.size() > self.limit:
            self.overrun = True
        return not self.overrun

    def take(self) -> list[bytes]:
        """Return all that is to be sent, in few pieces, and start over."""
        chunks = self.chunks
        if len(self.buffer):
            chunks.append(self.buffer.getvalue())
            self.buffer = BytesWriter()
        self.chunks = []
        self.chunked = 0
        return chunks

    def write(self, data: bytes) -> None:
        """Add bytes; large ones are not copied."""
        if len(data) < LARGE:
            self.buffer.write(data)
            return
        if len(self.buffer):
            self.chunked += len(self.buffer)
            self.chunks.append(self.buffer.getvalue())
            self.buffer = BytesWriter()
        self.chunked += len(data)
        self.chunks.append(data)

    def start(self, kind: i32, size: int) -> BytesWriter:
        """Write a packet's header and return the buffer for its arguments."""
        buffer = self.buffer
        buffer.write(RESPONSE)
        write_i32_be(buffer, kind)
        write_i32_be(buffer, i32(size))
        return buffer


def write_effect(outbox: Outbox, effect: SessionEffect) -> bool:
    """
    Write what a session is told as a packet.

    Returns False for effects that are no packet: answers to text commands.
    """
    if isinstance(effect, JobCreated):
        outbox.start(JOB_CREATED, len(effect.handle)).write(effect.handle)
    elif isinstance(effect, AssignJob):
        write_assignment(outbox, effect)
    elif isinstance(effect, SendReport):
        if outbox.takes_results():
            write_report(outbox, effect)
    elif isinstance(effect, Noop):
        outbox.buffer.write(_NOOP)
    elif isinstance(effect, NoJob):
        outbox.buffer.write(_NO_JOB)
    elif isinstance(effect, SendStatus):
        if outbox.takes_results():
            args = [effect.handle, effect.numerator, effect.denominator]
            outbox.write(pack_response(WORK_STATUS, args))
    elif isinstance(effect, EchoResult):
        outbox.start(ECHO_RES, len(effect.workload))
        outbox.write(effect.workload)
    elif isinstance(effect, Reply):
        outbox.write(effect.reply)
    elif isinstance(effect, Error):
        outbox.write(pack_response(ERROR, [effect.code, effect.text]))
    elif isinstance(effect, StatusResult):
        outbox.write(pack_status(effect))
    elif isinstance(effect, OptionResult):
        outbox.write(pack_response(OPTION_RES, [effect.option]))
    else:
        return False
    return True


def write_assignment(outbox: Outbox, effect: AssignJob) -> None:
    """
    Write JOB_ASSIGN in the form the worker asked for.

    As in gearmand, GRAB_JOB_ALL is answered with JOB_ASSIGN_UNIQ for a job without reducer. A
    worker that asked for attempts finds a later one where the reducer would stand.
    """
    job = effect.job
    form = effect.form
    reducer = job.reducer if form >= GRAB_ALL else b""
    if form == GRAB_ATTEMPT and not reducer and effect.attempt > 0:
        reducer = b"attempt:%d" % (effect.attempt + 1)
    size = len(job.handle) + len(job.function) + len(job.workload) + 2
    if form == GRAB_PLAIN:
        buffer = outbox.start(JOB_ASSIGN, size)
    elif reducer:
        buffer = outbox.start(JOB_ASSIGN_ALL, size + len(job.unique) + len(reducer) + 2)
    else:
        buffer = outbox.start(JOB_ASSIGN_UNIQ, size + len(job.unique) + 1)
    buffer.write(job.handle)
    buffer.append(0)
    buffer.write(job.function)
    buffer.append(0)
    if form != GRAB_PLAIN:
        buffer.write(job.unique)
        buffer.append(0)
        if reducer:
            buffer.write(reducer)
            buffer.append(0)
    outbox.write(job.workload)


def write_report(outbox: Outbox, effect: SendReport) -> None:
    """Write what a listener hears of its job. WORK_FAIL is the handle alone, without a NUL."""
    if isinstance(effect, SendFail):
        outbox.start(WORK_FAIL, len(effect.handle)).write(effect.handle)
        return
    if isinstance(effect, SendComplete):
        kind: i32 = WORK_COMPLETE
    elif isinstance(effect, SendData):
        kind = WORK_DATA
    elif isinstance(effect, SendWarning):
        kind = WORK_WARNING
    else:
        assert isinstance(effect, SendException)
        kind = WORK_EXCEPTION
    buffer = outbox.start(kind, len(effect.handle) + 1 + len(effect.workload))
    buffer.write(effect.handle)
    buffer.append(0)
    outbox.write(effect.workload)


def pack_status(effect: StatusResult) -> bytes:
    """Return STATUS_RES or STATUS_RES_UNIQUE; counts are whole numbers there."""
    args = [
        effect.name,
        b"1" if effect.known else b"0",
        b"1" if effect.running else b"0",
        b"%d" % int(effect.numerator.split(b".")[0]),
        b"%d" % int(effect.denominator.split(b".")[0]),
    ]
    if not effect.by_unique:
        return pack_response(STATUS_RES, args)
    args.append(b"%d" % effect.listeners)
    return pack_response(STATUS_RES_UNIQUE, args)


__all__ = ["LARGE", "OUTPUT_LIMIT", "Outbox", "write_effect"]
