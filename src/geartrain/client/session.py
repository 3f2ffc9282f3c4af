"""
One connection of a client, without the socket: requests in, bytes out, events back.

The server answers requests in the order they were sent, so answers are matched
first in, first out. What workers report carries the job's handle instead. A
server sends one JOB_CREATED and one of each WORK_* per submission, also where
several submissions of one connection were joined to one job: so N requests may
share a handle, and each takes one of N equal packets.

Nothing is retried here. When the connection ends, the session says of every
request how far it had come; whether to send it again is for others to decide.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from librt.strings import BytesWriter

from geartrain.errors import BadMagic, GeartrainError, ProtocolError, ServerError, UsageError
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    JOB_CREATED,
    NAMES,
    OPTION_REQ,
    OPTION_RES,
    REQUEST,
    RESPONSE,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_LOW,
    SUBMIT_REDUCE_JOB,
    TEXT,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    WRONG_MAGIC,
    Packet,
)
from geartrain.wire.reader import MAX_PACKET, PacketReader
from geartrain.wire.writer import start_packet

# What became of a request when the connection ended, as kinds of events beside packet numbers.
# Its last byte had not left: no server can have acted on it.
LOST_UNSENT: Final = -1
# It was sent and not answered: nobody can tell.
LOST_UNANSWERED: Final = -2
# A foreground job that was accepted and had not ended.
LOST_RUNNING: Final = -3

# Arguments from this size on go out as they are instead of being copied into the buffer.
_LARGE: Final = 32 * 1024
# The longest packet whose size the header's writer can take.
_MOST: Final = 0x7FFFFFFF


class Request:
    """
    One request, from its way out to its last event.

    Args:
        kind: Number of the packet.
        args: Its arguments, until they are sent; none but the last may contain a NUL.
        owner: Whoever is to hear of it; None where nobody is.

    Attributes:
        handle: The job's handle once it has one; empty before.
        end: Index after its last byte in the stream of the connection.

    """

    __slots__ = ("args", "end", "handle", "kind", "owner")

    def __init__(self, kind: int, args: list[bytes], owner: object) -> None:
        self.kind = kind
        self.args = args
        self.owner = owner
        self.handle = b""
        self.end = 0


class Event:
    """
    Something that happened to a request.

    Attributes:
        request: The request.
        kind: Number of the packet that came in, or one of the ``LOST_`` kinds.
        args: The packet's arguments, with the handle of WORK_* first.

    """

    __slots__ = ("args", "kind", "request")

    def __init__(self, request: Request, kind: int, args: list[bytes]) -> None:
        self.request = request
        self.kind = kind
        self.args = args

    def __repr__(self) -> str:
        name = NAMES[self.kind] if self.kind >= 0 else "LOST"
        return f"Event({name}, {self.args!r})"


def expected_answer(kind: int) -> int:
    """Return the packet that answers a request of type ``kind``."""
    if kind == ECHO_REQ:
        return ECHO_RES
    if kind == GET_STATUS:
        return STATUS_RES
    if kind == GET_STATUS_UNIQUE:
        return STATUS_RES_UNIQUE
    if kind == OPTION_REQ:
        return OPTION_RES
    return JOB_CREATED


def is_foreground(kind: int) -> bool:
    """Return whether a submission of type ``kind`` is told how its job ends."""
    return kind in (SUBMIT_JOB, SUBMIT_JOB_HIGH, SUBMIT_JOB_LOW, SUBMIT_REDUCE_JOB)


def tell(request: Request, kind: int, args: list[bytes], events: list[Event]) -> None:
    """Append an event, unless nobody wants to hear of this request any more."""
    if request.owner is not None:
        events.append(Event(request, kind, args))


class Session:
    """
    A client's side of one connection.

    Args:
        max_packet: Largest packet sent or received, in bytes.

    Attributes:
        fault: Why the server can no longer be understood, or None. Once it is set,
            the connection should be closed, and `end` called.
        waiting: Requests that wait for their answer, oldest first.
        running: Foreground jobs that have a handle and have not ended: one request
            per submission.

    """

    def __init__(self, max_packet: int = MAX_PACKET) -> None:
        self.max_packet = max_packet
        self.reader = PacketReader(RESPONSE, max_packet)
        self.fault: GeartrainError | None = None
        self.waiting: deque[Request] = deque()
        self.running: dict[bytes, list[Request]] = {}
        # Bytes of requests not taken yet: large arguments apart, the rest in one buffer.
        self.parts: list[bytes] = []
        self.buffer = BytesWriter()
        # How many bytes all requests take, and how many of them have left this process.
        self.written = 0
        self.sent = 0

    # Requests.

    def send(self, request: Request) -> None:
        """
        Put a request on its way; its bytes come out of `take_output`.

        Raises:
            UsageError: It is larger than ``max_packet``; nothing was put out.

        """
        args = request.args
        size = len(args) - 1
        for arg in args:
            size += len(arg)
        if size > self.max_packet or size > _MOST:
            raise UsageError(
                f"{NAMES[request.kind]} of {size} bytes is larger than max_packet "
                f"({self.max_packet} bytes); hand the worker the place of the data instead"
            )
        buffer = self.buffer
        start_packet(buffer, REQUEST, request.kind, size)
        first = True
        for arg in args:
            if not first:
                buffer.append(0)
            first = False
            if len(arg) < _LARGE:
                buffer.write(arg)
            else:
                self.seal_buffer()
                self.parts.append(arg)
        self.written += 12 + size
        request.end = self.written
        # A large workload need not be kept until its job ends.
        request.args = []
        self.waiting.append(request)

    def seal_buffer(self) -> None:
        """Close the current part of the output."""
        if len(self.buffer):
            self.parts.append(self.buffer.getvalue())
            self.buffer.truncate(0)

    def has_output(self) -> bool:
        """Return whether `take_output` has bytes to give."""
        return len(self.parts) > 0 or len(self.buffer) > 0

    def take_output(self) -> list[bytes]:
        """Return the bytes to send, in order; small requests come joined in one piece."""
        self.seal_buffer()
        parts = self.parts
        self.parts = []
        return parts

    def note_sent(self, count: int) -> None:
        """Take note that ``count`` more bytes have left this process."""
        self.sent += count

    def is_quiet(self) -> bool:
        """Return whether nothing is awaited from the server."""
        return not self.waiting and not self.running

    def is_idle(self) -> bool:
        """Return whether nothing is awaited from the server, and nothing is to be sent to it."""
        return self.is_quiet() and not self.has_output()

    # Packets.

    def is_over(self) -> bool:
        """
        Return whether the server broke the protocol.

        Compiled, a second comparison of ``fault`` in one method would count as
        known from the first, whatever was called between them.
        """
        return self.fault is not None

    def receive_data(self, data: bytes) -> list[Event]:
        """Take what the network delivered and return what happened to whose request, in order."""
        events: list[Event] = []
        if self.is_over():
            return events
        for packet in self.reader.receive_data(data):
            self.receive_packet(packet, events)
            if self.is_over():
                return events
        self.fault = self.reader.fault
        return events

    def receive_packet(self, packet: Packet, events: list[Event]) -> None:
        """Match one packet with a request."""
        kind = packet.type
        if kind == JOB_CREATED:
            self.receive_handle(packet, events)
        elif kind in (WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION):
            self.receive_last_report(packet, events)
        elif kind in (WORK_DATA, WORK_WARNING, WORK_STATUS):
            self.receive_report(packet, events)
        elif kind == ERROR:
            self.receive_error(packet, events)
        elif kind == TEXT:
            # Some other service, or a web server, answers on this port.
            self.fault = BadMagic(packet.args[0][:4])
        elif kind == WRONG_MAGIC:
            self.fault = BadMagic(REQUEST)
        else:
            self.receive_answer(packet, events)

    def receive_answer(self, packet: Packet, events: list[Event]) -> None:
        """Give an answer to the oldest request that waits for one."""
        if not self.waiting:
            self.fault = ProtocolError(f"{NAMES[packet.type]} came, and nothing was asked")
            return
        due = expected_answer(self.waiting[0].kind)
        if packet.type != due:
            self.fault = ProtocolError(f"{NAMES[packet.type]} came where {NAMES[due]} was due")
            return
        request = self.waiting.popleft()
        tell(request, packet.type, packet.args, events)

    def receive_handle(self, packet: Packet, events: list[Event]) -> None:
        """Give the oldest submission its handle."""
        request = self.waiting[0] if self.waiting else None
        self.receive_answer(packet, events)
        if request is None or self.fault is not None:
            return
        request.handle = packet.args[0]
        if is_foreground(request.kind):
            sharers = self.running.get(request.handle)
            if sharers is None:
                self.running[request.handle] = [request]
            else:
                sharers.append(request)

    def receive_error(self, packet: Packet, events: list[Event]) -> None:
        """Give a refusal to the oldest request that waits for an answer."""
        if not self.waiting:
            self.fault = ServerError(
                packet.args[0].decode("utf-8", "replace"),
                packet.args[1].decode("utf-8", "replace"),
            )
            return
        request = self.waiting.popleft()
        tell(request, ERROR, packet.args, events)

    def receive_report(self, packet: Packet, events: list[Event]) -> None:
        """Give data, a warning or progress to the next of the requests that share the handle."""
        sharers = self.running.get(packet.args[0])
        if sharers is None:
            return
        request = sharers[0]
        if len(sharers) > 1:
            # The copies of one report come together, so that taking turns gives one to each.
            del sharers[0]
            sharers.append(request)
        tell(request, packet.type, packet.args, events)

    def receive_last_report(self, packet: Packet, events: list[Event]) -> None:
        """Give the end of a job to one of the requests that share its handle."""
        handle = packet.args[0]
        sharers = self.running.get(handle)
        if sharers is None and handle.endswith(b"\0"):
            # gearmand leaves a NUL behind the handle when it turns WORK_EXCEPTION into WORK_FAIL.
            handle = handle[:-1]
            sharers = self.running.get(handle)
        if sharers is None:
            # Some workers send WORK_FAIL after WORK_EXCEPTION, which was the end already.
            return
        request = sharers[0]
        if len(sharers) > 1:
            del sharers[0]
        else:
            del self.running[handle]
        tell(request, packet.type, packet.args, events)

    # The end of the connection.

    def end(self) -> list[Event]:
        """Return how far each request had come now that the connection is over; leave none."""
        events: list[Event] = []
        for sharers in self.running.values():
            for request in sharers:
                tell(request, LOST_RUNNING, [], events)
        for request in self.waiting:
            kind = LOST_UNSENT if request.end > self.sent else LOST_UNANSWERED
            tell(request, kind, [], events)
        self.waiting.clear()
        self.running.clear()
        self.parts.clear()
        self.buffer.truncate(0)
        return events


__all__ = [
    "LOST_RUNNING",
    "LOST_UNANSWERED",
    "LOST_UNSENT",
    "Event",
    "Request",
    "Session",
    "expected_answer",
    "is_foreground",
]
