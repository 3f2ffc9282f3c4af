"""
One connection to another server, for questions about its jobs.

It speaks as a client does. Answers come in the order of the questions; who does
not answer in time is not asked again over the same connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar, cast

from geartrain.wire.packet import ERROR, OPTION_REQ, OPTION_RES, RESPONSE, Packet
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_request

# Tells the other server to answer from its own memory, and to ask nobody in turn.
LOCAL = b"local"
# No answer that is asked for here is larger.
MAX_ANSWER = 64 * 1024

__all__ = ["LOCAL", "PeerLink", "PeerLinks", "connect"]

Link = TypeVar("Link", bound=asyncio.Protocol)


class PeerLink(asyncio.Protocol):
    """A connection, made when it is asked for the first time."""

    def __init__(self) -> None:
        self.reader = PacketReader(RESPONSE, MAX_ANSWER)
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[asyncio.Future[Packet]] = deque()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(pack_request(OPTION_REQ, [LOCAL]))

    def data_received(self, data: bytes) -> None:
        for packet in self.reader.receive_data(data):
            if packet.type == OPTION_RES:
                continue
            if not self.waiting:
                self.drop()
                return
            answer = self.waiting.popleft()
            if not answer.done():
                answer.set_result(packet)
        if self.reader.fault is not None:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for answer in self.waiting:
            if not answer.done():
                answer.set_exception(ConnectionResetError("the other server is gone"))
        self.waiting.clear()

    def drop(self) -> None:
        """Use it no more; whoever waits for an answer gets none."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()

    def ask(self, request: bytes) -> asyncio.Future[Packet]:
        """Send a request and return its answer to come."""
        assert self.transport is not None
        answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        self.transport.write(request)
        return answer


class PeerLinks:
    """The connections of this server to the others, one for each address."""

    def __init__(self) -> None:
        self.links: dict[str, asyncio.Future[PeerLink]] = {}

    async def ask(self, address: str, request: bytes, within: float) -> Packet | None:
        """Return the answer of the server at ``HOST:PORT``, None when there is none in time."""
        try:
            async with asyncio.timeout(within):
                link = await self.link_to(address)
                packet = await link.ask(request)
        except OSError:
            return None
        except TimeoutError:
            self.forget(address)
            return None
        return None if packet.type == ERROR else packet

    async def link_to(self, address: str) -> PeerLink:
        """Return the connection to an address, made if need be."""
        known = self.links.get(address)
        if known is None or (known.done() and is_lost(known)):
            known = asyncio.ensure_future(connect(address, PeerLink))
            self.links[address] = known
        return await asyncio.shield(known)

    def forget(self, address: str) -> None:
        """Use the connection to an address no more."""
        known = self.links.pop(address, None)
        if known is None:
            return
        if known.done() and not known.cancelled() and known.exception() is None:
            known.result().drop()
        else:
            known.cancel()

    def close(self) -> None:
        """Drop all connections."""
        for address in list(self.links):
            self.forget(address)


async def connect(address: str, kind: Callable[[], Link]) -> Link:
    """Connect to ``HOST:PORT``; raises OSError."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(kind, host.strip("[]"), int(port))
    return link


def is_lost(link: asyncio.Future[PeerLink]) -> bool:
    """Return whether a connection that was being made is of no use."""
    return link.cancelled() or link.exception() is not None or link.result().lost
