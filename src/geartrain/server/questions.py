"""
What the store is asked about jobs that ended, and how its answers read.

A question runs on the thread that owns the store; what it returns is a command
for the broker. Nothing here touches the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from geartrain.broker.commands import Command, Restore, ResultFound, StoreAnswered
from geartrain.broker.effects import AskForResult, AskStore
from geartrain.broker.inquiring import (
    CANCEL_ELSEWHERE,
    DEAD,
    EXCEPTED,
    FAILED,
    LIST_LETTERS,
    RETRY_LETTER,
    SHOW_ENDED,
    STREAMED,
    unframed,
)
from geartrain.broker.retrying import MAX_QUOTED
from geartrain.server.text_commands import fact_lines
from geartrain.store.batch import OUTCOME_NAMES, DeadLetter, Result
from geartrain.store.queue_store import QueueStore
from geartrain.wire.text import END_OF_LIST, OK, UNKNOWN_JOB, printable

__all__ = ["Question", "commands_of", "refusal_of"]

# Dead letters in one answer; whoever wants more asks again, behind the last one.
PAGE: Final = 100

Question = AskForResult | AskStore


def commands_of(effect: Question, now: float) -> Callable[[QueueStore], Sequence[Command]]:
    """Return what to do with the store; it returns what the broker is to be stepped with."""
    if isinstance(effect, AskForResult):
        return lambda store: [result_of(store, effect, now)]
    if effect.question == CANCEL_ELSEWHERE:
        # Nobody else was there to be asked.
        return lambda store: [StoreAnswered(effect.to, UNKNOWN_JOB)]
    if effect.question == RETRY_LETTER:
        return lambda store: retried(store, effect)
    return lambda store: [StoreAnswered(effect.to, text_of(store, effect, now))]


def refusal_of(effect: Question, error: BaseException) -> Command:
    """Return the command for a store that can't answer."""
    reason = f"the store can't be asked: {error}".encode()
    if isinstance(effect, AskForResult):
        return ResultFound(effect.inquiry, effect.handle, EXCEPTED, reason)
    return StoreAnswered(effect.to, b"ERR STORE_ERROR " + one_line(reason) + b"\r\n")


def result_of(store: QueueStore, effect: AskForResult, now: float) -> ResultFound:
    """Return how a job ended; FAILED and nothing where nobody knows."""
    result = kept_result(store, effect.handle, now)
    if result is None or result.outcome in (FAILED, EXCEPTED):
        letter = store.dead_letter(effect.handle)
        if letter is not None:
            said = b"" if result is None else result.data
            # A letter quotes the start of what is kept whole here.
            why = DEAD + letter.reason.removesuffix(said[:MAX_QUOTED]) + said
            return ResultFound(effect.inquiry, effect.handle, EXCEPTED, why)
    if result is None:
        return ResultFound(effect.inquiry, effect.handle, FAILED, b"")
    return ResultFound(effect.inquiry, effect.handle, result.outcome, result.data)


def kept_result(store: QueueStore, handle: bytes, now: float) -> Result | None:
    """Return a result that has not expired."""
    result = store.result(handle)
    return None if result is None or result.expires <= now else result


def retried(store: QueueStore, effect: AskStore) -> list[Command]:
    """Make a dead letter a job again."""
    job = store.revive(effect.handle)
    if job is None:
        return [StoreAnswered(effect.to, UNKNOWN_JOB)]
    return [Restore(job), StoreAnswered(effect.to, OK)]


def text_of(store: QueueStore, effect: AskStore, now: float) -> bytes:
    """Return the answer to a text command."""
    if effect.question == LIST_LETTERS:
        letters = store.dead_letters(effect.after, PAGE)
        return b"".join([letter_line(letter) for letter in letters]) + END_OF_LIST
    if effect.question == SHOW_ENDED:
        letter = store.dead_letter(effect.handle)
        if letter is not None:
            return fact_lines(letter_facts(letter))
        result = kept_result(store, effect.handle, now)
        return UNKNOWN_JOB if result is None else fact_lines(result_facts(result))
    return OK if store.remove_dead_letter(effect.handle) else UNKNOWN_JOB


def letter_line(letter: DeadLetter) -> bytes:
    """Return one line of ``show dead letters``."""
    job = letter.job
    return b"%b\t%d\t%b\t%b\t%d\t%d\t%b\n" % (
        job.handle,
        job.number,
        printable(job.function),
        printable(job.unique),
        job.attempts,
        int(letter.died),
        one_line(letter.reason),
    )


def letter_facts(letter: DeadLetter) -> list[tuple[bytes, bytes]]:
    """Return what ``show job`` says of a dead letter."""
    job = letter.job
    return [
        (b"handle", job.handle),
        (b"function", job.function),
        (b"unique", job.unique),
        (b"state", b"dead"),
        (b"attempts", b"%d" % job.attempts),
        (b"submitted", b"%.3f" % job.submitted),
        (b"ended", b"%.3f" % letter.died),
        (b"size", b"%d" % len(job.workload)),
        (b"reason", letter.reason),
    ]


def result_facts(result: Result) -> list[tuple[bytes, bytes]]:
    """Return what ``show job`` says of a job that left a result."""
    parts = unframed(result.data) if result.outcome == STREAMED else [result.data]
    return [
        (b"handle", result.handle),
        (b"function", result.function),
        (b"state", OUTCOME_NAMES[result.outcome].encode()),
        (b"ended", b"%.3f" % result.ended),
        (b"expires", b"%.3f" % result.expires),
        (b"result", b"%d" % sum([len(part) for part in parts])),
    ]


def one_line(text: bytes) -> bytes:
    """Return any bytes as part of a line."""
    return printable(text[:2000])
