"""
What a job says of its fire, and what its end says of it: JSON, written here and read here.

The scheduler writes envelopes and reads answers; agents, and workers that want to know, do the
reverse. Nothing is run or sent from here, and nothing that was read is believed: every value is
checked, and what is wrong is named.

Terms: a *key* names a fire for ever; an *envelope* is the workload that carries it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from geartrain.errors import UsageError
from geartrain.rfc3339 import written
from geartrain.schedule.entry import Entry, for_agents
from geartrain.schedule.instant import read_instant
from geartrain.store.schedule_rows import Fire

__all__ = [
    "ANSWERS",
    "ANY_AGENT",
    "DONE",
    "FAILED",
    "NEXT_RUN",
    "RETRY",
    "Answer",
    "Envelope",
    "agent_function",
    "control_function",
    "envelope_for",
    "fire_key",
    "moment_of",
    "read_answer",
    "read_envelope",
    "text_of",
]

# How a task says that it ended: what the scheduler makes of it is in the reference.
DONE: Final = "done"
FAILED: Final = "failed"
RETRY: Final = "retry"
NEXT_RUN: Final = "next_run"
ANSWERS: Final = (DONE, FAILED, RETRY, NEXT_RUN)
_FLAGS: Final = ("repeated", "timed_out")

# Served by every agent: for commands that any of them may run.
ANY_AGENT: Final = "agent"
# Servers keep keys of 64 bytes.
_LONGEST_KEY: Final = 64
# A key longer than that ends with so many digits of a hash in place of its target.
_DIGITS: Final = 16
_LAST_MOMENT: Final = 253_402_300_799


def agent_function(name: str) -> str:
    """Return the function that the agent of this name serves."""
    return f"{ANY_AGENT}:{name}"


def control_function(name: str) -> str:
    """Return the function under which this agent is told to end a fire."""
    return f"{ANY_AGENT}:{name}:control"


def fire_key(schedule: int, generation: int, nominal: int, target: str = "") -> str:
    """Return the key of a fire, at most 64 bytes: the unique key of its jobs."""
    key = f"cron:{schedule}:{generation}:{nominal}"
    if not target:
        return key
    full = f"{key}:{target}"
    if len(full.encode()) <= _LONGEST_KEY:
        return full
    return f"{key}:#{hashlib.sha256(target.encode()).hexdigest()[:_DIGITS]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """
    One fire, as whoever runs it gets it. Moments are seconds since 1970, durations seconds.

    Attributes:
        entry: Name of the entry.
        key: See `fire_key`; the same for each attempt.
        nominal: The moment it stands for, whenever it runs.
        previous: The moment before, so that the fire knows its range; 0 where there is none.
        target: The agent's name, or a shard such as ``1/3``; empty where any worker does.
        attempt: From 1 on.
        shard: Which of how many, counted from 1; None without shards.
        payload: The entry's payload.
        command: For agents: what to run, or else ``app``, the name of a registered callable.
        user, directory, environment, mailto: As the entry has them.
        run_timeout: After which its processes are ended; 0 for never.

    """

    entry: str
    key: str
    nominal: int
    previous: int = 0
    target: str = ""
    attempt: int = 1
    shard: tuple[int, int] | None = None
    payload: bytes = b""
    command: str = ""
    app: str = ""
    user: str = ""
    directory: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    mailto: str = ""
    run_timeout: float = 0.0

    def to_bytes(self) -> bytes:
        """Return it as a workload."""
        found: dict[str, Any] = {
            "entry": self.entry,
            "key": self.key,
            "nominal": text_of(self.nominal),
            "previous": text_of(self.previous) if self.previous else None,
            "target": self.target,
            "attempt": self.attempt,
            "payload": _written_payload(self.payload),
        }
        if self.shard is not None:
            found["shard"] = list(self.shard)
        if self.environment:
            found["environment"] = dict(self.environment)
        for name in ("command", "app", "user", "directory", "mailto", "run_timeout"):
            if value := getattr(self, name):
                found[name] = value
        return json.dumps(found).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    How a fire ended, in its own words.

    Attributes:
        kind: ``done``, ``failed``, ``retry`` or ``next_run``.
        at: With ``retry``, when; with ``next_run``, when the entry fires next.
        reason: Why, for people.
        output: What it returned, or wrote to its standard output.
        errors: What it wrote to its standard error.
        status: Exit status of a command, minus the signal that ended it; None for anything else.
        started, ended: When it ran, by the clock of the machine it ran on.
        attempt: Which attempt ended so; 0 where it does not say.
        repeated: Whether it ran before, and this job only asked what had become of it.
        timed_out: Whether it was ended because it ran for too long.

    """

    kind: str = DONE
    at: int = 0
    reason: str = ""
    output: str = ""
    errors: str = ""
    status: int | None = None
    started: float = 0.0
    ended: float = 0.0
    attempt: int = 0
    repeated: bool = False
    timed_out: bool = False

    def to_object(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        found: dict[str, Any] = {"geartrain": self.kind}
        if self.at:
            found["at"] = text_of(self.at)
        if self.status is not None:
            found["status"] = self.status
        for name in ("reason", "output", "errors", "started", "ended", "attempt", *_FLAGS):
            if value := getattr(self, name):
                found[name] = value
        return found

    def to_bytes(self) -> bytes:
        """Return it as a job's result."""
        return json.dumps(self.to_object()).encode()


def envelope_for(entry: Entry, fire: Fire) -> Envelope:
    """Return what the job of a fire carries, for the attempt that its row counts."""
    shard = None
    if entry.target.startswith("shards:"):
        index, _, total = fire.target.partition("/")
        shard = int(index), int(total)
    return Envelope(
        entry=entry.name,
        key=fire_key(fire.schedule, fire.generation, fire.nominal, fire.target),
        nominal=fire.nominal,
        previous=fire.previous,
        target=fire.target,
        attempt=max(1, fire.attempt),
        shard=shard,
        payload=entry.payload,
        command=entry.command,
        app=entry.function if for_agents(entry) else "",
        user=entry.user,
        directory=entry.directory,
        environment=entry.environment,
        mailto=entry.mailto,
        run_timeout=entry.run_timeout,
    )


def read_envelope(workload: bytes) -> Envelope:
    """
    Read a workload.

    Raises:
        UsageError: It is no envelope; the message says what is wrong with it.

    """
    found = _object(workload, "the workload is no envelope")
    shard = found.get("shard")
    return Envelope(
        entry=_text(found, "entry", needed=True),
        key=_text(found, "key", needed=True),
        nominal=moment_of(found, "nominal"),
        previous=moment_of(found, "previous") if found.get("previous") is not None else 0,
        target=_text(found, "target"),
        attempt=_count(found, "attempt"),
        shard=None if shard is None else _shard(shard),
        payload=_payload(found.get("payload", "")),
        command=_text(found, "command"),
        app=_text(found, "app"),
        user=_text(found, "user"),
        directory=_text(found, "directory"),
        environment=_environment(found.get("environment", {})),
        mailto=_text(found, "mailto"),
        run_timeout=_seconds(found, "run_timeout"),
    )


def read_answer(result: bytes) -> Answer | None:
    """
    Read a job's result; None where it is anything but an answer, which is its good right.

    Raises:
        UsageError: It means to be an answer, and something is wrong with it.

    """
    if not result.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(result)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "geartrain" not in found:
        return None
    return answer_of(found)


def answer_of(found: Mapping[str, Any]) -> Answer:
    """Return the answer that a JSON object holds; raises UsageError."""
    kind = found.get("geartrain")
    if kind not in ANSWERS:
        raise UsageError(f"geartrain is {kind!r} in the answer; it is one of {', '.join(ANSWERS)}")
    status = found.get("status")
    if status is not None and not _is_whole(status):
        raise UsageError(f"status is {status!r}; give a whole number")
    return Answer(
        kind=kind,
        at=moment_of(found, "at") if kind in (RETRY, NEXT_RUN) else 0,
        reason=_text(found, "reason"),
        output=_text(found, "output"),
        errors=_text(found, "errors"),
        status=status,
        started=_seconds(found, "started"),
        ended=_seconds(found, "ended"),
        attempt=_count(found, "attempt", least=0),
        repeated=found.get("repeated") is True,
        timed_out=found.get("timed_out") is True,
    )


def text_of(moment: float) -> str:
    """Return a moment as RFC 3339 text."""
    return written(datetime.fromtimestamp(int(moment), UTC))


def moment_of(found: Mapping[str, Any], name: str) -> int:
    """Return a moment of a JSON object, given as RFC 3339 text; raises UsageError."""
    value = found.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}; give an instant, such as '2026-02-01T00:00:00Z'")
    try:
        moment = round(read_instant(value).timestamp())
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    if not 0 < moment <= _LAST_MOMENT:
        raise UsageError(f"{name} is {value!r}; give an instant later than 1970")
    return moment


