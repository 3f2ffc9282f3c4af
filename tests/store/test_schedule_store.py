"""Each rule of ``ScheduleStore`` about instances, entries and claims, on each database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from geartrain.errors import LeaseLost, UsageError
from geartrain.store.schedule_rows import (
    CANCELLED,
    DONE,
    PENDING,
    RUNNING,
    SKIPPED,
    SUBMITTED,
    WAITING,
    Agent,
    Fire,
    Owner,
    Plan,
    Schedule,
)
from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules
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

NAMES = ["backup", "mail", "report"]


def names(found: Sequence[Schedule]) -> list[str]:
    return [schedule.name for schedule in found]


def stored(store: SqlScheduleStore, name: str = "backup") -> Schedule:
    found = store.schedule(name)
    assert found is not None
    return found


# The store.


def test_store_may_be_opened_and_closed_twice(place: Place) -> None:
    place.store()
    store = open_schedules(place.url())
    store.open()
    store.open()
    store.add(due(), "ann")
    store.close()
    store.close()
    store.open()
    assert names(store.schedules()) == ["backup"]
    store.close()


def test_name_is_the_url_without_a_password(schedules: SqlScheduleStore) -> None:
    assert "://" in schedules.name
    assert "s3cret" not in schedules.name


def test_time_is_the_database_s(place: Place, schedules: SqlScheduleStore) -> None:
    assert schedules.now() == START
    url = place.url()
    store = open_schedules(url)
    store.open()
    # On this machine, with one clock.
    assert abs(store.now() - time.time()) < 5
    store.close()


@pytest.mark.parametrize("url", ["memory:", "redis://host/0", "memcached://host", "sqlit:///x"])
def test_url_of_a_store_without_schedules_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_schedules(url)


# Instances.


def test_each_lease_under_a_name_has_a_later_epoch(schedules: SqlScheduleStore) -> None:
    first = schedules.join("one", "here", LEASE, "2025b")
    second = schedules.join("one", "here", LEASE, "2025b")
    assert second.epoch > first.epoch
    assert not schedules.renew(first, LEASE, 0.0)
    assert schedules.renew(second, LEASE, 0.0)


def test_epoch_of_an_instance_that_left_does_not_come_again(
    place: Place, schedules: SqlScheduleStore
) -> None:
    first = schedules.join("one", "here", LEASE, "2025b")
    schedules.leave(first)
    place.clock.now += 1
    assert schedules.join("one", "here", LEASE, "2025b").epoch > first.epoch


def test_joining_again_frees_what_the_name_owned(schedules: SqlScheduleStore, me: Owner) -> None:
    (fire,) = claimed(schedules, me)
    schedules.join("one", "here", LEASE, "2025b")
    other = schedules.join("two", "there", LEASE, "2025b")
    assert [taken.id for taken in schedules.take(other, 10)] == [fire.id]


def test_lease_that_has_ended_is_not_renewed(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    place.clock.now += LEASE - 1
    assert schedules.renew(me, LEASE, 0.0)
    place.clock.now += LEASE
    assert not schedules.renew(me, LEASE, 0.0)


def test_instances_tell_about_themselves(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.join("another", "there", LEASE, "2024a")
    assert schedules.renew(me, LEASE, 1.25)
    other, mine = schedules.instances()
    assert (other.name, mine.name) == ("another", "one")
    assert (mine.epoch, mine.host, mine.skew, mine.tzdata) == (me.epoch, "here", 1.25, "2025b")
    assert (mine.started, mine.expires) == (START, START + LEASE)


def test_instance_that_left_is_gone_and_what_it_owned_is_free_at_once(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    schedules.leave(me)
    assert schedules.instances() == []
    other = schedules.join("two", "there", LEASE, "2025b")
    assert [taken.id for taken in schedules.take(other, 10)] == [fire.id]


def fenced_by_time(place: Place, store: SqlScheduleStore, me: Owner) -> None:
    place.clock.now += LEASE


def fenced_by_name(place: Place, store: SqlScheduleStore, me: Owner) -> None:
    store.join(me.instance, "elsewhere", 10 * LEASE, "2025b")


@pytest.mark.parametrize("fence", [fenced_by_time, fenced_by_name])
def test_fenced_owner_writes_nothing(
    place: Place,
    schedules: SqlScheduleStore,
    me: Owner,
    fence: Callable[[Place, SqlScheduleStore, Owner], None],
) -> None:
    (fire,) = claimed(schedules, me)
    schedules.add(due("other"), "ann")
    ended = schedules.insert([Fire(fire.schedule, 1, 5, state=SKIPPED)], "ann")
    fence(place, schedules, me)
    before = schedules.fires()
    with pytest.raises(LeaseLost):
        schedules.claim(me, 10, every_minute)
    with pytest.raises(LeaseLost):
        schedules.mark(me, [replace(fire, state=SUBMITTED)], (), unmerged)
    with pytest.raises(LeaseLost):
        schedules.follow(me, ended, [Fire(fire.schedule, 1, 6)], [])
    with pytest.raises(LeaseLost):
        schedules.sent(me, [])
    schedules.leave(me)
    assert [replace(one, owner="", epoch=0) for one in schedules.fires()] == [
        replace(one, owner="", epoch=0) for one in before
    ]
    assert stored(schedules, "other").next_fire == START


# Entries.


def test_entry_comes_back_as_it_was_stored(schedules: SqlScheduleStore) -> None:
    given = Schedule(
        "backup",
        '{"name": "backup", "description": "größer"}',
        kind="every",
        expression="@every 90s",
        timezone="Europe/Berlin",
        function="back up",
        target="all",
        source="cron.toml",
        generation=7,
        enabled=False,
        next_fire=1_800_000_000,
        last_nominal=1_799_999_910,
        since=1_699_999_000,
        runs=12,
        failures=3,
        paused_at=1.5,
        paused_by="ann",
        paused_why="größer",
        paused_until=1_900_000_000.25,
    )
    added = schedules.add(given, "ann")
    assert added == replace(given, id=added.id)
    assert added.id > 0
    assert schedules.schedule("backup") == added
    assert schedules.schedule("Backup") is None


def test_text_that_no_database_takes_is_written_as_near_as_may_be(
    schedules: SqlScheduleStore,
) -> None:
    schedules.add(due(paused_why="a\0b \ud800"), "\0")
    assert stored(schedules).paused_why in ("a\ufffdb ?", "a\ufffdb \ufffd")


def test_entry_of_a_taken_name_is_refused(schedules: SqlScheduleStore) -> None:
    schedules.add(due(), "ann")
    with pytest.raises(UsageError, match="entry backup: there is one already"):
        schedules.add(due(), "ben")


def test_names_are_compared_byte_by_byte(schedules: SqlScheduleStore) -> None:
    for name in ("b", "B", "a-b", "ab", "a_b"):
        schedules.add(due(name), "ann")
    assert names(schedules.schedules()) == sorted(["b", "B", "a-b", "ab", "a_b"])


def test_id_is_never_given_to_another_entry(schedules: SqlScheduleStore) -> None:
    first = schedules.add(due(), "ann")
    schedules.remove("backup", "ann")
    assert schedules.add(due(), "ann").id > first.id


def test_many_entries_are_added_all_or_none(schedules: SqlScheduleStore) -> None:
    added = schedules.add_all([due(name) for name in NAMES], "ann")
    assert [schedules.schedule(name) for name in NAMES] == list(added)
    with pytest.raises(UsageError, match="entry mail: there is one already"):
        schedules.add_all([due("new"), due("mail")], "ann")
    with pytest.raises(UsageError, match="2 entries are called 'twin'"):
        schedules.add_all([due("twin"), due("twin")], "ann")
    assert names(schedules.schedules()) == NAMES


def test_revision_rises_with_every_change_by_a_person(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    seen = [schedules.revision()]
    entry = schedules.add(due(), "ann")
    seen.append(schedules.revision())
    schedules.replace(entry, "ann")
    seen.append(schedules.revision())
    schedules.remove("backup", "ann")
    seen.append(schedules.revision())
    assert sorted(set(seen)) == seen
    claimed(schedules, me, "other")
    before = schedules.revision()
    schedules.claim(me, 10, every_minute)
    assert schedules.revision() == before


def test_replaced_entry_has_a_new_revision(schedules: SqlScheduleStore) -> None:
    entry = schedules.add(due(), "ann")
    written = schedules.replace(replace(entry, definition="[]", name="other"), "ann")
    assert written.revision == entry.revision + 1
    assert schedules.schedule("other") == written
    assert written.id == entry.id
    assert schedules.schedule("backup") is None


def test_replacing_what_another_has_changed_is_refused(schedules: SqlScheduleStore) -> None:
    entry = schedules.add(due(), "ann")
    schedules.replace(replace(entry, paused_by="ben"), "ben")
    with pytest.raises(UsageError, match="entry backup: somebody has changed it meanwhile"):
        schedules.replace(replace(entry, paused_by="ann"), "ann")
    assert stored(schedules).paused_by == "ben"


def test_replacing_what_is_gone_or_takes_a_name_is_refused(schedules: SqlScheduleStore) -> None:
    entry = schedules.add(due(), "ann")
    schedules.add(due("mail"), "ann")
    with pytest.raises(UsageError, match="entry mail: there is one already"):
        schedules.replace(replace(entry, name="mail"), "ann")
    schedules.remove("backup", "ann")
    with pytest.raises(UsageError, match="entry backup: somebody has removed it meanwhile"):
        schedules.replace(entry, "ann")


def test_replacing_does_not_undo_a_claim(schedules: SqlScheduleStore, me: Owner) -> None:
    entry = schedules.add(due(), "ann")
    schedules.claim(me, 10, every_minute)
    edited = replace(entry, definition="[]", since=5, failures=9)
    schedules.replace(edited, "ann")
    after = stored(schedules)
    assert (after.definition, after.next_fire, after.last_nominal) == ("[]", START + 60, START)
    assert (after.since, after.runs, after.failures) == (0, 1, 0)


def test_larger_generation_starts_the_entry_anew(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.add(due(), "ann")
    schedules.claim(me, 10, every_minute)
    anew = replace(stored(schedules), generation=2, next_fire=START + 7, since=START, runs=0)
    schedules.replace(anew, "ann")
    assert stored(schedules) == replace(anew, revision=2)
    assert schedules.next_fire() == START + 7


def test_entries_are_altered_all_or_none(schedules: SqlScheduleStore) -> None:
    backup, mail, report = schedules.add_all([due(name) for name in NAMES], "ann")
    revision = schedules.revision()
    with pytest.raises(UsageError, match="entry gone: somebody has removed it"):
        schedules.alter(
            [due("new")], [replace(mail, generation=2), due("gone", id=99)], [backup.name], "ann"
        )
    with pytest.raises(UsageError, match="entry mail: there is one already"):
        schedules.alter([due("mail")], [], [backup.name], "ann")
    assert schedules.revision() == revision
    assert list(schedules.schedules()) == sorted([backup, mail, report], key=lambda it: it.name)
    # A name that becomes free may be taken at once.
    schedules.alter(
        [due(report.name)], [replace(mail, name=backup.name)], [backup.name, report.name], "ann"
    )
    found = {row.name: row.id for row in schedules.schedules()}
    assert found[backup.name] == mail.id
    assert found[report.name] > report.id
    assert len(found) == 2
    # Counted once, and last: who changes an entry meanwhile locks that one first, too.
    assert schedules.revision() == revision + 1


def test_removed_entry_keeps_its_history_and_cancels_what_was_not_submitted(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    entry = schedules.add(due(), "ann")
    fires = [Fire(entry.id, 1, START, str(n), due=START) for n in range(2)]
    fires.append(Fire(entry.id, 1, START, "2", state=WAITING))
    kept, *_ = schedules.claim(me, 10, planned(*fires))
    marked(schedules, me, kept, SUBMITTED)
    assert schedules.remove("backup", "ann")
    assert not schedules.remove("backup", "ann")
    assert schedules.schedule("backup") is None
    states = {fire.target: fire.state for fire in schedules.fires(schedule=entry.id)}
    assert states == {"0": SUBMITTED, "1": CANCELLED, "2": CANCELLED}
    assert schedules.next_fire() == 0


def test_entries_are_listed_in_pages_by_name(schedules: SqlScheduleStore) -> None:
    schedules.add_all([due(name) for name in reversed(NAMES)], "ann")
    assert names(schedules.schedules(limit=2)) == ["backup", "mail"]
    assert names(schedules.schedules(after="mail", limit=2)) == ["report"]


def test_entries_are_found_by_kind_and_by_ids(schedules: SqlScheduleStore) -> None:
    backup, mail, _ = schedules.add_all(
        [due("backup"), due("mail", kind="after"), due("report", kind="after")], "ann"
    )
    assert names(schedules.schedules(kind="after")) == ["mail", "report"]
    assert schedules.schedules(ids=[mail.id, backup.id, 999_999]) == [backup, mail]


def test_book_of_changes_tells_who_did_what(place: Place, schedules: SqlScheduleStore) -> None:
    entry = schedules.add(due(), "ann")
    place.clock.now += 1
    schedules.replace(replace(entry, definition="[]"), "ben")
    schedules.insert([Fire(entry.id, 1, 77, origin="run-now")], "cid")
    schedules.remove("backup", "dan")
    lines = schedules.audit()
    assert [(one.who, one.action, one.subject) for one in lines] == [
        ("dan", "remove", "backup"),
        ("cid", "run-now", "backup"),
        ("ben", "replace", "backup"),
        ("ann", "add", "backup"),
    ]
    assert (lines[2].before, lines[2].after, lines[2].at) == ("{}", "[]", START + 1)
    assert list(schedules.audit(before=lines[1].id, limit=1)) == [lines[2]]


# Claiming.


def test_claim_returns_the_pending_fires_that_it_has_stored(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    entry = schedules.add(due(), "ann")
    (fire,) = schedules.claim(me, 10, every_minute)
    assert (fire.schedule, fire.nominal, fire.state) == (entry.id, START, PENDING)
    assert (fire.owner, fire.epoch, fire.created) == (me.instance, me.epoch, START)
    assert schedules.fire(fire.id) == fire
    assert schedules.owned(me) == [fire]
    assert schedules.claim(me, 10, every_minute) == ()
    assert schedules.next_fire() == START + 60


def test_claim_takes_the_earliest_first_and_no_more_than_the_limit(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    for number, name in enumerate(NAMES):
        schedules.add(due(name, next_fire=START - number), "ann")
    fires = schedules.claim(me, 2, every_minute)
    assert sorted(fire.nominal for fire in fires) == [START - 2, START - 1]
    assert [fire.nominal for fire in schedules.claim(me, 2, every_minute)] == [START]


@pytest.mark.parametrize(
    "values",
    [
        {"enabled": False},
        {"next_fire": 0},
        {"next_fire": START + 1},
        {"paused_at": 5.0},
        {"paused_at": 5.0, "paused_until": START + 1.0},
    ],
)
def test_entry_that_may_not_fire_is_not_claimed(
    schedules: SqlScheduleStore, me: Owner, values: dict[str, Any]
) -> None:
    schedules.add(due(**values), "ann")
    assert schedules.claim(me, 10, every_minute) == ()
    assert schedules.fires() == []


def test_pause_that_is_over_is_seen_by_the_plan_and_taken_away(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    paused = due(paused_at=5.0, paused_by="ann", paused_why="move", paused_until=START + 9.5)
    entry = schedules.add(paused, "ann")
    assert schedules.next_fire() == START + 9
    place.clock.now += 9.5
    seen = []

    def plan(schedule: Schedule, *rest: Any) -> Plan:
        seen.append(replace(schedule))
        return every_minute(schedule, *rest)

    assert len(schedules.claim(me, 10, plan)) == 1
    assert seen == [entry]
    after = stored(schedules)
    assert (after.paused_at, after.paused_by, after.paused_why) == (0.0, "", "")
    assert after.paused_until == 0.0


def test_what_is_put_off_keeps_its_pause_until_it_is_planned(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    pause = {"paused_at": 5.0, "paused_by": "ann", "paused_why": "move", "paused_until": START - 1}
    row = schedules.add(due(next_fire=START - 60, **pause), "ann")

    def put_off(*given: Any) -> Plan:
        return replace(every_minute(*given), next_fire=row.next_fire, wake=START, fires=[])

    assert schedules.claim(me, 10, put_off) == ()
    after = stored(schedules)
    assert {key: getattr(after, key) for key in pause} == pause
    assert len(schedules.claim(me, 10, every_minute)) == 1
    after = stored(schedules)
    assert (after.paused_at, after.paused_by, after.paused_until) == (0.0, "", 0.0)


def test_plan_is_given_the_time_what_has_not_ended_and_agents_alive(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    schedules.greet(Agent("gone"), 1.0)
    schedules.greet(Agent("alive", ("a", "b")), 100.0)
    (first,) = claimed(schedules, me)
    schedules.insert([Fire(first.schedule, 1, 5, state=SKIPPED)], "ann")
    place.clock.now += 60
    seen: list[Any] = []

    def plan(*given: Any) -> Plan:
        seen.extend(given[1:])
        return every_minute(*given)

    schedules.claim(schedules.join("two", "there", LEASE, ""), 10, plan)
    now, underway, agents = seen
    assert now == START + 60
    assert [fire.id for fire in underway] == [first.id]
    assert [(agent.name, agent.tags) for agent in agents] == [("alive", ("a", "b"))]


def test_plan_of_what_is_late_is_given_what_agents_ran_meanwhile(
    place: Place, schedules: SqlScheduleStore
) -> None:
    row = schedules.add(due(), "ann")
    ran = Fire(row.id, 1, START + 1, "a", state=DONE, origin="offline", attempt=1)
    other = Fire(row.id, 1, START + 2, "a", state=DONE, origin="run-now")
    earlier = replace(ran, nominal=START - 1)
    elsewhere = replace(ran, generation=2)
    schedules.insert([ran, other, earlier, elsewhere], "agent a")
    place.clock.now += 60
    me = schedules.join("two", "there", 10 * LEASE, "")
    seen: list[Any] = []

    def plan(*given: Any) -> Plan:
        seen.extend(given[2])
        # Nothing is planned yet: it is looked at again in a while.
        return replace(every_minute(*given), next_fire=START, wake=START + 90, fires=[])

    assert schedules.claim(me, 10, plan) == ()
    assert [(fire.nominal, fire.target, fire.state) for fire in seen] == [(START + 1, "a", DONE)]
    assert (stored(schedules).next_fire, schedules.next_fire()) == (START, START + 90)
    assert schedules.claim(me, 10, every_minute) == ()
    place.clock.now += 30
    assert len(schedules.claim(me, 10, every_minute)) == 1


def test_plan_is_written_as_it_was_answered(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.add(due(), "ann")
    answer = planned(next_fire=START + 5, last_nominal=START - 1, runs=7, generation=3)
    assert schedules.claim(me, 10, answer) == ()
    after = stored(schedules)
    assert (after.next_fire, after.last_nominal, after.runs) == (START + 5, START - 1, 7)
    assert (after.generation, after.enabled, after.revision) == (3, True, 1)
    schedules.replace(replace(after, generation=4, next_fire=START), "ann")
    schedules.claim(me, 10, planned(next_fire=START, enabled=False))
    assert not stored(schedules).enabled
    assert schedules.next_fire() == 0


def test_only_what_is_pending_and_due_is_owned_and_returned(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    schedules.add(due(), "ann")
    fires = [
        Fire(0, 1, START, "now", due=START),
        Fire(0, 1, START, "later", due=START + 0.5),
        Fire(0, 1, START, "waiting", state=WAITING, due=START),
        Fire(0, 1, START, "skipped", state=SKIPPED, reason="busy", count=3),
    ]
    assert [fire.target for fire in schedules.claim(me, 10, planned(*fires))] == ["now"]
    found = {fire.target: fire for fire in schedules.fires()}
    assert {name for name, fire in found.items() if fire.owner} == {"now"}
    skipped = found["skipped"]
    assert (skipped.reason, skipped.count, skipped.ended) == ("busy", 3, START)


def test_fire_whose_key_is_there_is_neither_changed_nor_returned(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    entry = stored(schedules)
    schedules.replace(replace(entry, generation=2, next_fire=START), "ann")
    plan = planned(Fire(0, 1, START, due=START), Fire(0, 1, START + 1, due=START, origin="x"))
    (new,) = schedules.claim(me, 10, plan)
    assert (new.nominal, new.origin) == (START + 1, "x")
    assert schedules.fire(fire.id) == fire


def test_same_fire_planned_twice_is_one(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.add(due(), "ann")
    fire = Fire(0, 1, START, due=START)
    assert len(schedules.claim(me, 10, planned(fire, fire))) == 1


def test_plan_changes_earlier_fires_whoever_owns_them(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    (first,) = claimed(schedules, me)
    marked(schedules, me, first, RUNNING)
    place.clock.now += 60
    other = schedules.join("two", "there", LEASE, "")
    change = replace(first, state=CANCELLED, reason="a later one came")
    schedules.claim(other, 10, lambda *_: Plan(0, START + 60, 2, changes=[change]))
    after = schedules.fire(first.id)
    assert after is not None
    assert (after.state, after.reason, after.ended) == (CANCELLED, change.reason, START + 60)


def test_plan_that_fails_leaves_everything_as_it_was(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    schedules.add_all([due(name) for name in NAMES], "ann")

    def plan(schedule: Schedule, *rest: Any) -> Plan:
        if schedule.name == "report":
            raise ValueError("a mistake")
        return every_minute(schedule, *rest)

    with pytest.raises(ValueError, match="a mistake"):
        schedules.claim(me, 10, plan)
    assert schedules.fires() == []
    assert len(schedules.claim(me, 10, every_minute)) == 3


def test_instances_that_claim_at_once_never_get_the_same_fire(place: Place) -> None:
    entries = 60
    rounds = 4
    first = place.store()
    first.add_all([due(f"entry-{n}") for n in range(entries)], "ann")
    place.clock.now += 60 * (rounds - 1)
    got: dict[str, list[tuple[int, int]]] = {}

    def work(name: str) -> None:
        store = place.store()
        me = store.join(name, "here", LEASE, "")
        mine = got.setdefault(name, [])
        while store.next_fire() <= place.clock.now:
            mine += [(fire.schedule, fire.nominal) for fire in store.claim(me, 7, every_minute)]

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claims = [claim for mine in got.values() for claim in mine]
    assert len(claims) == len(set(claims)) == entries * rounds
    assert len(first.fires(limit=1_000)) == entries * rounds
