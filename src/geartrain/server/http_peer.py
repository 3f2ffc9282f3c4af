"""
An HTTP connection as the exchange sees it: one request is one job, then it ends.

The codec is in ``wire.http``; here its request becomes a submission, and what
the broker has to say of the job becomes the response. No sockets here either.
"""

from __future__ import annotations

from geartrain.broker.commands import SubmitJob
from geartrain.broker.effects import (
    Error,
    JobCreated,
    SendComplete,
    SendData,
    SendException,
    SendFail,
    SendReport,
    SessionEffect,
)
from geartrain.server.exchange import Exchange, Peer
from geartrain.wire.http import (
    HttpReader,
    HttpReply,
    HttpRequest,
    respond_alive,
    respond_fault,
)
from geartrain.wire.packet import (
    ERROR,
    JOB_CREATED,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
)


class HttpPeer(Peer):
    """
    A connection that speaks HTTP.

    Args:
        max_workload: Largest body of a request and of a response, in bytes.

    Attributes:
        asked: Whether the request is complete; from then on the peer waits for us.

    """

    __slots__ = ("asked", "max_workload", "reader", "reply")

    def __init__(
        self, session: int, descriptor: int, address: bytes, local: bool, max_workload: int
    ) -> None:
        Peer.__init__(self, session, descriptor, address, local)
        self.max_workload = max_workload
        self.reader = HttpReader(max_workload)
        self.reply: HttpReply | None = None
        self.asked = False

    def receive(self, now: float, exchange: Exchange, data: bytes) -> None:
        """Take what the network delivered; what comes after the request is dropped."""
        if self.closing:
            return
        reader = self.reader
        for request in reader.receive_data(data):
            self.asked = True
            self.submit(now, exchange, request)
        interim = reader.take_interim()
        if interim:
            self.outbox.write(interim)
            exchange.note_written(self)
        if reader.fault is not None:
            self.fault = reader.fault.text
            self.respond(respond_fault(reader.fault))
            exchange.note_written(self)

    def submit(self, now: float, exchange: Exchange, request: HttpRequest) -> None:
        """Submit the job that a request asks for."""
        if not request.function:
            self.respond(respond_alive(request))
            exchange.note_written(self)
            return
        self.reply = HttpReply(request, self.max_workload)
        exchange.step(
            now,
            SubmitJob(
                self.session,
                request.function,
                request.unique,
                request.workload,
                request.priority,
                request.background,
            ),
        )

    def deliver(self, effect: SessionEffect) -> bool:
        """Collect what the broker says of the job, and respond when it is over."""
        reply = self.reply
        if reply is None:
            return True
        response = b""
        if isinstance(effect, JobCreated):
            response = reply.receive_packet(JOB_CREATED, [effect.handle])
        elif isinstance(effect, SendReport):
            kind = kind_of(effect)
            if kind:
                response = reply.receive_packet(kind, [effect.handle, effect.workload])
        elif isinstance(effect, Error):
            response = reply.receive_packet(ERROR, [effect.code, effect.text])
        if response:
            self.respond(response)
        return True

    def respond(self, response: bytes) -> None:
        """Write the one response, after which the connection is to be closed."""
        self.outbox.write(response)
        self.reply = None
        self.closing = True


def kind_of(effect: SendReport) -> int:
    """Return the packet that says this of a job, or 0 for what has no place in HTTP."""
    if isinstance(effect, SendComplete):
        return WORK_COMPLETE
    if isinstance(effect, SendData):
        return WORK_DATA
    if isinstance(effect, SendFail):
        return WORK_FAIL
    if isinstance(effect, SendException):
        return WORK_EXCEPTION
    return 0


__all__ = ["HttpPeer"]
