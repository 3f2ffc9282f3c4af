"""
Policies as people write them: tables ``[functions."NAME"]``, and what workers declare.

Both have the same keys and values. Every key is checked: a policy that is
misspelt would be found out when a job was lost without a retry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geartrain.broker.policy import RESULT_FUNCTION, Policy
from geartrain.configuration import check_names, checked, read_tables, seconds_of, table_of
from geartrain.errors import UsageError

__all__ = ["KEYS", "MAX_DECLARATION", "declared_policy", "load_policies", "policy_of"]

TABLE: Final = "functions"
# Longest declaration of a worker, in bytes.
MAX_DECLARATION: Final = 8 * 1024
# Longest name of a function in it.
MAX_NAME: Final = 512

# Longest text that is a value, in characters.
_MAX_TEXT: Final = 100

# Keys of a table, with the types of those that are no lengths of time.
KEYS: Final[dict[str, str]] = {
    "retries": "int",
    "max_attempts": "int",
    "backoff": "backoff",
    "jitter": "float",
    "timeout": "seconds",
    "dead_letters": "bool",
    "poison": "int",
    "concurrency": "int",
    "concurrency_per_key": "int",
    "key_separator": "str",
    "rate": "rate",
    "burst": "int",
    "expires": "seconds",
    "retention": "seconds",
    "maxqueue": "int",
    "unique": "unique",
}
# Longest time that can be set, in seconds, and most of what is counted.
_LONGEST: Final = 10 * 366 * 86_400.0
_MOST: Final = 1_000_000_000
# Most assignments in a second that are still counted one by one.
_FASTEST: Final = 100_000.0
# What holds once attempts are limited, unless something else is set.
_BACKOFF: Final = (5.0, 2.0, 3600.0)
_JITTER: Final = 0.2
_POISON: Final = 3

_EXP: Final = re.compile(r"exp\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*(?:,\s*([0-9.]+)\s*)?\)")
_RATE: Final = re.compile(r"(\d+)\s*/\s*(\d*)\s*(ms|s|m|h|d)")


def load_policies(path: Path) -> list[Policy]:
    """Return the policies of a configuration file, in its order; raises UsageError."""
    tables = table_of(path, read_tables(path), TABLE)
    policies = []
    for name, table in tables.items():
        where = f'{path}: [{TABLE}."{name}"]'
        if not isinstance(table, dict):
            raise UsageError(f'{path}: {name} has to be a table, written [{TABLE}."NAME"]')
        if name == RESULT_FUNCTION.decode():
            raise UsageError(f"{where}: the server answers this function itself")
        policies.append(policy_of(where, name, table))
    return policies


def declared_policy(text: bytes) -> Policy:
    """
    Return the policy that a worker declares.

    Args:
        text: A JSON object of ``function`` and keys of a table.

    Raises:
        UsageError: It is none; the message is for the worker.

    """
    if len(text) > MAX_DECLARATION:
        raise UsageError(f"a policy has at most {MAX_DECLARATION} bytes, not {len(text)}")
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("a policy is a JSON object") from None
    if not isinstance(said, dict):
        raise UsageError("a policy is a JSON object")
    name = said.pop("function", "")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise UsageError(f"function takes the name of one, of at most {MAX_NAME} characters")
    return policy_of("policy", name, said)


def policy_of(where: str, name: str, table: Mapping[str, Any]) -> Policy:
    """
    Return the policy that a table says.

    Args:
        where: The table, for messages.
        name: Name of the function, or a pattern.
        table: Its keys.

    Raises:
        UsageError: It has a key nobody knows, or a value that can't be.

    """
    check_names(where, "key of a function's policy", table, KEYS)
    found = {key: read(where, key, value) for key, value in table.items()}
    policy = Policy(encoded(where, "function", name))
    set_attempts(where, policy, found)
    policy.first, policy.factor, policy.longest = found.get("backoff", _BACKOFF)
    policy.jitter = found.get("jitter", _JITTER)
    policy.timeout = found.get("timeout", 0.0)
    policy.concurrency = found.get("concurrency", 0)
    policy.per_key = found.get("concurrency_per_key", 0)
    policy.separator = encoded(where, "key_separator", found.get("key_separator", ":"))
    policy.interval = found.get("rate", 0.0)
    policy.burst = found.get("burst", max(1, int(1.0 / policy.interval)) if policy.interval else 1)
    policy.expires = found.get("expires", 0.0)
    policy.retention = found.get("retention", 0.0)
    policy.maxqueue = found.get("maxqueue", 0)
    policy.queued_only = found.get("unique", "running") == "queued"
    if not policy.separator:
        raise UsageError(f"{where}: key_separator takes at least one character")
    if policy.burst < 1:
        raise UsageError(f"{where}: burst takes 1 or more, not {policy.burst}")
    return policy


def encoded(where: str, key: str, text: str) -> bytes:
    """Return a text as it is on the wire; raises UsageError for half a character."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(f"{where}: {key} is no text: {text!a}") from None


