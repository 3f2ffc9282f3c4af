"""
The store in memcached, which survives this server's restart and not memcached's own.

Each job is an item, and one more item, the head, names all jobs there are. A
commit writes its items first and then the head, which memcached exchanges only
if nobody else has meanwhile: this is the moment when all of it counts. What the
head does not name is not there, however late it arrives.

memcached drops items when its memory is full, unless it was told not to; that
a job is gone is at least noticed, since the head still names it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from time import monotonic
from typing import Final

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
)

from geartrain.broker.job import Job
from geartrain.errors import (
    JobsRefused,
    LeaseLost,
    StoreDamaged,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result
from geartrain.store.holder import describe, is_gone, new_holder
from geartrain.store.mapper import GENERATION_BITS, LEAP, MAX_GENERATION
from geartrain.store.memcached_head import Head
from geartrain.store.memcached_items import Items
from geartrain.store.memcached_results import Results
from geartrain.store.memcached_server import identity, statistics
from geartrain.store.memcached_url import Place
from geartrain.store.number_set import NumberSet
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import is_handle
from geartrain.store.sole_member import SoleMember
from geartrain.store.values import (
    handle_head,
    number_of,
    pack_job,
    pack_letter,
    unpack_job,
    unpack_letter,
)

__all__ = ["MemcachedStore"]

# What an administrator has to hear, however little is logged otherwise.
warnings = logging.getLogger("geartrain.warning")

# How long to wait for a connection, and then for an answer, in seconds: both together still
# refuse within a second.
CONNECT_PATIENCE: Final = 0.25
PATIENCE: Final = 0.5
# The same while everything is read at the start.
REPLAY_PATIENCE: Final = 10.0
# How long a lease lasts without being renewed, in seconds; it is renewed every third of it.
LEASE: Final = 3.0
# How often to exchange the head for another when somebody else has exchanged it meanwhile.
EXCHANGES: Final = 3
# A single value may take this part of memcached's memory, or it would drop its own beginning.
SHARE: Final = 8
# What a dead letter has beside its job, in bytes at most.
LETTER_ROOM: Final = 8192

PROMISE: Final = "jobs survive a restart of this server, and are lost when memcached ends"
EVICTING: Final = (
    "; it also drops them when its memory is full: start it with -M, which makes it refuse instead"
)

ERRORS: Final = (MemcacheError, OSError)


class MemcachedStore(SoleMember):
    """
    A queue store in one memcached.

    Its methods may be called from different threads, one at a time.

    Args:
        place: The server, and the prefix of the keys.
        server: What this server is called.
        address: Where it is reached.
        lease: For how many seconds it holds the store without being heard of, at least.

    Attributes:
        promise: What an acknowledged job survives, in words; known once it was opened.

    """

    def __init__(
        self, place: Place, server: str = "", address: str = "", lease: float = LEASE
    ) -> None:
        super().__init__(server, address, lease)
        # memcached counts whole seconds, the one that has begun as well.
        self._expiry = ceil(lease) + 1
        self.place = place
        self.promise = PROMISE
        self._client: Client | None = None
        self._head = Head(0, b"", NumberSet(), NumberSet())
        self._items = Items(0)
        self._results = Results("", self._items)
        # Bytes of a value at most.
        self._largest = 0
        # Which memcached this is: its process, and when that was started.
        self._server = (0, 0)
        # Whether the head may hold what was refused.
        self._uncertain = False
        self._renewal: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def durable(self) -> bool:
        """True: a commit outlives this process."""
        return True

    @property
    def name(self) -> str:
        """The store's URL."""
        return self.place.name

    def _key(self, kind: str, name: object = "") -> str:
        return f"{self.place.prefix}:{kind}:{name}" if name != "" else f"{self.place.prefix}:{kind}"

    # Opening.

    def open(self) -> int:
        """
        Take the lease, and start a generation.

        Raises:
            UsageError: Another server uses the store.
            StoreUnavailable: memcached can't be reached.
            StoreDamaged: What is under the prefix is not a queue of this version.

        """
        self.close()
        holder = new_holder()
        with self._translating(), self._replaying() as client:
            self._read_settings(client)
            self._take(client, holder)
            began = monotonic()
            self._start(client, holder)
        self._held_until = began + self._lease_lasts
        warnings.warning("%s: %s", self.name, self.promise)
        self._closed = threading.Event()
        self._renewal = threading.Thread(
            target=self._renew, args=(self._closed, holder), name="geartrain-lease", daemon=True
        )
        self._renewal.start()
        return self._head.generation

    def _read_settings(self, client: Client) -> None:
        settings = statistics(client, "settings")
        limit = int(settings.get(b"maxbytes", 0)) or 1 << 26
        self._items = Items(int(settings.get(b"item_size_max", 1 << 20)))
        self._results = Results(self._key("result") + ":", self._items)
        self._largest = limit // SHARE
        evicts = settings.get(b"evictions", b"on") in (b"on", "on")
        self.promise = PROMISE + (EVICTING if evicts else "")
        self._server = identity(client)

    def _take(self, client: Client, holder: bytes) -> None:
        """Take the lease; waits for one that nobody renews."""
        key = self._key("lease")
        end = monotonic() + 2 * self._expiry
        seen: bytes | None = None
        while not client.add(key, holder, expire=self._expiry):
            found, token = client.gets(key)
            if found is None:
                continue
            other = found.partition(b"|")[0]
            if is_gone(other):
                if client.cas(key, holder, token, expire=self._expiry):
                    return
            elif (seen is not None and found != seen) or monotonic() > end:
                raise UsageError(
                    f"{self.name} is in use by another server ({describe(other)}): "
                    "stop that one, or give this one another prefix"
                )
            seen = found
            self._closed.wait(0.2)

    def _start(self, client: Client, holder: bytes) -> None:
        """Start a generation."""
        value, token = client.gets(self._key("head"))
        if value is None:
            head = Head(1, holder, NumberSet(), NumberSet())
            stored = client.add(self._key("head"), head.packed())
        else:
            head = self._unpacked(value)
            head.generation = max(head.generation, self._highest(head)) + 1
            head.holder = holder
            if head.generation > MAX_GENERATION:
                raise StoreDamaged(f"{self.name} has used up its generations")
            stored = bool(client.cas(self._key("head"), head.packed(), token))
        if not stored:
            raise StoreUnavailable(f"{self.name} was written to by another server just now")
        self._head = head
        self._generation = head.generation

    def _highest(self, head: Head) -> int:
        """Return the highest generation of a job, of those that may be a server's."""
        limit = head.generation + LEAP
        generations = (number >> GENERATION_BITS for number in head.jobs)
        return max((one for one in generations if 0 < one <= limit), default=0)

    def _unpacked(self, value: bytes) -> Head:
        """Return the head of a value; raises StoreDamaged where it is none."""
        try:
            return Head.unpacked(value)
        except ValueError as error:
            raise StoreDamaged(
                f"{self.name} holds no queue that can be read ({error}): delete the item "
                f"{self._key('head')} to begin with an empty queue, or use another prefix"
            ) from error

    def _renew(self, closed: threading.Event, holder: bytes) -> None:
        """Renew the lease until the store is closed; the commits find out when it is lost."""
        client = self.place.client(CONNECT_PATIENCE, PATIENCE)
        count = 0
        while not closed.wait(self._lease_lasts / 3):
            count += 1
            value = b"%b|%d" % (holder, count)
            with suppress(*ERRORS):
                # Being asked for keeps the head from being the first to be dropped.
                client.get(self._key("head"))
                found, token = client.gets(self._key("lease"))
                if found is None:
                    client.add(self._key("lease"), value, expire=self._expiry)
                elif found.startswith(holder):
                    client.cas(self._key("lease"), value, token, expire=self._expiry)
        client.close()

    # Serving.

    def replay(self) -> Iterator[Job | Damaged]:
        """Yield every job added and not done in the order of numbers, and values that are none."""
        handles: set[bytes] = set()
        gone: list[int] = []
        with self._translating(), self._replaying() as client:
            value = client.get(self._key("head"))
            numbers = NumberSet() if value is None else self._unpacked(value).jobs
            keys = (self._key("job", number) for number in numbers)
            for key, value in self._items.read(client, keys):
                digits = key.rpartition(":")[2].encode()
                if value is None:
                    gone.append(number_of(digits) or 0)
                    continue
                job = unpack_job(digits, value)
                if isinstance(job, Job):
                    # A handle has to name one job; a copied value would share it.
                    if job.handle in handles:
                        job = Damaged(f"number {job.number}", f"handle {job.handle!r} is taken")
                    else:
                        handles.add(job.handle)
                yield job
        # Jobs that ended meanwhile are gone too, and rightly so.
        lost = [number for number in gone if number in self._head.jobs]
        if lost:
            yield Damaged(
                f"numbers {lost[0]} to {lost[-1]}", f"memcached has dropped {len(lost)} jobs"
            )

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Make all of it part of the head at once, or none of it; see ``QueueStore``."""
        if batch.is_empty():
            return ()
        with self._translating():
            client = self._connected()
            head = self._head
            adds = [job for job in batch.adds if job.number not in head.jobs]
            self._check_present(client, batch.adds)
            dead = [letter for letter in batch.dead if letter.job.number not in head.letters]
            values = {self._key("job", job.number): pack_job(job) for job in adds}
            self._refuse_large(adds, values)
            for letter in dead:
                values[self._key("letter", letter.job.number)] = pack_letter(letter)
                values[self._key("buried", letter.job.handle.decode())] = b"%d" % letter.job.number
            self._update(client, batch, values)
            self._write(client, values)
            self._results.keep(client, batch.results)
            sent = monotonic()
            self._extend(client)
            dones = [*batch.refused, *batch.dones]
            dones += [letter.job.number for letter in batch.dead]
            jobs = head.jobs.changed((job.number for job in adds), dones)
            letters = head.letters.changed((letter.job.number for letter in dead), ())
            self._exchange(client, jobs, letters)
            self._held_until = sent + self._lease_lasts
            # From here on they are not there any more; this only makes room.
            self._items.forget(client, (self._key("job", number) for number in dones))
        return ()

    def renew(self) -> None:
        """Make the lease last for its whole length from now; see ``SharedStore``."""
        sent = monotonic()
        with self._translating():
            client = self._connected()
            self._extend(client)
            value = client.get(self._key("head"))
            if value is not None and self._unpacked(value).holder != self._head.holder:
                raise self._taken_over()
        self._held_until = sent + self._lease_lasts

    def _extend(self, client: Client) -> None:
        """Make the lease last; the head says afterwards whether it was this server's."""
        if not client.touch(self._key("lease"), self._expiry, noreply=False):
            client.add(self._key("lease"), self._head.holder, expire=self._expiry)

    def _taken_over(self) -> LeaseLost:
        return LeaseLost(
            f"{self.name} was taken over by another server while this one was not heard of: "
            "stop one of them, or give them different prefixes"
        )

    def _check_present(self, client: Client, adds: Sequence[Job]) -> None:
        """Raise StoreDamaged where the number of a job is taken by another."""
        there = {self._key("job", job.number): job for job in adds if job.number in self._head.jobs}
        for key, value in self._items.read(client, there):
            job = there[key]
            if value is not None and not value.startswith(handle_head(job.handle)):
                raise StoreDamaged(
                    f"number {job.number} is taken in {self.name}: find out what else writes to it"
                )

    def _update(self, client: Client, batch: Batch, values: dict[str, bytes]) -> None:
        """Put attempts and epochs into the values of their jobs."""
        changes = {
            self._key("job", number): (number, attempts, epoch)
            for number, attempts, epoch in batch.updates
        }
        known = [
            key
            for key, (number, _, _) in changes.items()
            if key not in values and number in self._head.jobs
        ]
        found = {**dict(self._items.read(client, known)), **values}
        for key, (number, attempts, epoch) in changes.items():
            value = found.get(key)
            job = None if value is None else unpack_job(b"%d" % number, value)
            if isinstance(job, Job):
                job.attempts, job.epoch = attempts, epoch
                values[key] = pack_job(job)

    def _write(self, client: Client, values: dict[str, bytes]) -> None:
        """Write items, of which nobody knows yet; raises JobsRefused where there is no room."""
        try:
            self._items.write(client, values)
        except MemcacheServerError as error:
            self._items.forget(client, values)
            raise JobsRefused(f"{self.name} can't take jobs now: {error}") from error

    def _refuse_large(self, adds: Sequence[Job], values: dict[str, bytes]) -> None:
        """Raise JobsRefused for jobs that would take too much of memcached's memory."""
        most = self._largest - LETTER_ROOM
        large = [job.number for job in adds if len(values[self._key("job", job.number)]) > most]
        if large:
            raise JobsRefused(
                f"it is more than an eighth of memcached's memory ({self._largest} bytes): "
                "give it more memory with -m, or lower max_packet",
                large,
            )

    def _exchange(self, client: Client, jobs: NumberSet, letters: NumberSet) -> None:
        """Make this the head; raises LeaseLost where another server has."""
        head = Head(self._head.generation, self._head.holder, jobs, letters)
        value = head.packed()
        if len(value) > self._items.room:
            raise StoreUnavailable(
                f"the head of the queue is {len(value)} bytes, more than an item of this memcached "
                "can hold: start it with a larger -I"
            )
        self._uncertain = True
        for _ in range(EXCHANGES):
            found, token = client.gets(self._key("head"))
            if found is None:
                head = self._after_end(client, head)
                done = client.add(self._key("head"), head.packed())
            elif self._unpacked(found).holder != head.holder:
                self._uncertain = False
                raise self._taken_over()
            else:
                done = bool(client.cas(self._key("head"), value, token))
            if done:
                self._uncertain = False
                self._head = head
                return
        raise StoreUnavailable(f"{self.name} is written to by somebody else at the same time")

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with; see ``QueueStore``."""
        with self._translating():
            return self._results.find(self._connected(), handle)

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """Return results in the order of handles; see ``QueueStore``."""
        with self._translating():
            return self._results.page(self._connected(), after, limit)

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired; see ``QueueStore``."""
        with self._translating():
            self._results.forget(self._connected(), now)

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters in the order of their numbers; see ``QueueStore``."""
        wanted = [number for number in self._head.letters if number > after][:limit]
        keys = {self._key("letter", number): b"%d" % number for number in wanted}
        with self._translating():
            values = list(self._items.read(self._connected(), keys))
        found = [unpack_letter(keys[key], value) for key, value in values if value is not None]
        return [one for one in found if isinstance(one, DeadLetter)]

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle; see ``QueueStore``."""
        key = self._one("buried", handle)
        number = None if key is None else number_of(key)
        if number is None or number not in self._head.letters:
            return None
        value = self._one("letter", b"%d" % number)
        letter = None if value is None else unpack_letter(b"%d" % number, value)
        return letter if isinstance(letter, DeadLetter) else None

    def revive(self, handle: bytes) -> Job | None:
        """Make a dead letter a job again; see ``QueueStore``."""
        letter = self.dead_letter(handle)
        if letter is None:
            return None
        job = letter.job
        job.attempts = job.epoch = 0
        with self._translating():
            client = self._connected()
            self._write(client, {self._key("job", job.number): pack_job(job)})
            self._unbury(client, letter, [job.number])
        return job

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good; see ``QueueStore``."""
        letter = self.dead_letter(handle)
        if letter is None:
            return False
        with self._translating():
            self._unbury(self._connected(), letter, [])
        return True

    def _unbury(self, client: Client, letter: DeadLetter, jobs: list[int]) -> None:
        """Take a letter out of the head, and put these jobs there."""
        number, handle = letter.job.number, letter.job.handle.decode()
        head = self._head
        self._exchange(client, head.jobs.changed(jobs, ()), head.letters.changed((), [number]))
        self._items.forget(client, [self._key("letter", number), self._key("buried", handle)])

    def _one(self, kind: str, name: bytes) -> bytes | None:
        """Return the value of one key, None where there is none or can't be one."""
        if not is_handle(name):
            return None
        with self._translating():
            for _, value in self._items.read(self._connected(), [self._key(kind, name.decode())]):
                return value
        return None

    def close(self) -> None:
        """Give the lease back. Safe to call twice."""
        self._closed.set()
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.join()
            with suppress(StoreError), self._translating():
                client = self._connected()
                found, _ = client.gets(self._key("lease"))
                if found is not None and found.startswith(self._head.holder):
                    client.delete(self._key("lease"), noreply=False)
        self._drop()

    # The connection.

    def _connected(self) -> Client:
        """Return the client; after a failure, a new one, and a head without what was refused."""
        client = self._client
        if client is None:
            client = self._client = self.place.client(CONNECT_PATIENCE, PATIENCE)
        if self._uncertain:
            self._exchange(client, self._head.jobs, self._head.letters)
        return client

    def _after_end(self, client: Client, head: Head) -> Head:
        """
        Return what to write where there is no head.

        It was dropped and is written again; or memcached has ended, and all the old
        head names is lost.
        """
        server = identity(client)
        (pid, started), (old_pid, old_started) = server, self._server
        # Both figures are whole seconds, which do not change at the same moment.
        if pid == old_pid and abs(started - old_started) <= 2:
            return head
        self._server = server
        old = self._head
        warnings.error(
            "%s has ended and lost %d jobs and %d dead letters: those jobs run as long as this "
            "server does, and are lost with it",
            self.name,
            len(old.jobs),
            len(old.letters),
        )
        self._head = Head(old.generation, old.holder, NumberSet(), NumberSet())
        new = [
            [one for one in now if one not in before]
            for now, before in ((head.jobs, old.jobs), (head.letters, old.letters))
        ]
        jobs, letters = (NumberSet().changed(numbers, ()) for numbers in new)
        return Head(head.generation, head.holder, jobs, letters)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @contextmanager
    def _replaying(self) -> Iterator[Client]:
        """Give a client with more patience."""
        client = self.place.client(CONNECT_PATIENCE, REPLAY_PATIENCE)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Say what an error of memcached's means for the server."""
        try:
            yield
        except TimeoutError as error:
            self._drop()
            raise StoreUnavailable(f"{self.name} does not answer in time") from error
        except MemcacheUnexpectedCloseError as error:
            self._drop()
            raise StoreUnavailable(f"{self.name} can't be reached: it has hung up") from error
        except MemcacheServerError as error:
            self._drop()
            raise StoreUnavailable(f"{self.name} can't take jobs now: {error}") from error
        except ERRORS as error:
            self._drop()
            text = " ".join(str(error).split()) or type(error).__name__
            raise StoreUnavailable(f"{self.name} can't be reached: {text}") from error
