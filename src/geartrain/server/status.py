"""
What a server has to ask others for: the status of jobs that are not here, and who takes part.

Whoever asked waits for the answer in its turn, and nobody else does. A question
takes half a second at most where another server does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from geartrain.broker.commands import Command
from geartrain.broker.effects import Awaited, ServersReport, StatusResult
from geartrain.broker.shared_commands import ServersFound, StatusFound
from geartrain.errors import StoreError
from geartrain.server.peer_link import PeerLinks
from geartrain.store.shared_store import Member
from geartrain.wire.packet import GET_STATUS, GET_STATUS_UNIQUE, Packet
from geartrain.wire.text import STORE_UNAVAILABLE
from geartrain.wire.writer import pack_request

if TYPE_CHECKING:
    from geartrain.server.cluster import Cluster
    from geartrain.server.server import JobServer

T = TypeVar("T")

# Seconds for the answer of another server, and of the store.
PEER_TIMEOUT = 0.5
STORE_TIMEOUT = 1.0
# Seconds for which is believed what the store said of who holds what.
BELIEVED_FOR = 0.5
# So many of these are kept.
BELIEVED_AT_MOST = 1000

_NO_ANSWER = b"the store does not answer"

__all__ = ["StatusDesk", "own_row"]

# Name, address, generation, whether it is this server, seconds of its lease left, jobs held.
ServerRow = tuple[str, str, int, bool, float, int]


class StatusDesk:
    """
    Asks the store and the other servers, and has the broker answer.

    Args:
        server: Where the questions come from.
        cluster: This server's part among the others.

    """

    def __init__(self, server: JobServer, cluster: Cluster) -> None:
        self.server = server
        self.cluster = cluster
        self.links = PeerLinks()
        self.believed: dict[bytes, tuple[float, asyncio.Future[Any]]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def ask(self, answer: Awaited) -> None:
        """Find out what an answer is to say."""
        if isinstance(answer, StatusResult):
            self.run(self.find_status(answer))
        elif isinstance(answer, ServersReport):
            self.run(self.find_servers(answer))
        else:
            raise AssertionError(f"nobody can be asked for {answer!r}")

    def run(self, finding: Coroutine[Any, Any, Command]) -> None:
        """Run a search beside the loop's other work, and step what it found."""

        async def search() -> None:
            found = await finding
            self.server.exchange.step(self.server.clock(), found)
            self.server.finish_pass()

        task = self.server.loop.create_task(search())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self) -> None:
        """Stop asking."""
        for task in self.tasks:
            task.cancel()
        self.links.close()

    # Status.

    async def find_status(self, answer: StatusResult) -> StatusFound:
        """Return what the servers that may have a job say of it."""
        try:
            if answer.by_unique:
                members = await self.others()
            else:
                holder = await self.holder(answer.name)
                members = [] if holder is None or self.is_own(holder) else [holder]
        except (StoreError, TimeoutError):
            return StatusFound(answer, refusal=_NO_ANSWER)
        kind = GET_STATUS_UNIQUE if answer.by_unique else GET_STATUS
        request = pack_request(kind, [answer.name])
        packets = await asyncio.gather(*[self.ask_member(one, request) for one in members])
        for packet in packets:
            if packet is not None and len(packet.args) > 4 and packet.args[1] == b"1":
                return status_of(answer, packet)
        # A server that does not answer may be about to be taken over, with the job.
        return StatusFound(answer, known=not answer.by_unique and None in packets)

    async def ask_member(self, member: Member, request: bytes) -> Packet | None:
        """Return what another server answers, None when it does not."""
        if not member.address:
            return None
        return await self.links.ask(member.address, request, PEER_TIMEOUT)

    def is_own(self, member: Member) -> bool:
        """Return whether a member is this server."""
        return member.generation == self.cluster.generation

    async def others(self) -> list[Member]:
        """Return the other servers."""
        members = await self.believe(b"", self.cluster.store.members)
        return [member for member in members if not self.is_own(member)]

    async def holder(self, handle: bytes) -> Member | None:
        """Return the server that can tell about a handle."""
        prefix = handle.rpartition(b":")[0]
        return await self.believe(prefix + b":", lambda: self.cluster.store.find(handle))

    async def believe(self, key: bytes, question: Callable[[], T]) -> T:
        """Return what the store says, or said a moment ago; raises StoreError, TimeoutError."""
        now = self.server.loop.time()
        asked, answer = self.believed.get(key, (-BELIEVED_FOR, None))
        if answer is None or now - asked > BELIEVED_FOR:
            if len(self.believed) >= BELIEVED_AT_MOST:
                self.believed.clear()
            answer = self.server.loop.run_in_executor(None, question)
            self.believed[key] = (now, answer)
        async with asyncio.timeout(STORE_TIMEOUT):
            found: T = await asyncio.shield(answer)
        return found

    # Who takes part.

    async def find_servers(self, answer: ServersReport) -> ServersFound:
        """Return who shares the store, and how many jobs each holds."""
        try:
            members = await self.believe(b"", self.cluster.store.members)
        except (StoreError, TimeoutError):
            return ServersFound(answer, [], STORE_UNAVAILABLE)
        rows = [
            (one.name, one.address, one.generation, self.is_own(one), one.lease_left, one.jobs)
            for one in members
        ]
        return ServersFound(answer, rows)


def status_of(answer: StatusResult, packet: Packet) -> StatusFound:
    """Return what STATUS_RES or STATUS_RES_UNIQUE of another server says."""
    args = packet.args
    listeners = int(args[5]) if len(args) > 5 and args[5].isdigit() else 0
    return StatusFound(answer, True, args[2] == b"1", args[3], args[4], listeners)


def own_row(server: JobServer) -> ServerRow:
    """Return the row of a server that shares its store with nobody."""
    held = sum([job.obligation for job in server.exchange.broker.jobs.values()])
    return server.name(), server.advertised(), 0, True, 0.0, held
