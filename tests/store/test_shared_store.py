"""The rules of ``SharedStore``, on every engine that several servers can share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from geartrain.broker.job import Job
from geartrain.errors import LeaseLost, StoreUnavailable
from geartrain.store.batch import Batch, DeadLetter, Joined
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import row_of
from geartrain.store.shared_sql import SharedSqlStore
from geartrain.store.shared_store import Adoption, SharedStore
from tests.store.engines import ENGINES, SHARED
from tests.store.samples import make_job, numbers, rows
from tests.store.test_store_conformance import HOSTILE_NAMES

# A lease that ends within a test, and one that does not, in seconds.
SHORT = 0.25
LONG = 60.0
# Longest wait for something that has to happen, in seconds.
DEADLINE = 10.0

MakeServer = Callable[..., SharedSqlStore]


@pytest.fixture(params=SHARED)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeServer]:
    """Make open stores of one place, by the name of the server, and close them at the end."""
    engine: Any = ENGINES[request.param](tmp_path)
    made: list[SharedSqlStore] = []

    def make(name: str, *, lease: float = LONG, opened: bool = True) -> SharedSqlStore:
        store: SharedSqlStore = engine.store(
            server=name,
            address=f"{name}:4730",
            lease=lease,
            handle_prefix=b"H:%b:%d" % (name.encode(), len(made)),
        )
        made.append(store)
        if opened:
            store.open()
        return store

    make.write_row = engine.write_row  # type: ignore[attr-defined]
    yield make
    for store in made:
        store.close()


def job(store: SharedSqlStore, n: int, **values: Any) -> Job:
    """Return a job as the store's server would number it, and give it a handle."""
    generation = max(store._membership.held)
    handle = b"%b:%d" % (store.handle_prefix, n)
    return make_job(generation << 40 | n, handle=handle, **values)


def adopted(found: Sequence[Adoption]) -> dict[str, list[int]]:
    """Return the numbers of the jobs that were taken over, by the server that had them."""
    return {
        adoption.server.name: [one.number for one in adoption.found if isinstance(one, Job)]
        for adoption in found
    }


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def adopt(store: SharedStore) -> Sequence[Adoption]:
    """Take over as soon as there is something to take."""
    found: list[Adoption] = []
    wait_until(lambda: bool(found.extend(store.adopt()) or found))
    return found


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in threads that start together; return what they returned or raised."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(n: int) -> None:
        barrier.wait()
        try:
            results[n] = calls[n]()
        except Exception as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# Joining and leaving.


def test_servers_that_start_together_get_a_generation_each(server: MakeServer) -> None:
    stores = [server(f"s{n}", opened=False) for n in range(5)]
    assert sorted(at_once(*(store.open for store in stores))) == [1, 2, 3, 4, 5]


