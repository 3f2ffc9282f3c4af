"""Each rule of ``ScheduleStore`` about fires, on each database."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from geartrain.store.schedule_rows import (
    DONE,
    FAILED,
    LOST,
    MISSED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUBMITTED,
    TIMEOUT,
    WAITING,
    Fire,
    Owner,
)
from geartrain.store.schedule_sql import SqlScheduleStore
from geartrain.store.schedule_transactions import Transaction
from tests.store.schedule_engines import (
    LEASE,
    START,
    Place,
    claimed,
    due,
    every_minute,
    marked,
    planned,
    unmerged,
)


def ids(fires: Sequence[Fire]) -> list[int]:
    return [fire.id for fire in fires]


def failures(store: SqlScheduleStore, name: str = "backup") -> int:
    schedule = store.schedule(name)
    assert schedule is not None
    return schedule.failures


@pytest.fixture
def other(schedules: SqlScheduleStore, me: Owner) -> Owner:
    """A second instance, whose lease is long."""
    return schedules.join("two", "there", 100 * LEASE, "2025b")


def unanswered(
    store: SqlScheduleStore, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]
) -> None:
    """Lose the answer to a store's COMMITs: what it wrote is there when it is tried again."""
    run = store._writer.run

    def twice(work: Callable[[Transaction], Any], **options: Any) -> Any:
        def second(one: Transaction) -> Any:
            one.attempt = 1
            return work(one)

        if not options.get("writes", True):
            return run(work, **options)
        run(work, **options)
        meanwhile()
        return run(second, **options)

    monkeypatch.setattr(store._writer, "run", twice)


# Marking.


