"""
The SQL a mapper sends, as text in its driver's own style of parameters.

``compiling`` makes these texts from the tables; this file needs no SQLAlchemy.
"""

from __future__ import annotations

__all__ = ["Statements"]


class Statements:
    """
    One database's texts.

    A statement for many rows is kept in parts, because a driver runs one
    statement of 500 rows several times faster than 500 statements of one.

    Attributes:
        add: Start of the statement that adds jobs, up to ``VALUES``.
        add_row: The parameters of one job, in brackets, in the order of ``COLUMNS``.
        add_end: Its end, which leaves a job alone that is there already.
        forget: Start of the statement that removes jobs, up to the opening bracket.
        mark: The parameter of one number; the statement ends with a bracket.
        keep_attempts: Sets epoch and attempts (parameters in this order) of a number (the third).
        forget_refused: Removes the job with a number and a handle.
        handle: Reads the handle of a number.
        replay: Reads all jobs, in the order of their numbers.
        highest: Reads the highest number below a limit.
        generation: Reads the generations that were started; one row.
        forget_generation: Removes that row.
        keep_generation: Writes it.
        create: Creates the tables of a new database, as the migrations would.

    """

    def __init__(
        self,
        *,
        add: str,
        add_row: str,
        add_end: str,
        forget: str,
        mark: str,
        keep_attempts: str,
        forget_refused: str,
        handle: str,
        replay: str,
        highest: str,
        generation: str,
        forget_generation: str,
        keep_generation: str,
        create: tuple[str, ...],
    ) -> None:
        self.add = add
        self.add_row = add_row
        self.add_end = add_end
        self.forget = forget
        self.mark = mark
        self.keep_attempts = keep_attempts
        self.forget_refused = forget_refused
        self.handle = handle
        self.replay = replay
        self.highest = highest
        self.generation = generation
        self.forget_generation = forget_generation
        self.keep_generation = keep_generation
        self.create = create
