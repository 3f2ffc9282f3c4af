"""
What every store of schedules has to keep to. One suite checks each rule on each engine.

A store maps rows and decides nothing: what becomes of a due entry is decided by a function it is
given, which is pure and quick, inside the transaction that found it due. Methods block, and may be
called from several threads. Each raises StoreUnavailable while the database can't be reached; the
next call tries again by itself. Times are the database's clock, whatever the machine thinks.

Two connections are used where two URLs are given: what is claimed, leased or written goes to the
writer, listings go to the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from geartrain.store.schedule_rows import (
    Agent,
    Alert,
    Audit,
    Fire,
    Instance,
    Message,
    Owner,
    Plan,
    Schedule,
)

__all__ = ["Merger", "Planner", "ScheduleStore", "Speaker"]

# Decides about one due entry: the entry, the time, its fires that have not ended (and those that
# agents have run by themselves, of moments that are due), the agents alive.
Planner = Callable[[Schedule, float, Sequence[Fire], Sequence[Agent]], Plan]
# Puts what is known of a condition (None: nothing) and an event together; None: nothing to write.
Merger = Callable[[Alert | None, Alert], Alert | None]
# Makes messages of alerts that are due at a time.
Speaker = Callable[[Sequence[Alert], float], tuple[Sequence[Alert], Sequence[Message]]]


class ScheduleStore(Protocol):
    """Keeps entries, their fires, and who is at work on them."""

    @property
    def name(self) -> str:
        """The database's URL, without a password."""
        ...

    def open(self) -> None:
        """Connect; create or migrate the tables where needed."""
        ...

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        ...

    def now(self) -> float:
        """Return the database's time, in seconds since 1970."""
        ...

    # Instances of the scheduler.

    def join(self, name: str, host: str, lease: float, tzdata: str) -> Owner:
        """
        Start a lease of a new epoch under a name; whoever held it is fenced from now on.

        Fires that the name's earlier epochs own are free again.
        """
        ...

    def renew(self, me: Owner, lease: float, skew: float) -> bool:
        """Make the lease last for so many seconds from now; False when it is not ours any more."""
        ...

    def leave(self, me: Owner) -> None:
        """End the lease; what it owned is free at once."""
        ...

    def instances(self) -> Sequence[Instance]:
        """Return the instances whose lease has not ended for long, by name."""
        ...

    # Entries.

    def revision(self) -> int:
        """Return a number that rises with every change of an entry by a person; it is polled."""
        ...

    def add(self, schedule: Schedule, who: str) -> Schedule:
        """
        Store a new entry and return it with its id; an audit line goes with it.

        Raises EntryRefused when there is one of this name.
        """
        ...

    def add_all(self, added: Sequence[Schedule], who: str) -> Sequence[Schedule]:
        """Store new entries, all of them or none; see ``add``."""
        ...

    def replace(self, schedule: Schedule, who: str) -> Schedule:
        """
        Write an entry that was read before, whole, and return it with its new revision.

        Raises EntryRefused when it is gone, or its revision is not ``schedule.revision`` any more.
        A claim that came between (next_fire, last_nominal, since, runs, failures) is not undone:
        these are written only if ``schedule.generation`` is larger than what is stored.
        """
        ...

    def alter(
        self,
        added: Sequence[Schedule],
        replaced: Sequence[Schedule],
        removed: Sequence[str],
        who: str,
    ) -> None:
        """
        Add entries, replace others and remove those of some names, all in one transaction.

        Raises EntryRefused, which names the entry, where ``add`` or ``replace`` would; then nothing
        has changed.
        """
        ...

    def remove(self, name: str, who: str) -> bool:
        """
        Forget an entry, and what fires about it.

        Its fires stay in history, those not submitted become ``cancelled``.
        """
        ...

    def schedule(self, name: str) -> Schedule | None:
        """Return the entry of a name, from the writer."""
        ...

    def schedules(
        self, after: str = "", limit: int = 1_000, *, kind: str = "", ids: Sequence[int] = ()
    ) -> Sequence[Schedule]:
        """
        Return entries in the order of names, those of larger names than ``after``.

        Only those of a kind, or of some ids, where these are given; of ids from the writer.
        """
        ...

    # Claiming.

    def claim(self, me: Owner, limit: int, plan: Planner) -> Sequence[Fire]:
        """
        Deal with entries that are due, in ONE transaction, and return the new pending fires.

        Those enabled, not paused, with ``0 < next_fire <= now``, earliest first, at most ``limit``,
        skipping what another instance has locked. A ``paused_until`` that has passed ends the
        pause; ``plan`` still sees it, and it is taken away with what it answers. For each, ``plan``
        is asked; its fires are inserted, owned by ``me`` where they are pending and due, its
        entry's new values written. Only what ``me`` owns is returned. A fire whose key is there
        already is neither changed nor returned. Nothing is written when ``me`` is fenced: LeaseLost
        is raised.
        """
        ...

    def next_fire(self) -> int:
        """
        Return when the next entry is due, 0 if none ever is.

        That is the earliest ``next_fire`` of what may fire, or the end of a pause before it.
        """
        ...

    def take(self, me: Owner, limit: int) -> Sequence[Fire]:
        """
        Own fires that are due and that nobody alive owns, and return them.

        Pending ones whose ``due`` has come, and submitted or running ones whose owner's lease has
        ended: somebody has to find out what became of these.
        """
        ...

    def owned(self, me: Owner) -> Sequence[Fire]:
        """Return the fires that ``me`` owns and that have not ended."""
        ...

    def insert(self, fires: Sequence[Fire], who: str, *, again: bool = False) -> Sequence[Fire]:
        """
        Insert fires that a person or an agent asked for; return those that are new.

        With ``again`` one whose key is there already and that has ended begins anew: it is written
        as it was given, under its old id, with no owner and not followed, and counts as new. What
        an agent says that it has run is counted in the entry's ``failures``, as ``mark`` does.
        """
        ...

    def mark(
        self, me: Owner, fires: Sequence[Fire], alerts: Sequence[Alert], merge: Merger
    ) -> Sequence[int]:
        """
        Write what became of fires, and what there is to say of it.

        That is one transaction, or several of hundreds of fires, of which the last has the alerts.

        Only rows that ``me`` owns and that are in no final state change; their ids are returned.
        A row that is ``pending`` again with a later ``due`` has no owner from then on. A final
        state is counted in the entry's ``failures``. Alerts are merged as ``report`` does.
        Raises LeaseLost when ``me`` is fenced.
        """
        ...

    def unfollowed(self, limit: int) -> Sequence[Fire]:
        """Return fires that have ended and whose consequences were not drawn, oldest end first."""
        ...

    def waiting(self, limit: int) -> Sequence[Fire]:
        """
        Return fires in state ``waiting`` that wait for nothing any more, oldest first.

        These are those of entries of which nothing is pending, submitted or running.
        """
        ...

    def follow(
        self,
        me: Owner,
        ended: Sequence[Fire],
        inserts: Sequence[Fire],
        changes: Sequence[Fire],
        limits: Mapping[int, int] | None = None,
    ) -> None:
        """
        Draw the consequences of fires that have ended, in one transaction.

        ``inserts`` are fires that depended on them (left alone where their key is there already),
        ``changes`` are waiting ones that may go now. ``ended`` are ``followed`` from then on.
        ``limits`` says of entries how often they may run: moments that were inserted to run are
        counted in their ``runs``, and whoever has come to the limit is disabled.
        Raises LeaseLost when ``me`` is fenced.
        """
        ...

    def fire(self, identity: int) -> Fire | None:
        """Return one fire, from the writer."""
        ...

    def fires(
        self,
        *,
        schedule: int = 0,
        states: Sequence[str] = (),
        since: int = 0,
        until: int = 0,
        before: int = 0,
        limit: int = 100,
    ) -> Sequence[Fire]:
        """
        Return fires, newest id first; those of smaller ids than ``before``.

        ``since`` and ``until`` bound the nominal moment, both included; 0 leaves a bound out.
        """
        ...

    def at_nominal(self, schedules: Sequence[int], nominal: int) -> Sequence[Fire]:
        """Return the fires of some entries at one nominal moment, of any generation and target."""
        ...

    def open_fires(self, schedules: Sequence[int]) -> Mapping[int, Sequence[Fire]]:
        """Return what has not ended of each of these entries."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how many fires there are in each state that is not final, by state."""
        ...

    def tallies(self, since: float) -> Mapping[str, int]:
        """Return how many moments the fires made since a time stand for, by state; reads all."""
        ...

    def backlog(self) -> tuple[int, float]:
        """Return how many entries are due, and since when the first of them is; 0 for never."""
        ...

    def trim(self, schedule: int, keep: int, before: float) -> int:
        """Forget ended fires beyond the newest ``keep`` or ended before a time; return how many."""
        ...

    # Agents.

    def greet(self, agent: Agent, lease: float) -> None:
        """Note that an agent is alive for so many seconds from now."""
        ...

    def agents(self, alive: bool = True) -> Sequence[Agent]:
        """Return agents, by name."""
        ...

    # Alerts.

    def report(self, alerts: Sequence[Alert], merge: Merger) -> None:
        """Merge events into what is known, by (rule, subject), in one transaction."""
        ...

    def alerts(self, firing: bool = False) -> Sequence[Alert]:
        """Return what is known, newest event first; only what fires now if asked."""
        ...

    def say(self, me: Owner, limit: int, speaker: Speaker) -> int:
        """
        Make the messages of alerts that are due (``0 < due <= now``), in one transaction.

        ``speaker`` is given them, skipping what another instance has locked, and the time; it
        returns them as they are from then on, and the messages, which are inserted. Returns how
        many messages that were. Raises LeaseLost when ``me`` is fenced.
        """
        ...

    def take_messages(self, me: Owner, limit: int) -> Sequence[Message]:
        """Own messages that are due, not sent, and owned by nobody alive; return them."""
        ...

    def sent(self, me: Owner, messages: Sequence[Message]) -> None:
        """Write what became of messages that ``me`` owns, and own them no more."""
        ...

    def messages(self, before: int = 0, limit: int = 100) -> Sequence[Message]:
        """Return messages, newest first."""
        ...

    def trim_messages(self, before: float) -> int:
        """Forget messages sent or given up before a time; return how many."""
        ...

    # The book of changes.

    def audit(self, before: int = 0, limit: int = 100) -> Sequence[Audit]:
        """Return lines of the book, newest first."""
        ...
