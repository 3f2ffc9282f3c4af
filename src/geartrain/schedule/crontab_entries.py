"""
From lines of a crontab to entries: who runs them, where, in which zone, and what they are called.

An entry that comes from a crontab does what cron did: it is started again while it still runs, and
what fell into a time when nothing was there to run it is not made up for. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from geartrain.schedule.crontab import Line
from geartrain.schedule.entry import Entry

__all__ = ["Placing", "entries_of", "entry_of", "slug_of", "with_names"]

# What is kept of a command in a name; what is longer is cut, and told apart by a hash.
_LONGEST_SLUG: Final = 32
_LONGEST_NAME: Final = 100
_HASH: Final = 6
# What stands before the program that matters.
_CONDITIONS: Final = ("cd", "test", "[", "command", "if")
_BEFORE: Final = (
    *_CONDITIONS,
    "then",
    "{",
    "(",
    "exec",
    "nice",
    "ionice",
    "time",
    "nohup",
    "env",
    "sudo",
)
_SETTING: Final = re.compile(r"[A-Za-z_]\w*=|-")
_THEN: Final = ("&&", ";", "||")
_END: Final = re.compile(r"[|;&<>]|[0-9]>")
_REST: Final = re.compile(r"[^A-Za-z0-9_.:@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """
    What a crontab itself does not say.

    Attributes:
        source: Where it comes from: what is imported again under it takes the place of what was.
        prefix: The start of each entry's name.
        target: Where its entries run; see ``Entry``.
        tags: What agents must have.
        user: Whose crontab it is, where lines name no user.
        timezone: Zone of lines without CRON_TZ.
        overlap, catch_up: See ``Entry``; as cron does by default.

    """

    source: str
    prefix: str
    target: str = "one"
    tags: tuple[str, ...] = ()
    user: str = ""
    timezone: str = "UTC"
    overlap: str = "allow"
    catch_up: str = "none"


def entries_of(lines: Iterable[Line], placing: Placing, known: Iterable[Entry] = ()) -> list[Entry]:
    """
    Return an entry for each line, in their order.

    Args:
        lines: What ``read_crontab`` has found.
        placing: What they do not say themselves.
        known: Entries of the same source that exist; what is still there keeps its name.

    """
    entries = [entry_of(line, placing) for line in lines]
    return with_names(entries, placing.prefix, known)


def entry_of(line: Line, placing: Placing) -> Entry:
    """Return the entry of a line, whose name is its command's only."""
    user = line.user or placing.user
    return Entry(
        name=slug_of(line.command),
        when=line.when,
        timezone=line.timezone or placing.timezone,
        command=line.command,
        payload=line.stdin,
        target=placing.target,
        tags=placing.tags,
        user=user,
        # Cron starts a command in HOME, whatever that was set to.
        directory=dict(line.environment).get("HOME", ""),
        environment=line.environment,
        # Cron sends to the user unless it is told otherwise, and an empty MAILTO is nobody.
        mailto=user if line.mailto is None else line.mailto,
        jitter=60.0 * line.delay,
        overlap=placing.overlap,
        catch_up=placing.catch_up,
        description=line.comment,
        source=placing.source,
    )


def with_names(entries: Sequence[Entry], prefix: str, known: Iterable[Entry] = ()) -> list[Entry]:
    """
    Return entries with names of their own: prefix, command, and a number where a command repeats.

    A name depends on no line's place. An entry that is known, word for word, keeps its name; so
    does one whose command is, as long as only the rest has changed.
    """
    free = {one.name: one for one in known}
    names: dict[int, str] = {}
    order = sorted(range(len(entries)), key=lambda number: _content(entries[number]))
    for same in (_content, _command):
        by_content: dict[object, list[str]] = defaultdict(list)
        for one in sorted(free.values(), key=_numbered):
            by_content[same(one)].append(one.name)
        for number in order:
            found = by_content[same(entries[number])]
            if number not in names and found:
                names[number] = found.pop(0)
                del free[names[number]]
    taken = set(names.values())
    for number in order:
        if number not in names:
            names[number] = _new_name(prefix, entries[number].name, taken)
            taken.add(names[number])
    return [replace(one, name=names[number]) for number, one in enumerate(entries)]


def slug_of(command: str) -> str:
    """
    Return a command as a part of a name.

    It is the first program that does the work, with its arguments and without directories:
    ``cd /srv && /usr/bin/php artisan queue:work >> log`` is ``php-artisan-queue:work``.
    """
    words = _work(command.replace(";", " ; ").split())
    words = [word.rstrip("/").rpartition("/")[2] or word for word in words]
    slug = _REST.sub("-", "-".join(words))
    slug = re.sub(r"-[-.:@_]*-", "-", slug).strip("-.:@_")
    if slug and len(slug) <= _LONGEST_SLUG:
        return slug
    digest = hashlib.blake2b(command.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{slug[: _LONGEST_SLUG - _HASH - 1].rstrip('-.:@_')}-{digest[:_HASH]}".lstrip("-")


def _work(words: list[str]) -> list[str]:
    """Return the words of a command that say what it does; all of them where none do."""
    rest = list(words)
    while rest and (rest[0] in _BEFORE or _SETTING.match(rest[0])):
        if rest[0] in _CONDITIONS:
            if not any(word in _THEN for word in rest):
                break
            while rest.pop(0) not in _THEN:
                pass
        else:
            rest.pop(0)
    ends = [place for place, word in enumerate(rest) if _END.match(word) and place]
    return rest[: ends[0]] if ends else rest or list(words)


def _new_name(prefix: str, slug: str, taken: set[str]) -> str:
    room = _LONGEST_NAME - len(slug) - 5
    start = "/".join(_REST.sub("-", part).strip("-") for part in prefix.split("/"))[:room]
    name = f"{start}/{slug}" if start else slug
    number = 1
    while (found := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return found


def _content(entry: Entry) -> tuple[object, ...]:
    """Return all that two lines can differ in."""
    return (
        *_command(entry),
        entry.when,
        entry.timezone,
        entry.environment,
        entry.mailto,
        entry.jitter,
    )


def _command(entry: Entry) -> tuple[object, ...]:
    return (entry.command, entry.payload, entry.user)


def _numbered(entry: Entry) -> tuple[str, int]:
    """Return what puts ``backup-10`` behind ``backup-9``."""
    start, _, number = entry.name.rpartition("-")
    return (start, int(number)) if number.isdigit() else (entry.name, 1)
