"""
The books of many submissions under way at once: which are answered, which may follow.

Pure: it is told what was sent, looks at the records, and says when to go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from geartrain.client.job import JobRecord
from geartrain.client.reports import JobHandle
from geartrain.client.submission import Submission
from geartrain.errors import GeartrainError, JobTimeout, PartlySubmitted, UsageError


class Batch:
    """
    Submissions of one ``submit_many``.

    Args:
        max_in_flight: Most submissions that wait for their answer at a time.

    Attributes:
        chunk: How many submissions to send at a time.
        failed: Whether one was not accepted.
        results: What became of those answered, in order.

    """

    def __init__(self, max_in_flight: int) -> None:
        if max_in_flight < 1:
            raise UsageError("max_in_flight is to be 1 or more")
        self.max_in_flight = max_in_flight
        # By halves: while one half is on its way the other is made.
        self.chunk = (max_in_flight + 1) // 2
        self.failed = False
        self.results: list[JobRecord | JobHandle | GeartrainError] = []
        self.open: deque[JobRecord] = deque()

    def expect(self, records: Sequence[JobRecord]) -> None:
        """Take note of submissions that were sent, in order."""
        self.open.extend(records)

    def has_room(self) -> bool:
        """Return whether another chunk may follow."""
        self.take_answers()
        return len(self.open) + self.chunk <= self.max_in_flight

    def is_complete(self) -> bool:
        """Return whether everything sent has been answered."""
        self.take_answers()
        return not self.open

    def take_answers(self) -> None:
        """Move what has been answered to the results, in order."""
        while self.open and self.open[0].answered():
            record = self.open.popleft()
            error = record.failure()
            if error is not None and not record.accepted:
                self.failed = True
                self.results.append(error)
            else:
                self.results.append(record.ticket() if record.background else record)

    def give_up(self, seconds: float) -> list[JobRecord]:
        """Take note that the time is over; return the submissions without an answer."""
        self.take_answers()
        late = list(self.open)
        self.open.clear()
        self.failed = True
        self.results += [JobTimeout(b"", seconds) for _ in late]
        return late

    def outcome(self) -> list[JobRecord | JobHandle | GeartrainError]:
        """Return the results, or raise `PartlySubmitted` where one is an error."""
        if self.failed:
            raise PartlySubmitted(list(self.results))
        return self.results


def as_submission(item: Any, options: Mapping[str, Any]) -> Submission:
    """
    Return one item of ``submit_many`` as a submission.

    Args:
        item: A `Submission`, or a function and a workload, or these and a unique key.
        options: What holds for all pairs.

    Raises:
        UsageError: It is none of these.

    """
    if isinstance(item, tuple):
        if len(item) == 2:
            return Submission(item[0], item[1], **options)
        if len(item) == 3:
            return Submission(item[0], item[1], unique=item[2], **options)
    if not isinstance(item, Submission):
        raise UsageError(
            f"{item!r} is neither a Submission nor (function, workload) nor "
            "(function, workload, unique)"
        )
    if options:
        raise UsageError(
            f"{', '.join(options)} can't be said of Submission objects again; "
            "say it when making them"
        )
    return item


__all__ = ["Batch", "as_submission"]
