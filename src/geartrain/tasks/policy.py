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


class PolicyOptions(TypedDict, total=False):
    """
    What may be said of a task to the server; every key has a default there.

    Attributes:
        retries: How often a background job that failed is run again.
        backoff: Seconds in between, such as ``"exp(5s, 1h)"``.
        concurrency: How many jobs of the function run at once, on all workers together.
        rate: How many may start in a time, such as ``"10/s"``.
        expires: After how long in the waiting line a job is given up, such as ``"1h"``.
        retention: For how long results of background jobs are kept, such as ``"1d"``.
        dead_letters: Whether jobs that were given up are kept to be looked at.

    """

    retries: int
    backoff: str
    concurrency: int
    concurrency_per_key: int
    rate: str
    expires: str
    retention: str
    dead_letters: bool


def policy_option(
    function: str, policy: Mapping[str, Any], timeout: float | None = None
) -> bytes | None:
    """
    Return a policy as the argument of OPTION_REQ, or None where nothing is asked for.

    Args:
        function: Name of the function.
        policy: What the task says.
        timeout: Seconds after which the worker itself cuts the task off.

    """
    if not policy:
        return None
    fields: dict[str, Any] = {"function": function, **policy}
    if timeout is not None:
        fields["timeout"] = f"{round((timeout + _SERVER_LATER) * 1000)}ms"
    return PREFIX + msgspec.json.encode(fields)


__all__ = ["PREFIX", "PolicyOptions", "policy_option"]