def set_attempts(where: str, policy: Policy, found: Mapping[str, Any]) -> None:
    """Set how often a job is tried, and what becomes of it then."""
    if "retries" in found and "max_attempts" in found:
        raise UsageError(
            f"{where}: retries and max_attempts say the same, max_attempts one more; take one"
        )
    if found.get("max_attempts") == 0:
        raise UsageError(f"{where}: max_attempts takes 1 or more: the first attempt counts")
    policy.attempts = found.get("max_attempts", found.get("retries", -1) + 1)
    policy.poison = found.get("poison", _POISON if policy.attempts else 0)
    policy.keeps_failures = found.get("dead_letters", policy.attempts > 0)
    policy.dead_letters = policy.keeps_failures or (
        policy.poison > 0 and "dead_letters" not in found
    )


# Values.


def read(where: str, key: str, value: Any) -> Any:
    """Return the value of one key, checked; raises UsageError."""
    kind = KEYS[key]
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        # Whoever may declare a policy may not have us look at a text for long, either.
        raise UsageError(f"{where}: {key} takes a text of at most {_MAX_TEXT} characters")
    try:
        if kind == "seconds":
            return seconds(value)
        if kind == "backoff":
            return backoff(value)
        if kind == "rate":
            return interval_of(value)
        if kind == "unique":
            if value not in ("queued", "running"):
                raise UsageError(f"takes 'queued' or 'running', not {value!r}")
            return value
    except UsageError as error:
        raise UsageError(f"{where}: {key} {error}") from None
    found = checked(where, key, kind, value)
    most = 1.0 if key == "jitter" else _MOST
    if kind in ("int", "float") and not 0 <= found <= most:
        raise UsageError(f"{where}: {key} takes 0 to {most}, not {value!r}")
    return found


def seconds(value: Any) -> float:
    """Return a length of time in seconds, up to ten years; raises UsageError."""
    found = float(seconds_of(value))
    if not 0.0 <= found <= _LONGEST:
        raise UsageError(f"takes at most ten years, not {value!r}")
    return found


def backoff(value: Any) -> tuple[float, float, float]:
    """Return first wait, factor and longest wait of a back-off; raises UsageError."""
    if isinstance(value, str) and value.strip().startswith("exp"):
        parts = _EXP.fullmatch(value.strip())
        if parts is None:
            raise UsageError(f"takes a time or exp(FIRST, LONGEST), not {value!r}")
        first, longest = seconds(parts[1]), seconds(parts[2])
        try:
            factor = float(parts[3] or 2.0)
        except ValueError:
            factor = 0.0
        if not 1.0 <= factor <= 100.0:
            raise UsageError(
                f"takes a factor of 1 to 100 in exp(FIRST, LONGEST, FACTOR): {value!r}"
            )
        return first, factor, max(first, longest)
    first = seconds(value)
    return first, 1.0, first


def interval_of(value: Any) -> float:
    """Return the seconds between two jobs of a rate such as ``10/s`` or ``100/5m``."""
    parts = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if parts is None:
        raise UsageError(f"takes a text such as '10/s', '100/m' or '5/10s', not {value!r}")
    count = int(parts[1][:12])
    length = seconds(f"{parts[2] or 1}{parts[3]}")
    if not count or not length or count / length > _FASTEST:
        raise UsageError(f"takes more than none and at most {_FASTEST:g}/s, not {value!r}")
    return length / count
