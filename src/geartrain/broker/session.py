"""
A connection as the broker sees it.
"""

from __future__ import annotations

from collections import deque

from geartrain.broker.commands import GRAB_ALL, GRAB_ATTEMPT
from geartrain.broker.effects import SessionEffect
from geartrain.broker.function import Function
from geartrain.broker.job import Job


class Ability:
    """
    A function that a worker announced.

    Attributes:
        function: The function's books.
        timeout: Seconds a job of it may take this worker, 0 for any time.
        turn: Place among the worker's abilities: the least is served first.

    """

    __slots__ = ("function", "timeout", "turn")

    def __init__(self, function: Function, timeout: float, turn: int) -> None:
        self.function = function
        self.timeout = timeout
        self.turn = turn


class Session:
    """
    One connection: client, worker, administrator, or all of these.

    Attributes:
        number: The server's number of the connection.
        client_id: What SET_CLIENT_ID said, or empty.

    """

    __slots__ = (
        "abilities",
        "asleep",
        "attempts",
        "client_id",
        "excepted",
        "exceptions",
        "first_turn",
        "held",
        "last_turn",
        "listening",
        "local",
        "number",
        "order",
        "running",
        "unlisted",
        "wake_number",
        "woken_for",
    )

    def __init__(self, number: int, exceptions: bool) -> None:
        self.number = number
        self.client_id = b""
        self.exceptions = exceptions
        # Another server: what it asks for is answered from here alone.
        self.local = False
        # Whether it wants to hear which attempt a job is.
        self.attempts = False
        # Abilities by function name, and in the order in which they are served.
        self.abilities: dict[bytes, Ability] = {}
        self.order: list[Ability] = []
        self.first_turn = 0
        self.last_turn = 0
        # Jobs this session works on, and jobs whose results it waits for.
        self.running: dict[bytes, Job] = {}
        self.listening: dict[bytes, Job] = {}
        self.asleep = False
        # The function it was woken for, until it answers; and how often it was woken.
        self.woken_for: Function | None = None
        self.wake_number = 0
        # Functions whose ``sleepers`` do not name this session; a dict, to strike one of thousands.
        self.unlisted: dict[Function, bool] = {}
        # Handles of jobs that ended by WORK_EXCEPTION; many workers send WORK_FAIL after it.
        self.excepted: dict[bytes, bool] = {}
        # What has to wait until the store has answered an earlier submission.
        self.held: deque[SessionEffect] | None = None

    def form_of(self, form: int) -> int:
        """Return the form in which it hears of a job that it grabbed in ``form``."""
        return GRAB_ATTEMPT if self.attempts and form == GRAB_ALL else form

    def serve_first(self, function: Function, timeout: float) -> Ability:
        """Enter a new ability, before all others."""
        self.first_turn -= 1
        ability = Ability(function, timeout, self.first_turn)
        self.abilities[function.name] = ability
        self.order.insert(0, ability)
        return ability

    def serve_last(self, ability: Ability) -> None:
        """Move an ability behind all others."""
        if self.order[-1] is not ability:
            del self.order[self.place(ability)]
            self.order.append(ability)
            self.last_turn += 1
            ability.turn = self.last_turn

    def forget_ability(self, ability: Ability) -> None:
        """Strike an ability out."""
        del self.abilities[ability.function.name]
        del self.order[self.place(ability)]

    def place(self, ability: Ability) -> int:
        """Return where an ability is in ``order``, which is sorted by turn."""
        first, end = 0, len(self.order)
        while first < end:
            middle = (first + end) // 2
            if self.order[middle].turn < ability.turn:
                first = middle + 1
            else:
                end = middle
        return first