def test_what_is_due_and_what_became_of_moments_is_counted(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    assert schedules.backlog() == (0, 0.0)
    assert schedules.tallies(0.0) == {}
    row = schedules.add(due("a"), "ann")
    schedules.add(due("b", next_fire=START - 7), "ann")
    schedules.add(due("later", next_fire=START + 60), "ann")
    assert schedules.backlog() == (2, START - 7)
    missed = Fire(row.id, 1, START, state="missed", count=40)
    schedules.insert([missed, replace(missed, nominal=1, count=2, created=START - 99)], "x")
    schedules.insert([Fire(row.id, 1, 2)], "x")
    assert schedules.tallies(START - 60.0) == {"missed": 40, "pending": 1}


def test_runs_of_what_follows_are_counted_up_to_a_limit(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    row, other = schedules.add_all([due("sum", next_fire=0), due("other", next_fire=0)], "ann")
    new = [Fire(row.id, 1, START + n, origin="after") for n in range(3)]
    twice = [replace(new[0], target="a"), replace(new[1], state=SKIPPED)]
    schedules.follow(me, (), [*new[:1], *twice], (), {row.id: 2})
    found = schedules.schedules(ids=(row.id,))[0]
    assert (found.runs, found.enabled) == (1, True)
    schedules.follow(me, (), [new[0], new[2], Fire(other.id, 1, START)], (), {row.id: 2})
    found, kept = schedules.schedules(ids=(row.id,))[0], schedules.schedules(ids=(other.id,))[0]
    assert (found.runs, found.enabled) == (2, False)
    assert (kept.runs, kept.enabled) == (0, True)


def test_runs_are_counted_once_where_the_answer_is_lost(
    place: Place, schedules: SqlScheduleStore, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = schedules.add(due("sum", next_fire=0), "ann")
    deaf = place.store()
    unanswered(deaf, monkeypatch, lambda: None)
    deaf.follow(me, (), [Fire(row.id, 1, START, origin="after")], (), {row.id: 2})
    found = schedules.schedules(ids=(row.id,))[0]
    assert (found.runs, found.enabled) == (1, True)


def test_fire_that_is_marked_comes_back_as_it_was_written(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    written = replace(
        fire,
        state=DONE,
        reason="größer",
        count=2,
        attempt=3,
        handle="H:one:1",
        server="a:4730",
        submitted=START + 0.25,
        started=START + 0.5,
        ended=START + 0.75,
        result=bytes(range(256)),
        followed=True,
    )
    assert schedules.mark(me, [written], (), unmerged) == [fire.id]
    assert schedules.fire(fire.id) == written


def test_end_has_the_database_s_time_where_none_is_given(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    place.clock.now += 2.5
    assert marked(schedules, me, fire, DONE).ended == START + 2.5


def test_what_another_owns_or_what_has_ended_is_not_marked(
    schedules: SqlScheduleStore, me: Owner, other: Owner
) -> None:
    mine, done = claimed(schedules, me, "backup", "mail")
    schedules.add(due("report"), "ann")
    (theirs,) = schedules.claim(other, 10, every_minute)
    marked(schedules, me, done, DONE)
    changed = [replace(fire, state=FAILED) for fire in (theirs, done, mine)]
    unknown = replace(mine, id=10**9, state=FAILED)
    assert schedules.mark(me, [*changed, unknown], (), unmerged) == [mine.id]
    states = {fire.id: fire.state for fire in schedules.fires()}
    assert states == {mine.id: FAILED, done.id: DONE, theirs.id: PENDING}


def test_fire_that_is_pending_until_later_has_no_owner(
    place: Place, schedules: SqlScheduleStore, me: Owner, other: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    again = marked(schedules, me, fire, PENDING, due=START + 5.0, attempt=1)
    assert (again.owner, again.epoch, again.due, again.attempt) == ("", 0, START + 5.0, 1)
    assert schedules.owned(me) == []
    assert schedules.take(other, 10) == ()
    place.clock.now += 5
    assert ids(schedules.take(other, 10)) == [fire.id]


def test_fire_that_is_pending_at_once_stays_with_its_owner(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    assert marked(schedules, me, fire, PENDING, attempt=1).owner == me.instance


def test_bad_ends_in_a_row_are_counted_and_a_good_one_begins_anew(
    place: Place, schedules: SqlScheduleStore
) -> None:
    me = schedules.join("one", "here", 100 * LEASE, "")
    claimed(schedules, me)
    for state, count in (
        (FAILED, 1),
        (TIMEOUT, 2),
        (SKIPPED, 2),
        (LOST, 3),
        (MISSED, 3),
        (DONE, 0),
        (DONE, 0),
        (FAILED, 1),
    ):
        (fire,) = schedules.owned(me)
        marked(schedules, me, fire, state)
        assert failures(schedules) == count
        place.clock.now += 60
        schedules.claim(me, 1, every_minute)


def test_ends_of_one_entry_are_counted_in_their_order(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    schedules.add(due(), "ann")
    fires = [Fire(0, 1, START, str(n), due=START) for n in range(4)]
    owned = schedules.claim(me, 10, planned(*fires))
    states = (FAILED, DONE, FAILED, FAILED)
    ended = [replace(fire, state=state) for fire, state in zip(owned, states, strict=True)]
    schedules.mark(me, ended, (), unmerged)
    assert failures(schedules) == 2


# Taking.


def test_what_was_submitted_by_an_instance_that_is_gone_is_taken(
    place: Place, schedules: SqlScheduleStore, me: Owner, other: Owner
) -> None:
    pending, submitted, running, done = claimed(schedules, me, "a", "b", "c", "d")
    marked(schedules, me, submitted, SUBMITTED)
    marked(schedules, me, running, RUNNING)
    marked(schedules, me, done, DONE)
    assert schedules.take(other, 10) == ()
    place.clock.now += LEASE
    taken = schedules.take(other, 10)
    assert sorted(ids(taken)) == sorted(ids([pending, submitted, running]))
    assert {(fire.owner, fire.epoch) for fire in taken} == {(other.instance, other.epoch)}
    assert schedules.owned(other) == sorted(taken, key=lambda fire: fire.id)
    assert schedules.take(other, 10) == ()


def test_no_more_than_the_limit_is_taken(
    place: Place, schedules: SqlScheduleStore, me: Owner, other: Owner
) -> None:
    fires = claimed(schedules, me, "a", "b", "c", "d")
    for fire in fires[2:]:
        marked(schedules, me, fire, SUBMITTED)
    place.clock.now += LEASE
    assert [len(schedules.take(other, 3)) for _ in range(3)] == [3, 1, 0]


def test_instance_that_is_gone_for_long_is_forgotten_once_it_left_nothing(
    place: Place, schedules: SqlScheduleStore, me: Owner, other: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    place.clock.now += 2 * 86_400
    last = schedules.join("three", "there", LEASE, "")
    assert ids(schedules.take(last, 1)) == [fire.id]
    schedules.insert([Fire(fire.schedule, 1, 5, due=5.0)], "ann")
    schedules.take(last, 10)
    assert [one.name for one in schedules.instances()] == ["three"]
    # Its name may come back, and its fires are not lost on the way.
    assert schedules.join("one", "here", LEASE, "").epoch > me.epoch


def test_fires_of_a_process_that_was_killed_are_another_s(place: Place) -> None:
    first = place.store()
    first.add_all([due(f"entry-{n}") for n in range(20)], "ann")
    code = KILLED.format(url=place.url(), now=place.clock.now)
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=15)
    assert killed.returncode == -9, killed.stderr.decode()
    me = first.join("survivor", "here", 10 * LEASE, "")
    assert first.claim(me, 100, every_minute) == ()
    place.clock.now += LEASE
    taken = first.take(me, 100)
    assert {fire.state for fire in taken} == {PENDING}
    assert len({fire.schedule for fire in taken}) == len(taken) == 20


KILLED = """
import os, signal
from geartrain.store.schedule_sql import open_schedules
from tests.store.schedule_engines import every_minute
store = open_schedules({url!r}, clock=lambda: {now!r})
store.open()
me = store.join("victim", "here", 30.0, "")
assert len(store.claim(me, 100, every_minute)) == 20
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_instances_that_take_at_once_never_get_the_same_fire(
    place: Place, schedules: SqlScheduleStore
) -> None:
    entry = schedules.add(due(), "ann")
    schedules.insert([Fire(entry.id, 1, n, due=float(n)) for n in range(1, 201)], "ann")
    taken: list[int] = []

    def work(name: str) -> None:
        me = schedules.join(name, "here", LEASE, "")
        for _ in itertools.takewhile(bool, (schedules.take(me, 9) for _ in itertools.count())):
            taken.extend(ids(_))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    # One that skips what another has locked may find nothing although there is something left.
    me = schedules.join("last", "here", LEASE, "")
    assert len(taken) + len(schedules.take(me, 500)) == 200


# Inserting.


def test_inserted_fires_are_nobody_s_and_those_that_are_there_stay(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    new = [Fire(fire.schedule, 1, START, due=9.0), Fire(fire.schedule, 1, 77, "a", due=77.0)]
    (inserted,) = schedules.insert(new, "ann")
    assert (inserted.nominal, inserted.target, inserted.owner) == (77, "a", "")
    assert inserted.created == START
    assert schedules.fire(fire.id) == fire
    assert ids(schedules.take(me, 10)) == [inserted.id]


def test_fire_that_has_ended_begins_anew_when_asked_for(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    ended, running = claimed(schedules, me, "backup", "mail")
    marked(schedules, me, ended, FAILED, attempt=3, result=b"x", followed=True)
    again = [Fire(fire.schedule, 1, START, due=9.0, origin="backfill") for fire in (ended, running)]
    assert schedules.insert(again, "ann") == []
    (anew,) = schedules.insert(again, "ann", again=True)
    assert (anew.id, anew.state, anew.attempt, anew.result) == (ended.id, PENDING, 0, b"")
    assert (anew.owner, anew.origin, anew.followed) == ("", "backfill", False)
    assert schedules.fire(running.id) == running
    assert ids(schedules.take(me, 10)) == [ended.id]


def test_what_was_inserted_is_told_also_if_another_was_at_work_on_it_before_the_answer(
    place: Place, schedules: SqlScheduleStore, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = schedules.add(due(), "ann")
    new = [Fire(entry.id, 1, n, due=5.0, state=state) for n, state in ((5, PENDING), (6, WAITING))]
    deaf = place.store()

    def meanwhile() -> None:
        (taken,) = schedules.take(me, 10)
        marked(schedules, me, taken, SUBMITTED)
        (waiting,) = (one for one in schedules.fires() if one.state == WAITING)
        schedules.follow(me, (), (), [replace(waiting, state=PENDING)])

    unanswered(deaf, monkeypatch, meanwhile)
    assert [fire.nominal for fire in deaf.insert(new, "ann", again=True)] == [5, 6]
    assert [fire.state for fire in schedules.fires()] == [PENDING, SUBMITTED]


def test_bad_end_that_replaces_another_is_no_further_failure(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    marked(schedules, me, fire, LOST)
    assert failures(schedules) == 1
    for target, count in ((fire.target, 1), ("other", 2)):
        told = Fire(fire.schedule, 1, fire.nominal, target, state=FAILED, origin="offline")
        schedules.insert([told], "agent", again=True)
        assert failures(schedules) == count


def test_outcome_that_an_agent_reports_is_inserted_as_it_is(schedules: SqlScheduleStore) -> None:
    entry = schedules.add(due(), "ann")
    report = Fire(entry.id, 1, 5, "agent-1", state=DONE, origin="offline", ended=6.5, result=b"r")
    (stored,) = schedules.insert([report], "")
    assert (stored.state, stored.ended, stored.result) == (DONE, 6.5, b"r")
    assert schedules.unfollowed(10) == [stored]


# Consequences.


def test_fires_that_have_ended_are_to_be_followed_once(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    fires = claimed(schedules, me, "a", "b", "c")
    for fire in reversed(fires):
        place.clock.now += 1
        marked(schedules, me, fire, DONE, followed=fire is fires[1])
    ended = schedules.unfollowed(10)
    assert ids(ended) == [fires[2].id, fires[0].id]
    assert ids(schedules.unfollowed(1)) == [fires[2].id]
    schedules.follow(me, ended, [], [])
    assert schedules.unfollowed(10) == []
    assert all(fire.followed for fire in schedules.fires())


def test_consequences_are_drawn_in_one_transaction(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.add(due(), "ann")
    first, second = (
        Fire(0, 1, START, due=START),
        Fire(0, 1, START + 60, due=START, state=WAITING),
    )
    (running,) = schedules.claim(me, 10, planned(first, second))
    waiting = next(fire for fire in schedules.fires() if fire.state == WAITING)
    marked(schedules, me, running, DONE)
    after = schedules.add(due("after", next_fire=0), "ann")
    inserts = [
        Fire(after.id, 1, START, due=START, origin="after"),
        # There already: left alone.
        Fire(running.schedule, 1, START, due=START),
    ]
    changes = [replace(waiting, state=PENDING, due=START)]
    for _ in range(2):
        schedules.follow(me, schedules.unfollowed(10), inserts, changes)
    found = {(fire.schedule, fire.nominal): fire for fire in schedules.fires()}
    assert len(found) == 3
    assert found[running.schedule, START].state == DONE
    assert found[running.schedule, START + 60].state == PENDING
    assert found[after.id, START].state == PENDING
    assert len(schedules.take(me, 10)) == 2


def test_only_what_still_waits_is_released(schedules: SqlScheduleStore, me: Owner) -> None:
    (fire,) = claimed(schedules, me)
    marked(schedules, me, fire, SUBMITTED)
    schedules.follow(me, [], [], [replace(fire, state=PENDING)])
    assert [one.state for one in schedules.owned(me)] == [SUBMITTED]


@pytest.mark.parametrize("state", [PENDING, SUBMITTED, RUNNING, DONE])
def test_fire_waits_while_its_entry_has_another_on_its_way(
    schedules: SqlScheduleStore, me: Owner, state: str
) -> None:
    schedules.add(due(), "ann")
    fires = [Fire(0, 1, START, due=START)]
    fires += [Fire(0, 1, START + n, state=WAITING) for n in (1, 2)]
    (first,) = schedules.claim(me, 10, planned(*fires))
    marked(schedules, me, first, state)
    wanted = [START + 1, START + 2] if state == DONE else []
    assert [fire.nominal for fire in schedules.waiting(10)] == wanted
    assert len(schedules.waiting(1)) == len(wanted[:1])


# Listings.


def test_fires_are_listed_newest_first_within_bounds(schedules: SqlScheduleStore) -> None:
    one, two = schedules.add_all([due("one"), due("two")], "ann")
    new = [Fire(one.id, 1, n, due=9.0) for n in (1, 2, 3)] + [Fire(two.id, 1, 2, state=SKIPPED)]
    a, b, c, d = (schedules.insert([fire], "ann")[0] for fire in new)
    assert schedules.fires() == [d, c, b, a]
    assert schedules.fires(limit=2) == [d, c]
    assert schedules.fires(before=c.id) == [b, a]
    assert schedules.fires(schedule=one.id) == [c, b, a]
    assert schedules.fires(states=[SKIPPED, MISSED]) == [d]
    assert schedules.fires(since=2, until=2) == [d, b]
    assert schedules.fire(b.id) == b
    assert schedules.fire(d.id + 1_000) is None


def test_fires_of_a_moment_are_found_for_several_entries(schedules: SqlScheduleStore) -> None:
    one, two, three = schedules.add_all([due("one"), due("two"), due("three")], "ann")
    wanted = [Fire(one.id, 1, 5), Fire(one.id, 2, 5, "a"), Fire(two.id, 1, 5, state=DONE)]
    schedules.insert([*wanted, Fire(one.id, 1, 6), Fire(three.id, 1, 5)], "ann")
    found = schedules.at_nominal([one.id, two.id], 5)
    assert {(fire.schedule, fire.generation, fire.target) for fire in found} == {
        (fire.schedule, fire.generation, fire.target) for fire in wanted
    }


def test_open_fires_are_told_for_each_entry(schedules: SqlScheduleStore, me: Owner) -> None:
    first, second = claimed(schedules, me, "a", "b")
    marked(schedules, me, second, DONE)
    found = schedules.open_fires([first.schedule, second.schedule, 10**9])
    assert {entry: ids(fires) for entry, fires in found.items()} == {
        first.schedule: [first.id],
        second.schedule: [],
        10**9: [],
    }


def test_states_on_the_way_are_counted(schedules: SqlScheduleStore, me: Owner) -> None:
    assert schedules.counts() == {}
    fires = claimed(schedules, me, "a", "b", "c")
    marked(schedules, me, fires[0], SUBMITTED)
    marked(schedules, me, fires[1], DONE)
    assert schedules.counts() == {SUBMITTED: 1, PENDING: 1}


def test_history_is_trimmed_by_number_and_by_age(
    schedules: SqlScheduleStore,
) -> None:
    one, two = schedules.add_all([due("one"), due("two")], "ann")
    past = [Fire(one.id, 1, n, state=DONE, ended=float(n), followed=True) for n in range(1, 9)]
    schedules.insert(past, "")
    kept = [
        Fire(one.id, 1, 100, due=9.0),
        Fire(one.id, 1, 101, state=DONE, ended=1.0),
        Fire(two.id, 1, 1, state=DONE, ended=1.0, followed=True),
    ]
    schedules.insert(kept, "")
    assert schedules.trim(one.id, 5, 0.0) == 3
    assert schedules.trim(one.id, 5, 6.0) == 2
    left = sorted(fire.nominal for fire in schedules.fires(schedule=one.id))
    assert left == [6, 7, 8, 100, 101]
    assert len(schedules.fires(schedule=two.id)) == 1
