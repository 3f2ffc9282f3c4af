"""
What an agent ran: a file that outlives it, so that no fire runs twice on its machine.

A fire is written down before it begins. One that is found begun and not ended when the agent
starts was cut off by a crash: nobody knows how far it came, and that is what is said of it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from geartrain.errors import StoreDamaged, StoreUnavailable
from geartrain.schedule.envelope import DONE, FAILED, NEXT_RUN, Answer, answer_of
from geartrain.schedule.greeting import Report

__all__ = ["INTERRUPTED", "Journal"]

INTERRUPTED: Final = "the agent was ended while it ran; nobody knows how far it came"

_FILE: Final = "journal.db"
# Seconds between two looks for what may be forgotten.
_TRIM_EVERY: Final = 3_600.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS fires (
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    entry TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '',
    -- What is to be reported of a fire that the agent ran by itself, as JSON; empty for others.
    fire TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fires_to_report ON fires (started) WHERE fire != '';
CREATE INDEX IF NOT EXISTS fires_ended ON fires (ended);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Journal:
    """
    The journal of one agent. Threads may share it.

    Args:
        directory: Where it is kept.
        keep_for: For how many seconds an ended fire is remembered.

    Raises:
        StoreUnavailable: The file can't be opened.
        StoreDamaged: It can't be read.

    """

    def __init__(self, directory: Path, keep_for: float, readonly: bool = False) -> None:
        self.path = directory / _FILE
        self.keep_for = keep_for
        self.trimmed = 0.0
        self.lock = threading.Lock()
        try:
            if readonly:
                uri = f"{self.path.absolute().as_uri()}?mode=ro"
                self.connection = sqlite3.connect(uri, uri=True)
            else:
                self.connection = sqlite3.connect(
                    self.path, isolation_level=None, check_same_thread=False
                )
                self._prepare()
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from None

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        # A fire that was begun has to be there after a power cut as well.
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    # Fires.

    def interrupt(self) -> int:
        """Note of what was begun and not ended that it was cut off; return how many there were."""
        answer = Answer(kind=FAILED, reason=INTERRUPTED)
        with self.lock:
            rows = self._run("SELECT key, attempt, started FROM fires WHERE ended = 0")
            for key, attempt, started in rows:
                told = replace(answer, started=started, ended=time.time(), attempt=attempt)
                self._end(key, attempt, told)
        return len(rows)

    def begin(self, key: str, attempt: int, entry: str, report: Report | None = None) -> None:
        """Write down that a fire begins, on disk."""
        fire = "" if report is None else json.dumps(report.to_object())
        with self.lock:
            self._trim()
            self._run(
                "INSERT INTO fires (key, attempt, entry, started, fire) VALUES (?, ?, ?, ?, ?)",
                key,
                attempt,
                entry,
                time.time(),
                fire,
            )

    def end(self, key: str, attempt: int, answer: Answer, is_last: bool = True) -> None:
        """Write down how it ended; only the last of its attempts is reported."""
        with self.lock:
            self._end(key, attempt, answer, is_last)

    def answer_of(self, key: str, attempt: int) -> Answer | None:
        """Return how a fire ended that ran before: this attempt, or any that was done."""
        with self.lock:
            rows = self._run(
                "SELECT attempt, answer FROM fires WHERE key = ? AND ended > 0 ORDER BY attempt",
                key,
            )
        for number, text in rows:
            answer = answer_of(json.loads(text))
            if number == attempt or answer.kind in (DONE, NEXT_RUN):
                return replace(answer, repeated=True)
        return None

    def knows(self, key: str) -> bool:
        """Whether a fire has begun, whatever became of it."""
        with self.lock:
            return bool(self._run("SELECT 1 FROM fires WHERE key = ? LIMIT 1", key))

    def recent(self, limit: int) -> Sequence[tuple[str, str, int, float, float, str]]:
        """Return the newest fires: entry, key, attempt, when it began, when it ended, answer."""
        with self.lock:
            return self._run(
                "SELECT entry, key, attempt, started, ended, answer FROM fires "
                "ORDER BY started DESC LIMIT ?",
                limit,
            )

    # What is to be reported.

    def reports(self, limit: int) -> Sequence[Report]:
        """Return what has ended of fires that the agent ran by itself, oldest first."""
        with self.lock:
            rows = self._run(
                "SELECT fire, answer FROM fires WHERE fire != '' AND ended > 0 "
                "ORDER BY started LIMIT ?",
                limit,
            )
        return [_report(json.loads(fire), json.loads(answer)) for fire, answer in rows]

    def reported(self, keys: Sequence[str]) -> None:
        """Note that these need not be reported any more."""
        with self.lock:
            for key in keys:
                self._run("UPDATE fires SET fire = '' WHERE key = ? AND ended > 0", key)

    def unreported(self) -> int:
        """Return how many fires are still to be reported."""
        with self.lock:
            return int(self._run("SELECT count(*) FROM fires WHERE fire != ''")[0][0])

    # Facts.

    def fact(self, name: str) -> str:
        """Return what was noted under a name; empty for nothing."""
        with self.lock:
            rows = self._run("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def note(self, **facts: str) -> None:
        """Note facts for the next start, and for whoever asks how the agent is."""
        with self.lock:
            self._run("BEGIN IMMEDIATE")
            try:
                for name, value in facts.items():
                    self._run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)
            finally:
                self._run("COMMIT")

    def _end(self, key: str, attempt: int, answer: Answer, is_last: bool = True) -> None:
        self._run(
            "UPDATE fires SET ended = ?, answer = ?, fire = CASE WHEN ? THEN fire ELSE '' END "
            "WHERE key = ? AND attempt = ?",
            answer.ended or time.time(),
            json.dumps(answer.to_object()),
            is_last,
            key,
            attempt,
        )

    def _trim(self) -> None:
        """Forget what ended long ago, unless it is still to be reported."""
        now = time.time()
        if now - self.trimmed < _TRIM_EVERY:
            return
        self.trimmed = now
        self._run(
            "DELETE FROM fires WHERE ended > 0 AND ended < ? AND fire = ''", now - self.keep_for
        )

    def _run(self, statement: str, *values: object) -> list[Any]:
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from None

    def _explained(self, error: sqlite3.DatabaseError) -> StoreUnavailable | StoreDamaged:
        if isinstance(error, sqlite3.OperationalError):
            return StoreUnavailable(f"the agent's journal {self.path} can't be used: {error}")
        return StoreDamaged(f"the agent's journal {self.path} can't be read: {error}")


def _report(fire: dict[str, Any], answer: dict[str, Any]) -> Report:
    return Report(**{**fire, "answer": answer_of(answer)})
