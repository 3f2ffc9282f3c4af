"""
One connection to another server, on which results of its jobs are waited for.

Who inquires about a job that another server has waits for as long as that job takes.
Those who inquire about the same job share one inquiry over there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

from geartrain.broker.inquiring import COMPLETED, EXCEPTED, FAILED, STREAMED, framed
from geartrain.broker.policy import RESULT_FUNCTION
from geartrain.server.peer_link import LOCAL, connect
from geartrain.wire.packet import (
    JOB_CREATED,
    OPTION_REQ,
    OPTION_RES,
    RESPONSE,
    SUBMIT_JOB,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_request

__all__ = ["Outcome", "ResultLinks"]

# How a job ended, and with what.
Outcome = tuple[int, bytes]

_OUTCOMES: Final = {WORK_COMPLETE: COMPLETED, WORK_EXCEPTION: EXCEPTED, WORK_FAIL: FAILED}


class ResultLink(asyncio.Protocol):
    """
    A connection.

    Args:
        max_packet: Largest packet that the other server may send, in bytes.

    """

    def __init__(self, max_packet: int) -> None:
        self.reader = PacketReader(RESPONSE, max_packet)
        self.transport: asyncio.Transport | None = None
        # Handles that were asked for and are not confirmed yet; then by the inquiry's handle.
        self.asked: deque[bytes] = deque()
        self.inquiries: dict[bytes, bytes] = {}
        self.waiting: dict[bytes, asyncio.Future[Outcome | None]] = {}
        # Of results that come in parts, those that have come, by the inquiry's handle.
        self.parts: dict[bytes, list[bytes]] = {}
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        for option in (LOCAL, b"exceptions"):
            self.transport.write(pack_request(OPTION_REQ, [option]))

    def inquire(self, handle: bytes) -> asyncio.Future[Outcome | None]:
        """Return how a job will have ended; None when the other server is gone."""
        assert self.transport is not None
        outcome = self.waiting.get(handle)
        if outcome is None:
            outcome = asyncio.get_running_loop().create_future()
            self.waiting[handle] = outcome
            self.asked.append(handle)
            self.transport.write(pack_request(SUBMIT_JOB, [RESULT_FUNCTION, b"", handle]))
        return outcome

    def data_received(self, data: bytes) -> None:
        for packet in self.reader.receive_data(data):
            if not self.take(packet):
                self.drop()
                return
        if self.reader.fault is not None:
            self.drop()

    def take(self, packet: Packet) -> bool:
        """Take a packet; False for one that has no business here."""
        if packet.type == OPTION_RES:
            return True
        if packet.type == JOB_CREATED and self.asked:
            self.inquiries[packet.args[0]] = self.asked.popleft()
            return True
        if not packet.args or packet.args[0] not in self.inquiries:
            return False
        inquiry, *rest = packet.args
        data = rest[0] if rest else b""
        if packet.type == WORK_DATA:
            self.parts.setdefault(inquiry, []).append(data)
            return True
        if packet.type not in _OUTCOMES:
            return False
        outcome = self.waiting.pop(self.inquiries.pop(inquiry))
        parts = self.parts.pop(inquiry, [])
        if packet.type == WORK_COMPLETE and parts:
            outcome.set_result((STREAMED, framed([*parts, data])))
        else:
            outcome.set_result((_OUTCOMES[packet.type], data))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        waiting, self.waiting = self.waiting, {}
        for outcome in waiting.values():
            outcome.set_result(None)

    def drop(self) -> None:
        """Use it no more; whoever waits has to look elsewhere."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()


class ResultLinks:
    """The connections of this server to the others, one for each address."""

    def __init__(self, max_packet: int) -> None:
        self.max_packet = max_packet
        self.links: dict[str, asyncio.Task[ResultLink]] = {}

    async def inquire(self, address: str, handle: bytes, within: float) -> Outcome:
        """
        Return how a job of the server at ``HOST:PORT`` ends, however long that takes.

        Args:
            address: Of the server.
            handle: Of the job.
            within: Seconds for connecting.

        Raises OSError, TimeoutError among it, when there is no such server, or no longer.
        """
        async with asyncio.timeout(within):
            link = await asyncio.shield(self.link_to(address))
        outcome = await asyncio.shield(link.inquire(handle))
        if outcome is None:
            raise ConnectionResetError("the other server is gone")
        return outcome

    def link_to(self, address: str) -> asyncio.Task[ResultLink]:
        """Return the connection to an address, made if need be."""
        known = self.links.get(address)
        if known is None or (known.done() and is_lost(known)):
            made = connect(address, lambda: ResultLink(self.max_packet))
            known = asyncio.ensure_future(made)
            self.links[address] = known
        return known

    def close(self) -> None:
        """Drop all connections."""
        links, self.links = self.links, {}
        for made in links.values():
            if made.done() and not is_lost(made):
                made.result().drop()
            else:
                made.cancel()


def is_lost(made: asyncio.Task[ResultLink]) -> bool:
    """Return whether a connection that was being made is of no use."""
    return made.cancelled() or made.exception() is not None or made.result().lost
