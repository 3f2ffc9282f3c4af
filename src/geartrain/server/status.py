"""
What a server has to ask others for: the status of jobs that are not here, and who takes part.

Whoever asked waits for the answer in its turn, and nobody else does. A question
takes half a second at most where another server does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
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

# Seconds between looks whether what is taken over has come in.
_LOOK_AGAIN = 0.01

__all__ = ["PEER_TIMEOUT", "Found", "StatusDesk", "Unanswered", "own_row"]

# A server, and what it said.
Found = tuple[Member, Packet]

# Name, address, generation, whether it is this server, seconds of its lease left, jobs held.
ServerRow = tuple[str, str, int, bool, float, int]


class Unanswered(Exception):
    """The server that should know does not answer."""


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
            if answer.local:
                await self.settled()
                return StatusFound(answer)
            if answer.by_unique:
                return await self.find_by_unique(answer)
            return await self.find_by_handle(answer)
        except (StoreError, TimeoutError):
            return StatusFound(answer, refusal=_NO_ANSWER)

    async def find_by_unique(self, answer: StatusResult) -> StatusFound:
        """Return what is known of a unique key."""
        request = pack_request(GET_STATUS_UNIQUE, [answer.name])
        found = await self.ask_all(await self.others(), request)
        return StatusFound(answer) if found is None else status_of(answer, found[1])

    async def find_by_handle(self, answer: StatusResult) -> StatusFound:
        """Return what is known of a handle."""
        try:
            found = await self.locate(answer.name)
        except Unanswered:
            # It may be about to be taken over, with the job.
            return StatusFound(answer, known=True)
        return StatusFound(answer) if found is None else status_of(answer, found[1])

    async def locate(self, handle: bytes) -> Found | None:
        """
        Return the other server that has a job, and its STATUS_RES; None where none has it.

        Raises Unanswered when the server that should have it does not answer, StoreError and
        TimeoutError when the store doesn't.
        """
        request = pack_request(GET_STATUS, [handle])
        holder = await self.holder(handle)
        asked: list[Member] = []
        if holder is not None and self.is_own(holder):
            await self.settled()
        elif holder is not None:
            packet = await self.ask_member(holder, request)
            if packet is None:
                raise Unanswered
            if is_known(packet):
                return holder, packet
            asked.append(holder)
        # A job may have stayed at a server that joined again, and kept its handle.
        tried = {member.generation for member in asked}
        others = [one for one in await self.others() if one.generation not in tried]
        return await self.ask_all(others, request)

    async def ask_all(self, members: Sequence[Member], request: bytes) -> Found | None:
        """Return the first of the servers that knows the job, and its answer."""
        packets = await asyncio.gather(*[self.ask_member(one, request) for one in members])
        for member, packet in zip(members, packets, strict=True):
            if packet is not None and is_known(packet):
                return member, packet
        return None

    async def settled(self) -> None:
        """Wait until what this server takes over has come in; TimeoutError when that is long."""
        async with asyncio.timeout(STORE_TIMEOUT):
            waits = True
            while waits:
                waits = self.cluster.is_taking_in()
                # What the writer thread has told just now comes before this goes on.
                await asyncio.sleep(_LOOK_AGAIN if waits else 0)
                waits = waits or self.cluster.is_taking_in()

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
        store = self.cluster.store
        members = await self.believe(b"", lambda: store.members(counting=False))
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
            members = await self.believe(b"*", self.cluster.store.members)
        except (StoreError, TimeoutError):
            return ServersFound(answer, [], STORE_UNAVAILABLE)
        rows = [
            (one.name, one.address, one.generation, self.is_own(one), one.lease_left, one.jobs)
            for one in members
        ]
        return ServersFound(answer, rows)


def is_known(packet: Packet) -> bool:
    """Return whether another server's answer says that it has the job."""
    return len(packet.args) > 4 and packet.args[1] == b"1"


def status_of(answer: StatusResult, packet: Packet) -> StatusFound:
    """Return what STATUS_RES or STATUS_RES_UNIQUE of another server says."""
    args = packet.args
    listeners = int(args[5]) if len(args) > 5 and args[5].isdigit() else 0
    return StatusFound(answer, True, args[2] == b"1", args[3], args[4], listeners)


def own_row(server: JobServer) -> ServerRow:
    """Return the row of a server that shares its store with nobody."""
    held = sum([job.obligation for job in server.exchange.broker.jobs.values()])
    return server.name(), server.advertised(), 0, True, 0.0, held
