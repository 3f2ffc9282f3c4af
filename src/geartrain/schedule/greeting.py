"""
What agents and schedulers say to each other, signed: pure, and the same file for both sides.

An agent greets by a foreground job of `GREETING`, which every scheduler serves: who it is, which
table of entries it has, and what became of fires that it ran by itself. The answer takes note of
these, and brings a newer table where there is one.

With a key that both sides have in a file, everything is signed (HMAC-SHA256 over JSON with sorted
keys and no blanks). Without it no table is sent, since a machine that is cut off could not tell
whose commands it runs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from geartrain.errors import UsageError
from geartrain.schedule.entry_values import AGENT_NAME, check_agent_name
from geartrain.schedule.envelope import Answer, answer_of

__all__ = [
    "AGENT_NAME",
    "GREETING",
    "REPORTS",
    "Greeting",
    "Report",
    "Reply",
    "Standing",
    "Table",
    "check_agent_name",
    "end_order",
    "read_greeting",
    "read_end_order",
    "read_reply",
    "read_table",
    "sign",
    "verify",
]

# The function that schedulers serve.
GREETING: Final = "geartrain:agents"
# Reports in one greeting at most; an agent that has more brings them with the next, at once.
REPORTS: Final = 100
_SIGNATURE: Final = "signature"


# Signing.


def canonical(found: Mapping[str, Any]) -> bytes:
    """Return what is signed of a JSON object: all of it but the signature."""
    body = {name: value for name, value in found.items() if name != _SIGNATURE}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def sign(found: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """Return an object with its signature; as it is where there is no key."""
    if not key:
        return dict(found)
    return {**found, _SIGNATURE: hmac.new(key, canonical(found), hashlib.sha256).hexdigest()}


def verify(found: Mapping[str, Any], key: bytes) -> bool:
    """Whether an object was signed with this key. Takes as long for a near miss as for a far."""
    signature = found.get(_SIGNATURE)
    if not isinstance(signature, str) or not signature.isascii():
        return False
    expected = hmac.new(key, canonical(found), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


# What an agent says.


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What became of a fire that an agent ran by itself.

    Attributes:
        schedule, generation, nominal, target: The fire.
        previous: The nominal moment before; 0 where there is none.
        origin: ``offline`` or ``reboot``.
        key: Of the fire; what the agent hears that it was noted.
        answer: How it ended.

    """

    schedule: int
    generation: int
    nominal: int
    target: str
    key: str
    answer: Answer
    previous: int = 0
    origin: str = "offline"

    def to_object(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        names = ("schedule", "generation", "nominal", "target", "key", "previous", "origin")
        return {
            **{name: getattr(self, name) for name in names},
            "answer": self.answer.to_object(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """
    An agent's word that it is there.

    Attributes:
        agent: Its name.
        tags: What it is chosen by.
        version: Of geartrain.
        table: Revision of the table it has; 0 for none.
        started: When it started, by its clock.
        nonce: Chosen anew each time, and given back, so that no old answer is taken for this one.
        reports: What it ran by itself and nobody has noted yet.

    """

    agent: str
    tags: tuple[str, ...] = ()
    version: str = ""
    table: int = 0
    started: float = 0.0
    nonce: str = ""
    reports: tuple[Report, ...] = ()

    def to_bytes(self, key: bytes) -> bytes:
        """Return it as a workload, signed where there is a key."""
        found = {
            "agent": self.agent,
            "tags": list(self.tags),
            "version": self.version,
            "table": self.table,
            "started": self.started,
            "nonce": self.nonce,
            "reports": [report.to_object() for report in self.reports],
        }
        return json.dumps(sign(found, key)).encode()


# What it hears.


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    One entry of a table, with where it has got to.

    Attributes:
        schedule, generation: As in the store; a fire's key is made of them.
        definition: The entry as JSON text.
        since: From when on its moments count.
        last_nominal: The last moment that was dealt with; 0 before the first.
        runs: How many fires it had.

    """

    schedule: int
    generation: int
    definition: str
    since: int = 0
    last_nominal: int = 0
    runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    The entries that an agent fires by itself while it is cut off.

    Attributes:
        agent: Whose table it is.
        revision: Never goes back.
        made: When, by the database's clock.
        entries: Those of ``all``, of this agent alone, and those that opted in.

    """

    agent: str
    revision: int
    made: float
    entries: tuple[Standing, ...] = ()

    def to_object(self, key: bytes) -> dict[str, Any]:
        """Return it as a JSON object, signed."""
        names = Standing.__slots__
        entries = [{name: getattr(one, name) for name in names} for one in self.entries]
        body = {
            "agent": self.agent,
            "revision": self.revision,
            "made": self.made,
            "entries": entries,
        }
        return sign(body, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    The answer to a greeting.

    Attributes:
        agent, nonce: Whose greeting it answers.
        now: The database's time.
        lease: For how many seconds the agent counts as alive from now on.
        revision: Of the newest table; 0 where none is sent, for want of a key.
        accepted: Keys of the reports that were noted.
        table: The newest table as it was signed, where the agent has an older one.
        error: Why the greeting was refused; empty where it was not.

    """

    agent: str
    nonce: str = ""
    now: float = 0.0
    lease: float = 30.0
    revision: int = 0
    accepted: tuple[str, ...] = ()
    table: Mapping[str, Any] | None = None
    error: str = ""

    def to_bytes(self, key: bytes) -> bytes:
        """Return it as a job's result, signed where there is a key."""
        found: dict[str, Any] = {
            "agent": self.agent,
            "nonce": self.nonce,
            "now": self.now,
            "lease": self.lease,
            "revision": self.revision,
            "accepted": list(self.accepted),
        }
        if self.table is not None:
            found["table"] = dict(self.table)
        if self.error:
            found["error"] = self.error
        return json.dumps(sign(found, key)).encode()


# Reading. Each raises UsageError for what it can't believe.


def read_greeting(workload: bytes, key: bytes) -> Greeting:
    """Read a greeting; with a key, one that is not signed with it is refused."""
    found = _object(workload, "greeting")
    if key and not verify(found, key):
        raise UsageError(
            "the greeting is not signed with the scheduler's key; "
            "give the agent the same key in [agent] key_file"
        )
    reports = _list(found, "reports")
    return Greeting(
        agent=check_agent_name(_text(found, "agent")),
        tags=tuple(one for one in _list(found, "tags") if isinstance(one, str)),
        version=_text(found, "version"),
        table=_whole(found, "table"),
        started=_number(found, "started"),
        nonce=_text(found, "nonce"),
        reports=tuple(_report(one) for one in reports if isinstance(one, dict)),
    )


def read_reply(result: bytes, key: bytes, greeting: Greeting) -> Reply:
    """Read the answer to a greeting; one that was tampered with, or is another's, is refused."""
    found = _object(result, "answer to the greeting")
    if error := _text(found, "error"):
        raise UsageError(f"the scheduler refused the greeting: {error}")
    if key and not verify(found, key):
        raise UsageError(
            "the scheduler's answer is not signed with this agent's key; "
            "give it the same key in [scheduler] key_file"
        )
    if (_text(found, "agent"), _text(found, "nonce")) != (greeting.agent, greeting.nonce):
        raise UsageError("the answer is to another greeting; it is passed over")
    table = found.get("table")
    return Reply(
        agent=greeting.agent,
        nonce=greeting.nonce,
        now=_number(found, "now"),
        lease=_number(found, "lease"),
        revision=_whole(found, "revision"),
        accepted=tuple(one for one in _list(found, "accepted") if isinstance(one, str)),
        table=table if isinstance(table, dict) else None,
    )


def read_table(found: Mapping[str, Any], key: bytes, agent: str) -> Table:
    """Read a table; one that is not signed, or is another agent's, is refused."""
    if not key or not verify(found, key):
        raise UsageError("the table of entries is not signed with this agent's key")
    if _text(found, "agent") != agent:
        raise UsageError(f"the table of entries is that of agent {_text(found, 'agent')!r}")
    return Table(
        agent=agent,
        revision=_whole(found, "revision"),
        made=_number(found, "made"),
        entries=tuple(_standing(one) for one in _list(found, "entries")),
    )


def _report(found: Mapping[str, Any]) -> Report:
    answer = found.get("answer")
    if not isinstance(answer, dict):
        raise UsageError("a report without an answer")
    return Report(
        schedule=_whole(found, "schedule"),
        generation=_whole(found, "generation"),
        nominal=_whole(found, "nominal"),
        previous=_whole(found, "previous"),
        target=_text(found, "target"),
        origin=_text(found, "origin") or "offline",
        key=_text(found, "key"),
        answer=answer_of(answer),
    )


def _standing(found: object) -> Standing:
    if not isinstance(found, dict):
        raise UsageError("an entry of the table is no object")
    return Standing(
        schedule=_whole(found, "schedule"),
        generation=_whole(found, "generation"),
        definition=_text(found, "definition"),
        since=_whole(found, "since"),
        last_nominal=_whole(found, "last_nominal"),
        runs=_whole(found, "runs"),
    )


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the {what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"the {what} is JSON, but no object")
    return found


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}; give a text")
    return value


def _whole(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise UsageError(f"{name} is {value!r}; give a whole number from 0 up")
    return value


def _number(found: Mapping[str, Any], name: str) -> float:
    value = found.get(name, 0.0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise UsageError(f"{name} is {value!r}; give seconds since 1970")
    return float(value)


def _list(found: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = found.get(name, [])
    if not isinstance(value, list):
        raise UsageError(f"{name} is {value!r}; give a list")
    return value


# Orders.


def end_order(key: str, secret: bytes) -> bytes:
    """Return the workload that tells an agent, by its control function, to end a fire."""
    return json.dumps(sign({"end": key}, secret)).encode()


def read_end_order(workload: bytes, secret: bytes) -> str:
    """Return the key of the fire that is to be ended; raises UsageError."""
    found = _object(workload, "order")
    if secret and not verify(found, secret):
        raise UsageError(
            "the order is not signed with this agent's key; "
            "give the scheduler the same one in [scheduler] key_file"
        )
    return _text(found, "end")