def test_server_replays_its_own_jobs_only(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    mine, others = job(one, 1), job(two, 1)
    one.commit(Batch([mine]))
    two.commit(Batch([others]))
    assert rows(one.replay()) == [row_of(mine)]
    assert rows(two.replay()) == [row_of(others)]


def test_server_that_starts_again_at_its_address_has_its_jobs_at_once(server: MakeServer) -> None:
    kept = job(before := server("one"), 1)
    before.commit(Batch([kept]))
    again = server("one")
    assert rows(again.replay()) == [row_of(kept)]
    with pytest.raises(LeaseLost):
        before.renew()


def test_server_of_another_name_waits_for_the_lease(server: MakeServer) -> None:
    one = server("one")
    one.commit(Batch([job(one, 1)]))
    two = server("two")
    assert numbers(two) == []
    assert two.adopt() == []


def test_what_nobody_holds_is_taken_over_at_the_start(server: MakeServer) -> None:
    one = server("one")
    kept = job(one, 1)
    one.commit(Batch([kept]))
    one.close()
    assert rows(server("two").replay()) == [row_of(kept)]


def test_server_that_closes_is_taken_over_without_waiting(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    kept = job(one, 1)
    one.commit(Batch([kept]))
    one.close()
    assert adopted(two.adopt()) == {"one": [kept.number]}


def test_server_that_leaves_nothing_is_no_longer_there(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    kept = job(one, 1)
    one.commit(Batch([kept]))
    one.commit(Batch(dones=[kept.number]))
    one.close()
    assert [member.name for member in two.members()] == ["two"]
    assert two.adopt() == []


def test_generations_without_jobs_are_forgotten_and_not_given_again(server: MakeServer) -> None:
    for n in range(1, 6):
        store = server("one")
        assert len(store._server_rows()) <= 2
        assert max(store._server_rows()) == n
        store.close()


# Leases.


def lease_end(store: SharedSqlStore) -> float:
    """Return when a server's lease ends, by the database's clock."""
    query = "SELECT expires FROM geartrain_servers WHERE generation = %s"
    generation = store._writer.generation
    ((end,),) = store._asker.run(lambda one: one.read(query, (generation,)), fenced=False)
    assert isinstance(end, float)
    return end


def has_ended(store: SharedSqlStore) -> bool:
    """Return whether a server's lease has ended, and nobody has taken its jobs."""
    (own,) = [one for one in store.members() if one.generation == store._writer.generation]
    return own.lease_left <= 0


def test_lease_that_ended_can_be_renewed_while_nobody_took_the_jobs(server: MakeServer) -> None:
    server("two")
    one = server("one", lease=SHORT)
    wait_until(lambda: has_ended(one))
    before = lease_end(one)
    one.renew()
    assert lease_end(one) > before + SHORT


def test_server_that_is_heard_of_is_not_taken_over(server: MakeServer) -> None:
    two, one = server("two"), server("one")
    one.commit(Batch([job(one, 1)]))
    before = lease_end(one)
    one.renew()
    assert lease_end(one) > before
    assert two.adopt() == []


def test_commits_renew_the_lease(server: MakeServer) -> None:
    one = server("one")
    before = lease_end(one)
    one.commit(Batch([job(one, 1)]))
    assert lease_end(one) > before


def test_reading_jobs_renews_the_lease(server: MakeServer) -> None:
    one = server("one")
    one.commit(Batch([job(one, n) for n in range(1, 600)]))
    replay = iter(one.replay())
    next(replay)
    before = lease_end(one)
    assert len(list(replay)) == 598
    assert lease_end(one) > before


def test_server_that_was_taken_over_changes_nothing_any_more(server: MakeServer) -> None:
    two, one = server("two"), server("one", lease=SHORT)
    kept = job(one, 1)
    one.commit(Batch([kept]))
    assert adopted(adopt(two)) == {"one": [kept.number]}
    for attempt in (
        lambda: one.commit(Batch([job(one, 2)], dones=[kept.number])),
        lambda: one.commit(Batch(updates=[(kept.number, 5, 0)])),
        lambda: one.commit(Batch(dead=[DeadLetter(kept, b"", 1.0)])),
        one.renew,
        one.adopt,
        lambda: list(one.replay()),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    assert numbers(two) == [kept.number]
    assert two.dead_letters(0, 10) == []
    two.commit(Batch(dones=[kept.number]))
    assert numbers(two) == []


def test_server_that_was_taken_over_can_join_again(server: MakeServer) -> None:
    two, one = server("two"), server("one", lease=SHORT)
    one.commit(Batch([job(one, 1)]))
    adopt(two)
    one.handle_prefix = b"H:one:later"
    assert one.open() == 3
    assert numbers(one) == []
    one.commit(Batch([job(one, 1)]))
    assert numbers(one) == [3 << 40 | 1]


@pytest.mark.parametrize("peers", [2, 4])
def test_of_several_one_takes_over(server: MakeServer, peers: int) -> None:
    others = [server(f"peer{n}") for n in range(peers)]
    for n in range(5):
        dead = server(f"dead{n}")
        kept = [job(dead, n).number for n in range(1, 4)]
        dead.commit(Batch([job(dead, n) for n in range(1, 4)]))
        dead.close()
        found = at_once(*(store.adopt for store in others))
        assert [adopted(one) for one in found if one] == [{f"dead{n}": kept}]


@pytest.mark.parametrize("most", [1, 5, 20])
def test_whatever_was_committed_is_taken_over(server: MakeServer, most: int) -> None:
    """While one commits as fast as it can, its lease ends all the time, and another takes over."""
    two = server("two")
    one = server("one", lease=0.0001)
    committed: list[int] = []

    def commit_until_lost() -> None:
        for n in range(1, 10_000):
            one.commit(Batch([job(one, n)]))
            committed.append(n)

    def adopt_after_some() -> Sequence[Adoption]:
        wait_until(lambda: len(committed) >= most)
        return adopt(two)

    error, found = at_once(commit_until_lost, adopt_after_some)
    assert isinstance(error, LeaseLost)
    assert [number & 0xFFFF for number in adopted(found)["one"]] == committed


def test_takeover_goes_on_from_server_to_server(server: MakeServer) -> None:
    first = server("first")
    kept = job(first, 1)
    first.commit(Batch([kept]))
    first.close()
    second = server("second")
    also = job(second, 1)
    second.commit(Batch([also]))
    third = server("third")
    second.close()
    assert sorted(n for some in adopted(third.adopt()).values() for n in some) == [
        kept.number,
        also.number,
    ]
    assert numbers(third) == [kept.number, also.number]
    again = server("third")
    assert numbers(again) == [kept.number, also.number]


def test_takeover_that_failed_in_the_middle_is_finished_by_the_next_call(
    server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = server("one"), server("two")
    kept = job(one, 1)
    one.commit(Batch([kept]))
    one.close()

    def fail(*_: object) -> Iterator[Job | Damaged]:
        raise StoreUnavailable("the database went away")

    with monkeypatch.context() as context:
        context.setattr(two, "_jobs", fail)
        with pytest.raises(StoreUnavailable):
            two.adopt()
    assert adopted(two.adopt()) == {"one": [kept.number]}
    assert two.adopt() == []


def test_damaged_rows_are_taken_over_as_such(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    one.commit(Batch([job(one, 1)]))
    server.write_row([*row_of(job(one, 2))[:5], 9, *row_of(job(one, 2))[6:]])  # type: ignore[attr-defined]
    one.close()
    (adoption,) = two.adopt()
    assert [type(found).__name__ for found in adoption.found] == ["Job", "Damaged"]


def test_jobs_of_no_generation_go_to_one_server(server: MakeServer) -> None:
    server("one").close()
    orphan = make_job(77 << 40 | 1)
    server.write_row(row_of(orphan))  # type: ignore[attr-defined]
    two, three = server("two"), server("three")
    assert numbers(two) == [orphan.number]
    assert numbers(three) == []


# Unique keys.


def test_second_job_of_a_unique_key_is_the_first(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    first = job(one, 1, unique=b"photo-1", workload=b"a")
    second = job(two, 1, unique=b"photo-1", workload=b"b")
    other = job(two, 2, unique=b"photo-2")
    assert not one.commit(Batch([first]))
    (met,) = two.commit(Batch([second, other]))
    assert (met.number, met.handle) == (second.number, first.handle)
    assert numbers(two) == [other.number]
    one.commit(Batch(dones=[first.number]))
    assert not two.commit(Batch([second]))
    assert numbers(two) == [second.number, other.number]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: repr(name[:20]))
def test_any_unique_key_coalesces(server: MakeServer, name: bytes) -> None:
    one, two = server("one"), server("two")
    one.commit(Batch([job(one, 1, function=name, unique=name)]))
    different = [
        job(two, 1, function=name, unique=name + b"\0"),
        job(two, 2, function=name + b"\0", unique=name),
        job(two, 3, function=name + name, unique=b"x"),
    ]
    assert not two.commit(Batch(different))
    (met,) = two.commit(Batch([job(two, 4, function=name, unique=name)]))
    assert met.handle == b"H:one:0:1"


def test_workload_is_the_key_where_the_client_says_so(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    one.commit(Batch([job(one, 1, unique=b"-", workload=b"a.jpg")]))
    same = job(two, 1, unique=b"-", workload=b"a.jpg")
    others = [
        job(two, 2, unique=b"-", workload=b"b.jpg"),
        job(two, 3, unique=b"a.jpg"),
        job(two, 4, unique=b"-a.jpg"),
    ]
    assert [met.number for met in two.commit(Batch([same, *others]))] == [same.number]
    assert numbers(two) == [other.number for other in others]


def test_jobs_without_a_key_never_meet(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    assert not one.commit(Batch([job(one, n, workload=b"a") for n in range(1, 20)]))
    assert not two.commit(Batch([job(two, n, workload=b"a") for n in range(1, 20)]))


def test_jobs_that_are_apart_never_meet(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    assert not one.commit(Batch([job(one, 1, unique=b"k")]))
    for store, n in ((one, 2), (one, 3), (two, 4)):
        apart = job(store, n, unique=b"k")
        apart.apart = True
        assert not store.commit(Batch([apart]))
    assert len(numbers(one)) == 3
    assert [met.number for met in two.commit(Batch([job(two, 5, unique=b"k")]))] == [
        job(two, 5).number
    ]


def test_key_that_a_job_leaves_is_free_in_the_same_commit(server: MakeServer) -> None:
    one = server("one")
    first, second = job(one, 1, unique=b"k"), job(one, 2, unique=b"k")
    one.commit(Batch([first]))
    assert not one.commit(Batch([second], dones=[first.number]))
    third = job(one, 3, unique=b"k")
    assert not one.commit(Batch([third], dead=[DeadLetter(second, b"poison", 1.0)]))
    assert numbers(one) == [third.number]


def test_job_that_ended_before_it_was_stored_keeps_no_key(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    ended = job(one, 1, unique=b"k")
    assert not one.commit(Batch([ended], dones=[ended.number]))
    assert not two.commit(Batch([job(two, 1, unique=b"k")]))


def test_refused_job_is_taken_out_unless_another_server_has_joined_it(server: MakeServer) -> None:
    here, there = server("here"), server("there")
    joined, forgotten = job(here, 1, unique=b"key"), job(here, 2, unique=b"other")
    here.commit(Batch([joined, forgotten]))
    (met,) = there.commit(Batch([job(there, 1, unique=b"key")]))
    assert met.handle == joined.handle
    (kept,) = here.commit(Batch(refused=[joined.number, forgotten.number]))
    assert isinstance(kept, Joined)
    assert row_of(kept.job) == row_of(joined)
    assert numbers(here) == [joined.number]


def test_job_that_is_taken_out_while_it_is_joined_is_kept_or_added_anew(server: MakeServer) -> None:
    here, there = server("here"), server("there")
    for number in range(1, 9):
        one, other = job(here, number, unique=b"key"), job(there, number, unique=b"key")
        here.commit(Batch([one]))
        met, kept = at_once(
            partial(there.commit, Batch([other])), partial(here.commit, Batch(refused=[one.number]))
        )
        assert [found.handle for found in met] == [found.handle for found in kept]
        assert numbers(here) == [found.number for found in kept]
        assert numbers(there) == ([] if met else [other.number])
        here.commit(Batch(dones=[one.number]))
        there.commit(Batch(dones=[other.number]))


def test_adding_a_job_twice_is_no_meeting(server: MakeServer) -> None:
    one = server("one")
    kept = job(one, 1, unique=b"k")
    one.commit(Batch([kept]))
    assert not one.commit(Batch([kept, job(one, 2)]))


def test_of_one_key_at_two_servers_at_once_one_job_is_kept(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    for n in range(1, 30):
        key = b"key-%d" % n
        mine, others = job(one, n, unique=key), job(two, n, unique=key)
        found = at_once(
            lambda: one.commit(Batch([mine])),  # noqa: B023
            lambda: two.commit(Batch([others])),  # noqa: B023
        )
        assert sorted(len(met) for met in found) == [0, 1], found
        assert found[0] or found[1][0].handle == mine.handle
        assert found[1] or found[0][0].handle == others.handle


def test_servers_that_add_keys_in_opposite_orders_do_not_wait_for_each_other(
    server: MakeServer,
) -> None:
    one, two = server("one"), server("two")
    for n in range(6):
        keys = [b"%d-%d" % (n, k) for k in range(700)]
        mine = [job(one, n * 1000 + k, unique=key) for k, key in enumerate(keys, 1)]
        others = [job(two, n * 1000 + k, unique=key) for k, key in enumerate(reversed(keys), 1)]
        found = at_once(
            lambda: one.commit(Batch(mine)),  # noqa: B023
            lambda: two.commit(Batch(others)),  # noqa: B023
        )
        assert sum(len(met) for met in found) == 700


# Questions.


def test_server_of_a_handle_is_found(server: MakeServer) -> None:
    one, two, three = server("one"), server("two"), server("three")
    one.commit(Batch([job(one, 1)]))
    for store in (one, two, three):
        found = store.find(b"H:one:0:1")
        assert found is not None
        assert (found.generation, found.name, found.address) == (1, "one", "one:4730")
        assert found.lease_left > LONG / 2
    one.close()
    two.adopt()
    found = three.find(b"H:one:0:1")
    assert found is not None
    assert found.name == "two"
    assert three.find(b"H:elsewhere:1") is None
    assert three.find(b"") is None


def test_members_are_those_whose_jobs_nobody_took(server: MakeServer) -> None:
    one, two = server("one"), server("two", lease=SHORT)
    one.commit(Batch([job(one, n) for n in range(1, 4)]))
    two.commit(Batch([job(two, 1)]))
    assert [(m.name, m.jobs) for m in one.members()] == [("one", 3), ("two", 1)]
    wait_until(lambda: [m.lease_left > 0 for m in one.members()] == [True, False])
    adopt(one)
    assert [(m.generation, m.name, m.jobs) for m in one.members()] == [(1, "one", 4)]


def test_questions_may_be_asked_at_any_time(server: MakeServer) -> None:
    one = server("one")

    def commit() -> None:
        for n in range(1, 100):
            one.commit(Batch([job(one, n)]))

    def ask() -> None:
        for _ in range(50):
            assert one.find(b"H:one:0:1") is not None
            assert one.members()[0].name == "one"

    assert at_once(commit, ask, ask) == [None, None, None]


# Dead letters.


def test_dead_letter_of_another_server_is_revived_here(server: MakeServer) -> None:
    one, two = server("one"), server("two")
    dead = job(one, 1)
    one.commit(Batch([dead]))
    one.commit(Batch(dead=[DeadLetter(dead, b"poison", 1.0)]))
    revived = two.revive(dead.handle)
    assert revived is not None
    assert revived.handle == dead.handle
    assert numbers(one) == []
    assert numbers(two) == [revived.number]
    two.close()
    assert adopted(one.adopt()) == {"two": [revived.number]}


def test_dead_letter_of_a_generation_that_is_gone_keeps_its_number(server: MakeServer) -> None:
    one = server("one")
    dead = job(one, 1)
    one.commit(Batch([dead]))
    one.commit(Batch(dead=[DeadLetter(dead, b"poison", 1.0)]))
    one.close()
    two = server("two")
    revived = two.revive(dead.handle)
    assert revived is not None
    assert revived.number == dead.number
    assert numbers(two) == [dead.number]
