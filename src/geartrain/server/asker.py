"""
Puts the broker's questions about jobs that ended to the store, and its answers to the broker.

The store is asked on the thread that writes to it, after what waited for it is
committed; one without a thread answers at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from geartrain.broker.commands import Command
from geartrain.errors import StoreError, StoreUnavailable
from geartrain.server.questions import Question, commands_of, refusal_of
from geartrain.store.queue_store import QueueStore

if TYPE_CHECKING:
    from geartrain.server.server import JobServer

__all__ = ["Asker"]

logger = logging.getLogger("geartrain.server")

# Seconds between looks for results that have expired.
FORGET_INTERVAL: Final = 30.0

_STORE_HANGS: Final = StoreUnavailable("it does not answer in time")


class Asker:
    """
    Asks one server's store.

    Args:
        server: The server.

    """

    def __init__(self, server: JobServer) -> None:
        self.server = server

    def put_questions(self) -> None:
        """Ask what sessions want to know of jobs that ended."""
        exchange = self.server.exchange
        cluster = self.server.cluster
        questions: list[Question] = [*exchange.result_questions, *exchange.store_questions]
        exchange.result_questions = []
        exchange.store_questions = []
        for question in questions:
            if cluster is not None and cluster.elsewhere.may_know(question):
                cluster.elsewhere.ask(question)
            else:
                self.put(question)

    def put(self, question: Question) -> None:
        """Ask the store."""
        committer = self.server.committer
        work = commands_of(question, self.server.clock())
        if committer is None:
            self.answered(question, asked_at_once(work, self.server.store))
        elif committer.stalled:
            self.server.loop.call_soon(self.answered, question, _STORE_HANGS)
        else:
            future = asyncio.wrap_future(committer.ask(work), loop=self.server.loop)
            future.add_done_callback(partial(self.answered_later, question))

    def answered_later(self, question: Question, future: asyncio.Future[Sequence[Command]]) -> None:
        """Hand the answer of the store's thread on."""
        if future.cancelled():
            return
        self.answered(question, future.exception() or future.result())

    def answered(self, question: Question, answer: Sequence[Command] | BaseException) -> None:
        """Tell the broker what the store has answered."""
        if isinstance(answer, BaseException):
            answer = [refusal_of(question, answer)]
        for command in answer:
            self.server.exchange.step(self.server.clock(), command)
        self.server.schedule_pass()

    def forget_results(self) -> None:
        """Have the store forget results that have expired, now and then."""
        now = self.server.clock()
        committer = self.server.committer
        if committer is None:
            self.server.store.forget_results(now)
        elif not committer.stalled:
            # Should it fail, the next time is soon enough.
            committer.ask(lambda store: store.forget_results(now))
        self.server.loop.call_later(FORGET_INTERVAL, self.forget_results)

    def log_buried(self) -> None:
        """Log jobs that became dead letters."""
        exchange = self.server.exchange
        buried, exchange.buried = exchange.buried, []
        for letter in buried:
            logger.warning(
                "job %s of %r (unique %r) is a dead letter after %d attempts: %s",
                letter.job.handle.decode(),
                letter.job.function,
                letter.job.unique,
                letter.job.attempts,
                ascii(letter.reason.decode("utf-8", "replace")),
            )


def asked_at_once(
    work: Callable[[QueueStore], Sequence[Command]], store: QueueStore
) -> Sequence[Command] | Exception:
    """Return what a store that makes nobody wait answers, or why it does not."""
    try:
        return work(store)
    except StoreError as error:
        return error
