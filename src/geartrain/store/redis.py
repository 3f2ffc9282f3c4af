"""
The store in Redis or Valkey: jobs in one hash, commits as one script each.

What a commit survives is for Redis's own settings to say; they are read at the
start and told (``redis_promise``). One server at a time uses a prefix: it holds
a lease while it lives, and every script compares the generation, so that one
which slept through the end of its lease can't write any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
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
from geartrain.store.queue_store import Damaged
from geartrain.store.redis_promise import largest_value, read_promise
from geartrain.store.redis_scripts import (
    COMMIT,
    FORGET_RESULTS,
    OPEN,
    RELEASE,
    RENEW,
    UNBURY,
)
from geartrain.store.redis_url import Place
from geartrain.store.sole_member import SoleMember
from geartrain.store.values import (
    handle_head,
    number_of,
    pack_job,
    pack_letter,
    pack_result,
    unpack_job,
    unpack_letter,
    unpack_result,
)

__all__ = ["RedisStore"]

# What an administrator has to hear, however little is logged otherwise.
warnings = logging.getLogger("geartrain.warning")
logger = logging.getLogger("geartrain.store")

# How long to wait for a connection, and then for an answer, in seconds: both together, and the
# question that comes first after a failure, still refuse within a second.
CONNECT_PATIENCE: Final = 0.25
PATIENCE: Final = 0.65
# Bytes a second that Redis is sure to take, for commits of many megabytes.
SLOWEST: Final = 16 * 1024 * 1024
# From this size on, in bytes, a commit gets a connection with more patience.
LARGE: Final = 4 * 1024 * 1024
# Reading everything at the start may take its time, in seconds for one answer.
REPLAY_PATIENCE: Final = 30.0
# How long a lease lasts without being renewed, in seconds; it is renewed every third of that.
LEASE: Final = 3.0
# What a dead letter has beside its job, in bytes at most.
LETTER_ROOM: Final = 8192
# Jobs asked for at once, and bytes of their values.
PAGE: Final = 1000
PAGE_BYTES: Final = 16 * 1024 * 1024
# Answers that another moment may not bring, and the first words of such answers.
PASSING: Final = (ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
PASSING_WORDS: Final = ("BUSY", "MISCONF", "NOREPLICAS")
FORMAT: Final = b"1"


class RedisStore(SoleMember):
    """
    A queue store in one database of a Redis or Valkey server.

    Its methods may be called from different threads, one at a time.

    Args:
        place: The server, and the prefix of the keys.
        server: What this server is called.
        address: Where it is reached.
        lease: For how many seconds it holds the store without being heard of.

    Attributes:
        promise: What an acknowledged job survives, in words; known once it was opened.

    """

    def __init__(
        self, place: Place, server: str = "", address: str = "", lease: float = LEASE
    ) -> None:
        super().__init__(server, address, lease)
        self.place = place
        self.promise = ""
        self._state, self._lease, self._jobs, self._changes = (
            f"{place.prefix}:{name}" for name in ("state", "lease", "jobs", "changes")
        )
        # Dead letters by number, numbers by handle; results by handle, handles by expiry.
        self._letters, self._buried, self._results, self._expiries = (
            f"{place.prefix}:{name}" for name in ("letters", "buried", "results", "expiries")
        )
        self._client: Redis | None = None
        self._holder = b""
        # Whether Redis forgets everything when it ends, so that it may be found empty.
        self._volatile = False
        # Bytes of a value at most.
        self._largest = 0
        # Numbers of the commit tried last and of the last that got through.
        self._tried = 0
        self._confirmed = 0
        # Numbers and heads of jobs whose commit may have got through although it was refused.
        self._refused: list[tuple[int, bytes]] = []
        self._renewal: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def durable(self) -> bool:
        """True: a commit outlives this process, whatever Redis makes of its own end."""
        return True

    @property
    def name(self) -> str:
        """The store's URL, without user and password."""
        return self.place.name

    # Opening.

    def open(self) -> int:
        """
        Take the lease, and start a generation.

        Raises:
            UsageError: Another server uses the store, or Redis doesn't let this one in.
            StoreUnavailable: Redis can't be reached, or is still loading.
            StoreDamaged: What is under the prefix is not a queue of this version.

        """
        self.close()
        self._holder = new_holder()
        try:
            with self._new_client(REPLAY_PATIENCE) as client:
                client.ping()
                began = monotonic()
                self._generation = self._take(client, self._highest(client))
                self.promise, keeps = read_promise(client)
                self._largest = largest_value(client)
        except RedisError as error:
            raise self._translated(error, opening=True) from error
        self._held_until = began + self._lease_lasts
        self._volatile = keeps is False
        self._tried = self._confirmed = 0
        self._refused = []
        (logger.info if keeps else warnings.warning)("%s: %s", self.name, self.promise)
        self._closed = threading.Event()
        self._renewal = threading.Thread(
            target=self._renew, args=(self._closed,), name="geartrain-lease", daemon=True
        )
        self._renewal.start()
        return self._generation

    def _take(self, client: Redis, highest: int) -> int:
        """Take the lease and return the generation; waits for a lease that nobody renews."""
        open_script = client.register_script(OPEN)
        given_up = b""
        end = monotonic() + 2 * self._lease_lasts
        least_left = self._lease_lasts * 1000.0
        while True:
            arguments: list[Any] = [
                self._holder,
                int(self._lease_lasts * 1000),
                given_up,
                highest,
                FORMAT,
            ]
            kind, *found = open_script(keys=[self._state, self._lease], args=arguments)
            if kind == 1:
                generation = int(found[0])
                if generation > MAX_GENERATION:
                    raise StoreDamaged(f"{self.name} has used up its generations: {self._state}")
                return generation
            if kind == -1:
                raise StoreDamaged(
                    f"{self.name} was written by another version (format {found[0]!r}): "
                    "use that version, or another prefix"
                )
            holder, left = found
            if is_gone(holder):
                given_up = holder
            elif left > least_left or monotonic() > end:
                raise UsageError(
                    f"{self.name} is in use by another server ({describe(holder)}): "
                    "stop that one, or give this one another prefix"
                )
            else:
                # It was renewed when more of it is left than a moment ago.
                least_left = left + 1
                self._closed.wait(0.2)

    def _highest(self, client: Redis) -> int:
        """Return the highest generation of a job, of those that may be a server's."""
        last = client.hget(self._state, "generation")
        limit = (int(last) if isinstance(last, bytes) and last.isdigit() else 0) + 1 + LEAP
        generations = (number >> GENERATION_BITS for number in self._numbers(client))
        return max((one for one in generations if 0 < one <= limit), default=0)

    def _numbers(self, client: Redis) -> list[int]:
        keys: Any = client.hkeys(self._jobs)
        return [number for key in keys if (number := number_of(key)) is not None]

    def _renew(self, closed: threading.Event) -> None:
        """Renew the lease until the store is closed; the commits find out when it is lost."""
        arguments = [self._generation, self._holder, int(self._lease_lasts * 1000)]
        with self._new_client() as client:
            script = client.register_script(RENEW)
            while not closed.wait(self._lease_lasts / 3):
                with suppress(RedisError):
                    script(keys=[self._state, self._lease], args=arguments)

    # Serving.

    def replay(self) -> Iterator[Job | Damaged]:
        """Yield every job added and not done in the order of numbers, and values that are none."""
        handles: set[bytes] = set()
        try:
            with self._new_client(REPLAY_PATIENCE) as client:
                for key, value, change in self._values(client):
                    job = unpack_job(key, value, change)
                    if isinstance(job, Job):
                        # A handle has to name one job; a copied value would share it.
                        if job.handle in handles:
                            job = Damaged(f"number {job.number}", f"handle {job.handle!r} is taken")
                        else:
                            handles.add(job.handle)
                    yield job
        except RedisError as error:
            raise self._translated(error) from error

    def _values(self, client: Redis) -> Iterator[tuple[bytes, bytes, bytes | None]]:
        """Yield keys, values and changes, in the order of numbers."""
        keys: Any = client.hkeys(self._jobs)
        keys.sort(key=lambda key: (number_of(key) or 0, key))
        for start in range(0, len(keys), PAGE):
            for some in self._pages(client, keys[start : start + PAGE]):
                values: Any = client.hmget(self._jobs, some)
                changes: Any = client.hmget(self._changes, some)
                for key, value, change in zip(some, values, changes, strict=True):
                    # A job that ended meanwhile is no longer there.
                    if value is not None:
                        yield key, value, change

    def _pages(self, client: Redis, keys: list[bytes]) -> Iterator[list[bytes]]:
        """Yield the keys in lots whose values fit into memory."""
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.hstrlen(self._jobs, key)  # type: ignore[no-untyped-call,unused-ignore]
        some: list[bytes] = []
        size = 0
        for key, length in zip(keys, pipeline.execute(), strict=True):
            if some and size + length > PAGE_BYTES:
                yield some
                some, size = [], 0
            some.append(key)
            size += length
        yield some

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Make all of it part of Redis in one script, or none of it; see ``QueueStore``."""
        if batch.is_empty():
            return ()
        dones = [*batch.refused, *batch.dones]
        dones += [letter.job.number for letter in batch.dead]
        adds = [(job.number, pack_job(job)) for job in batch.adds]
        self._refuse_large(adds)
        parts: tuple[Sequence[tuple[Any, ...]], ...] = (
            self._refused,
            adds,
            [(number, b"%d %d" % (attempts, epoch)) for number, attempts, epoch in batch.updates],
            [(one.job.number, one.job.handle, pack_letter(one)) for one in batch.dead],
            [(one.handle, pack_result(one), one.expires) for one in batch.results],
            [(number,) for number in dones],
        )
        arguments = [value for part in parts for item in part for value in item]
        size = size_of(arguments)
        heads = [(job.number, handle_head(job.handle)) for job in batch.adds]
        self._run([*map(len, parts), *arguments], heads, size)
        return ()

    def _refuse_large(self, adds: Sequence[tuple[int, bytes]]) -> None:
        """Raise JobsRefused for values that Redis would not take."""
        most = self._largest - LETTER_ROOM
        large = [number for number, value in adds if len(value) > most]
        if large:
            raise JobsRefused(
                f"it is more than a value of Redis's can be ({self._largest} bytes): "
                "raise proto-max-bulk-len there, or lower max_packet",
                large,
            )

    def _run(self, arguments: list[Any], heads: list[tuple[int, bytes]], size: int) -> None:
        """Run the script of one commit."""
        try:
            client = self._connected()
        except RedisError as error:
            # Nothing of it was sent.
            self._drop()
            raise self._translated(error) from error
        self._tried += 1
        leading: list[Any] = [self._generation, self._tried, int(self._volatile)]
        leading += [self._holder, int(self._lease_lasts * 1000)]
        sent = monotonic()
        large = self._new_client(PATIENCE + size / SLOWEST) if size > LARGE else None
        try:
            script = (large or client).register_script(COMMIT)
            kind, found = script(keys=self._commit_keys(), args=leading + arguments)
        except RedisError as error:
            if not isinstance(error, ResponseError):
                self._refused += heads
            self._drop()
            raise self._translated(error) from error
        finally:
            if large is not None:
                large.close()
        if kind != 1:
            raise self._refusal(kind, found)
        self._refused = []
        self._check_place_in_time(int(found))
        self._confirmed = self._tried
        self._held_until = sent + self._lease_lasts

    def _commit_keys(self) -> list[str]:
        kept = (self._letters, self._buried, self._results, self._expiries)
        return [self._state, self._jobs, self._changes, *kept, self._lease]

    def _refusal(self, kind: int, found: bytes) -> StoreError:
        """Return why a script has written nothing."""
        if kind == -1:
            return StoreDamaged(
                f"number {found.decode('ascii', 'replace')} is taken in {self.name}: "
                "find out what else writes to it"
            )
        if not found:
            return StoreDamaged(
                f"{self.name} holds nothing of this queue any more: put a backup back, or restart "
                "the server to begin with an empty queue"
            )
        return LeaseLost(
            f"{self.name} was taken over by another server while this one was not heard of: "
            "stop one of them, or give them different prefixes"
        )

    def _check_place_in_time(self, before: int) -> None:
        """Say so when Redis has come back with less than it had confirmed."""
        if before < self._confirmed:
            warnings.error(
                "%s came back without the last %d of its commits (%s); their jobs run as long as "
                "this server does, and are lost with it",
                self.name,
                self._confirmed - before,
                self.promise,
            )

    def renew(self) -> None:
        """Make the lease last for its whole length from now; see ``SharedStore``."""
        sent = monotonic()
        with self._asking() as client:
            arguments: list[Any] = [self._generation, self._holder, int(self._lease_lasts * 1000)]
            held: Any = client.register_script(RENEW)(
                keys=[self._state, self._lease], args=arguments
            )
        if not held:
            raise self._refusal(0, b"?")
        self._held_until = sent + self._lease_lasts

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with; see ``QueueStore``."""
        with self._asking() as client:
            value: Any = client.hget(self._results, handle)  # type: ignore[arg-type,unused-ignore]
        result = None if value is None else unpack_result(handle, value)
        return result if isinstance(result, Result) else None

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """Return results in the order of handles; see ``QueueStore``."""
        with self._asking() as client:
            keys: Any = client.hkeys(self._results)
            wanted = sorted(key for key in keys if key > after)[:limit]
            values: Any = client.hmget(self._results, wanted) if wanted else []
        pairs = zip(wanted, values, strict=True)
        found = [unpack_result(key, value) for key, value in pairs if value is not None]
        return [one for one in found if isinstance(one, Result)]

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired; see ``QueueStore``."""
        keys = [self._state, self._results, self._expiries]
        with self._asking() as client:
            script = client.register_script(FORGET_RESULTS)
            while True:
                count: Any = script(keys=keys, args=[self._generation, now, PAGE])
                self._check_held(count)
                if count < PAGE:
                    return

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters in the order of their numbers; see ``QueueStore``."""
        with self._asking() as client:
            keys: Any = client.hkeys(self._letters)
            numbers = sorted(number for key in keys if (number := number_of(key)) is not None)
            wanted = [number for number in numbers if number > after][:limit]
            values: Any = client.hmget(self._letters, list(map(str, wanted))) if wanted else []
        found = [
            unpack_letter(b"%d" % number, value)
            for number, value in zip(wanted, values, strict=True)
            if value is not None
        ]
        return [one for one in found if isinstance(one, DeadLetter)]

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle; see ``QueueStore``."""
        with self._asking() as client:
            key: Any = client.hget(self._buried, handle)  # type: ignore[arg-type,unused-ignore]
            value: Any = None if key is None else client.hget(self._letters, key)
        letter = None if value is None else unpack_letter(key, value)
        return letter if isinstance(letter, DeadLetter) else None

    def revive(self, handle: bytes) -> Job | None:
        """Make a dead letter a job again; see ``QueueStore``."""
        letter = self.dead_letter(handle)
        if letter is None:
            return None
        job = letter.job
        job.attempts = job.epoch = 0
        return job if self._unbury(handle, job.number, pack_job(job)) else None

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good; see ``QueueStore``."""
        letter = self.dead_letter(handle)
        return letter is not None and self._unbury(handle, letter.job.number, b"")

    def _unbury(self, handle: bytes, number: int, value: bytes) -> bool:
        """Take a letter out of its place, and return whether it was there."""
        keys = [self._state, self._jobs, self._letters, self._buried]
        with self._asking() as client:
            script = client.register_script(UNBURY)
            done: Any = script(keys=keys, args=[self._generation, handle, number, value])
        self._check_held(done)
        return bool(done)

    def _check_held(self, answer: int) -> None:
        if answer < 0:
            raise self._refusal(0, b"?")

    @contextmanager
    def _asking(self) -> Iterator[Redis]:
        """Give the client, and translate its errors."""
        try:
            yield self._connected()
        except RedisError as error:
            self._drop()
            raise self._translated(error) from error

    def close(self) -> None:
        """Give the lease back. Safe to call twice."""
        self._closed.set()
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.join()
            with suppress(RedisError, StoreError):
                if self._refused:
                    self.commit(Batch(dones=[0]))
                release = self._connected().register_script(RELEASE)
                release(keys=[self._lease], args=[self._holder])
        self._drop()

    # The connection.

    def _new_client(self, patience: float = PATIENCE) -> Redis:
        return self.place.client(CONNECT_PATIENCE, patience)

    def _connected(self) -> Redis:
        """Return the client; after a failure, a new one that has answered."""
        client = self._client
        if client is None:
            client = self._new_client()
            self._client = client
            client.ping()
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _translated(self, error: RedisError, opening: bool = False) -> Exception:
        """Return what an error of Redis's means for the server."""
        text = " ".join(str(error).split())
        if isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "NOPERM")):
            kind = UsageError if opening else StoreUnavailable
            return kind(
                f"{self.name} does not let this server in ({text}): "
                "check user and password in the URL, and what the user may do"
            )
        if isinstance(error, TimeoutError):
            return StoreUnavailable(f"{self.name} does not answer in time")
        if isinstance(error, ConnectionError):
            return StoreUnavailable(f"{self.name} can't be reached: {text}")
        if isinstance(error, PASSING) or text.split(" ")[0] in PASSING_WORDS:
            return StoreUnavailable(f"{self.name} can't take jobs now: {text}")
        return StoreDamaged(f"{self.name} can't be used as a store ({text}): try another prefix")


def size_of(values: Sequence[Any]) -> int:
    """Return how many bytes the values of a commit have."""
    return sum(len(value) for value in values if type(value) is bytes)
