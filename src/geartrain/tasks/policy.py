"""
What a task asks the job server for: retries, limits, kept results.

The worker declares it by an OPTION_REQ whose argument is ``policy:`` and a JSON
object. The server decides what it means; gearmand knows no such option and
refuses it, and the task runs there without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import msgspec

PREFIX: Final = b"policy:"
# Seconds by which the server waits longer than the worker, who knows more to say.
_SERVER_LATER: Final = 5.0
# Workers that may be lost with a job of a task that does not say: a job that kills whoever runs
# it would otherwise be run for ever.
POISON: Final = 3


class PolicyOptions(TypedDict, total=False):
    """
    What may be said of a task to the server; every key has a default there.

    Attributes:
        retries: How often a background job that failed is run again.
        max_attempts: The same, counting the first attempt.
        backoff: Time in between, such as ``"exp(5s, 1h)"``.
        jitter: Part of it, 0 to 1, by which it is shortened at most.
        dead_letters: Whether jobs that were given up are kept to be looked at. Where nothing
            is said, those that were retried, and those that took workers along.
        poison: How many workers may be lost with a job until it is given up; 3 where nothing
            is said, 0 for any number.
        concurrency: How many jobs of the function run at once, on all workers together.
        concurrency_per_key: The same, of those with the same start of their unique key.
        key_separator: Where that start ends.
        rate: How many may start in a time, such as ``"10/s"``.
        burst: How many of them may follow each other without a pause.
        expires: After how long in the waiting line a job is given up, such as ``"1h"``.
        retention: For how long results of background jobs are kept, such as ``"1d"``.
        maxqueue: How many jobs the function may hold.

    """

    retries: int
    max_attempts: int
    backoff: str | float
    jitter: float
    dead_letters: bool
    poison: int
    concurrency: int
    concurrency_per_key: int
    key_separator: str
    rate: str
    burst: int
    expires: str | float
    retention: str | float
    maxqueue: int


def policy_option(function: str, policy: Mapping[str, Any], timeout: float | None = None) -> bytes:
    """
    Return a policy as the argument of OPTION_REQ.

    Args:
        function: Name of the function.
        policy: What the task says.
        timeout: Seconds after which the worker itself cuts the task off.

    """
    fields: dict[str, Any] = {"function": function, "poison": POISON, **policy}
    # Without retries the server would have what hangs run again for ever.
    if policy and timeout is not None:
        fields["timeout"] = timeout + _SERVER_LATER
    return PREFIX + msgspec.json.encode(fields)


__all__ = ["POISON", "PREFIX", "PolicyOptions", "policy_option"]
