"""
Questions about one job that another server has: how it ends, what it is, to cancel it.

Whoever has the job answers, and asks nobody in turn. Where none of the others has it, the
store is asked, as if this server were alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from geartrain.broker import shared
from geartrain.broker.commands import Command, ResultFound, StoreAnswered
from geartrain.broker.effects import AskForResult
from geartrain.broker.inquiring import CANCEL_ELSEWHERE, EXCEPTED, SHOW_ENDED
from geartrain.errors import StoreError
from geartrain.server.peer_link import LOCAL, connect
from geartrain.server.questions import Question
from geartrain.server.result_link import ResultLinks
from geartrain.server.status import PEER_TIMEOUT, StatusDesk, Unanswered
from geartrain.store.shared_store import Member
from geartrain.wire.packet import OPTION_REQ, OPTION_RES
from geartrain.wire.text import END_OF_LIST, SERVER_UNAVAILABLE
from geartrain.wire.writer import pack_request, pack_response

if TYPE_CHECKING:
    from geartrain.server.server import JobServer

__all__ = ["Elsewhere"]

# Seconds until a server that should have a job, and does not answer, is looked at again; and for
# how many leases that goes on: by then it has been taken over, or is not to be reached from here.
_AGAIN: Final = 0.1
_LEASES: Final = 5.0
# The same for lines of text, whose answer nobody expects to take long, in seconds.
_LONGEST: Final = 5.0
# Seconds for the answer to a line of text; the other server may have to ask the store.
_TEXT_TIMEOUT: Final = 2.0
# What is asked for lines of text, and the most that may be answered, in bytes.
_LINES: Final = {SHOW_ENDED: b"show job ", CANCEL_ELSEWHERE: b"cancel job "}
_MAX_TEXT: Final = 1024 * 1024

_NOT_REACHED: Final = b"the server that may have the job does not answer"


class Elsewhere:
    """
    Asks the servers that share the store with this one.

    Args:
        server: Where the questions come from.
        desk: Knows who has which job.

    """

    def __init__(self, server: JobServer, desk: StatusDesk) -> None:
        self.server = server
        self.desk = desk
        self.links = ResultLinks(server.settings.max_packet)
        self.tasks: set[asyncio.Task[None]] = set()

    def may_know(self, question: Question) -> bool:
        """Return whether another server may have the answer to what the store is to be asked."""
        if question.local or shared.is_over(self.server.exchange.broker, question.handle):
            return False
        return isinstance(question, AskForResult) or question.question in _LINES

    def ask(self, question: Question) -> None:
        """Find the answer, beside the loop's other work."""
        if isinstance(question, AskForResult):
            self.run(self.find_result(question), question)
        else:
            self.run(self.find_text(question.question, question.handle, question.to), question)

    def run(self, finding: Coroutine[Any, Any, Command | None], question: Question) -> None:
        """Step what was found; None has the store asked."""

        async def search() -> None:
            found = await finding
            if found is None:
                self.server.asker.put(question)
            else:
                self.server.asker.answered(question, [found])

        task = self.server.loop.create_task(search())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self) -> None:
        """Stop asking."""
        for task in self.tasks:
            task.cancel()
        self.links.close()

    # Results.

    async def find_result(self, question: AskForResult) -> ResultFound | None:
        """Return how a job has ended when it has; None for what only the store can know."""
        loop = self.server.loop
        patience = _LEASES * self.desk.cluster.store.lease
        given_up = loop.time() + patience
        looked = False
        while question.inquiry in self.server.exchange.broker.jobs:
            try:
                member = await self.who_knows(question.handle)
                if member is None:
                    return None
                given_up = loop.time() + patience
                outcome, data = await self.links.inquire(
                    member.address, question.handle, PEER_TIMEOUT
                )
                return ResultFound(question.inquiry, question.handle, outcome, data)
            except StoreError:
                # The store says so itself.
                return None
            except (Unanswered, OSError):
                if not looked and await self.is_kept(question.handle):
                    return None
                looked = True
                if loop.time() > given_up:
                    break
            await asyncio.sleep(_AGAIN)
        return ResultFound(question.inquiry, question.handle, EXCEPTED, _NOT_REACHED)

    async def is_kept(self, handle: bytes) -> bool:
        """Return whether the store has the end of a job, whose server does not answer."""
        committer = self.server.committer
        if committer is None or committer.stalled:
            return False
        asked = committer.ask(
            lambda store: store.result(handle) is not None or store.dead_letter(handle) is not None
        )
        try:
            return await asyncio.wrap_future(asked)
        except StoreError:
            return False

    async def who_knows(self, handle: bytes) -> Member | None:
        """
        Return the other server that has a job, or had it; None where that is this one, or none.

        Who had it knows best: how it ended may be on its way to the store.
        """
        found = await self.desk.locate(handle)
        if found is not None:
            return found[0]
        holder = await self.desk.holder(handle)
        return None if holder is None or self.desk.is_own(holder) else holder

    # Lines of text.

    async def find_text(self, question: int, handle: bytes, to: Any) -> StoreAnswered | None:
        """Return what the server that has a job says of it; None for what only the store knows."""
        loop = self.server.loop
        given_up = loop.time() + _LONGEST
        line = _LINES[question] + handle + b"\r\n"
        looked = False
        while True:
            try:
                member = await self.who_knows(handle)
                return None if member is None else StoreAnswered(to, await ask(member, line))
            except StoreError:
                return None
            except (Unanswered, OSError):
                if not looked and await self.is_kept(handle):
                    return None
                looked = True
                if loop.time() > given_up:
                    return StoreAnswered(to, SERVER_UNAVAILABLE)
            await asyncio.sleep(_AGAIN)


async def ask(member: Member, line: bytes) -> bytes:
    """Return what a server answers to a line of text; raises OSError where it does not."""
    async with asyncio.timeout(_TEXT_TIMEOUT):
        link = await connect(member.address, lambda: TextLink(line))
        with contextlib.closing(link):
            return await link.answer


class TextLink(asyncio.Protocol):
    """
    A connection for one line of text and its answer.

    Args:
        line: What is asked, with its end.

    Attributes:
        answer: The answer to come; ConnectionError where there is none.

    """

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.received = bytearray()
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(pack_request(OPTION_REQ, [LOCAL]) + self.line)

    def data_received(self, data: bytes) -> None:
        self.received += data
        said = bytes(self.received).removeprefix(_CONFIRMED)
        is_whole = said.endswith((b"\r\n", b"\n" + END_OF_LIST)) and len(said) < len(self.received)
        if is_whole and not self.answer.done():
            self.answer.set_result(said)
        if is_whole or len(said) > _MAX_TEXT:
            self.close()

    def close(self) -> None:
        """Ask no more."""
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("the other server has hung up"))


# What the option is answered with.
_CONFIRMED: Final = pack_response(OPTION_RES, [LOCAL])