def _object(data: bytes, complaint: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{complaint}: it is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f"{complaint}: it is JSON, but no object")
    return found


def _text(found: Mapping[str, Any], name: str, needed: bool = False) -> str:
    value = found.get(name, "")
    if not isinstance(value, str) or (needed and not value):
        raise UsageError(f"{name} is {value!r}; give a text")
    if "\0" in value:
        raise UsageError(f"{name} holds a NUL character; leave it out")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(found: Mapping[str, Any], name: str, least: int = 1) -> int:
    value = found.get(name, least)
    if not _is_whole(value) or not least <= value < 2**31:
        raise UsageError(f"{name} is {value!r}; give a whole number from {least} up")
    return int(value)


def _seconds(found: Mapping[str, Any], name: str) -> float:
    value = found.get(name, 0.0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise UsageError(f"{name} is {value!r}; give seconds, from 0 up")
    return float(value)


def _shard(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)):
        index, total = value
        if 1 <= index <= total:
            return index, total
    raise UsageError(f"shard is {value!r}; give its number, from 1 up, and how many there are")


def _environment(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise UsageError("environment takes an object of texts, such as {'LANG': 'C'}")
    for name, text in value.items():
        if not name or "=" in name or "\0" in name or "\0" in text:
            raise UsageError(f"environment: {name!r} can't be the name or value of a variable")
    return tuple(value.items())


def _written_payload(payload: bytes) -> str | dict[str, str]:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}


def _payload(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"payload is not base64: {error}") from None
    raise UsageError("payload takes a text, or an object such as {'base64': 'AAE='}")
