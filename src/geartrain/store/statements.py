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
        forget_run: Removes the jobs from one number to another.
        keep_attempts: Sets epoch and attempts (parameters in this order) of a number (the third).
        forget_refused: Removes the job with a number and a handle.
        handle: Reads the handle of a number.
        replay: Reads all jobs, in the order of their numbers.
        bury: Keeps a dead letter, in the order of ``LETTER_COLUMNS``; leaves one that is there.
        unbury: Removes the dead letter of a number.
        letter: Reads the dead letter of a handle.
        letters: Reads dead letters of numbers above a first, as many as a second parameter says.
        keep: Start of the statement that keeps results, up to ``VALUES``.
        keep_row: The parameters of one result, in the order of ``RESULT_COLUMNS``.
        keep_end: Its end, which replaces an earlier result of the same handle.
        result: Reads the result of a handle.
        results: Reads results of handles above a first, as many as a second parameter says.
        forget_results: Removes the results that expire at a time or before.
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
        forget_run: str,
        keep_attempts: str,
        forget_refused: str,
        handle: str,
        replay: str,
        bury: str,
        unbury: str,
        letter: str,
        letters: str,
        keep: str,
        keep_row: str,
        keep_end: str,
        result: str,
        results: str,
        forget_results: str,
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
        self.forget_run = forget_run
        self.keep_attempts = keep_attempts
        self.forget_refused = forget_refused
        self.handle = handle
        self.replay = replay
        self.bury = bury
        self.unbury = unbury
        self.letter = letter
        self.letters = letters
        self.keep = keep
        self.keep_row = keep_row
        self.keep_end = keep_end
        self.result = result
        self.results = results
        self.forget_results = forget_results
        self.highest = highest
        self.generation = generation
        self.forget_generation = forget_generation
        self.keep_generation = keep_generation
        self.create = create
