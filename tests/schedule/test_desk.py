"""Looking entries up and changing them: what is done, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geartrain.errors import EntryNotFound, EntryRefused, UsageError
from geartrain.schedule import desk as at
from geartrain.schedule.entry import from_definition, read_entry
from geartrain.store.schedule_rows import Plan
from tests.schedule.desk import Desk, moment
from tests.schedule.desk import desk as desk

WHO = "ann@host"


def test_a_new_entry_fires_from_now_on(desk: Desk) -> None:
    row = desk.add()
    assert row.next_fire == moment("2026-03-02T03:00:00Z")
    assert desk.store.audit()[0].who == WHO


def test_a_name_is_given_once(desk: Desk) -> None:
    desk.add()
    with pytest.raises(EntryRefused, match="there is one already"):
        desk.add()


def test_entries_are_chosen_by_pattern_source_and_group(desk: Desk) -> None:
    for name, keys in [("a/x", {"group": "g"}), ("a/y", {"source": "s"}), ("b", {})]:
        desk.add(name, **keys)
    assert [row.name for row in at.entries(desk.store)] == ["a/x", "a/y", "b"]
    assert [row.name for row in at.entries(desk.store, pattern="a/*")] == ["a/x", "a/y"]
    assert [row.name for row in at.entries(desk.store, source="s")] == ["a/y"]
    assert [row.name for row in at.entries(desk.store, source="")] == ["a/x", "b"]
    assert [row.name for row in at.entries(desk.store, group="g")] == ["a/x"]


def test_more_entries_than_a_page_are_all_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at, "_PAGE", 2)
    for name in "abcde":
        desk.add(name)
    assert [row.name for row in at.entries(desk.store)] == [*"abcde"]


def test_a_name_that_is_not_there_brings_those_that_may_be_meant(desk: Desk) -> None:
    desk.add("web1/root/backup")
    desk.add("nightly")
    with pytest.raises(EntryNotFound, match=r"did you mean nightly\?"):
        at.find(desk.store, "nightli")
    with pytest.raises(EntryNotFound, match="did you mean web1/root/backup"):
        at.find(desk.store, "backup")
    with pytest.raises(EntryNotFound, match="geartrain cron ls"):
        at.find(desk.store, "zzz")


def test_a_change_leaves_other_keys_as_they_are(desk: Desk) -> None:
    desk.add(retries=3, jitter="30s")
    desk.now += 3600
    before, after = at.change(desk.store, "nightly", {"when": "0 4 * * *"}, WHO, unset=("jitter",))
    entry = from_definition(after.definition)
    assert (entry.when, entry.retries, entry.jitter) == ("0 4 * * *", 3, 0)
    assert after.next_fire == moment("2026-03-02T04:00:00Z")
    assert after.generation == before.generation + 1
    assert desk.row() == after


def test_what_can_not_be_is_not_written(desk: Desk) -> None:
    row = desk.add()
    with pytest.raises(UsageError, match="did you mean 'skip'"):
        at.change(desk.store, "nightly", {"overlap": "skp"}, WHO)
    assert desk.row() == row


def test_a_change_of_what_somebody_else_changed_is_refused(desk: Desk) -> None:
    row = desk.add()
    at.change(desk.store, "nightly", {"retries": 1}, "bob@host")
    with pytest.raises(EntryRefused, match="its revision is 2 by now, not 1"):
        at.change(desk.store, "nightly", {"retries": 2}, WHO, revision=row.revision)
    with pytest.raises(EntryRefused, match="changed"):
        at.rewrite(desk.store, row, read_entry("nightly", {"when": "@daily", "function": "x"}), WHO)


def test_a_pause_says_who_why_and_until(desk: Desk) -> None:
    desk.add()
    row = at.pause(desk.store, "nightly", WHO, why="moving", until=desk.now + 60).after
    assert (row.paused_at, row.paused_by, row.paused_why) == (desk.now, WHO, "moving")
    assert row.paused_until == desk.now + 60
    with pytest.raises(UsageError, match="in the past"):
        at.pause(desk.store, "nightly", WHO, until=desk.now)


def test_what_fell_into_a_pause_is_not_fired(desk: Desk) -> None:
    desk.add()
    at.pause(desk.store, "nightly", WHO)
    desk.now += 3 * 86_400
    row = at.resume(desk.store, "nightly", WHO).after
    assert (row.paused_at, row.next_fire) == (0, moment("2026-03-05T03:00:00Z"))
    (fire,) = desk.store.fires()
    assert (fire.state, fire.count, fire.nominal) == ("skipped", 3, moment("2026-03-02T03:00:00Z"))
    assert fire.reason == f"paused by {WHO}"


def test_moments_that_were_late_when_the_entry_was_changed_have_a_row(desk: Desk) -> None:
    desk.add()
    # No scheduler was there for two days.
    desk.now += 2 * 86_400
    at.change(desk.store, "nightly", {"description": "does not matter"}, WHO)
    assert desk.store.fires() == []
    at.change(desk.store, "nightly", {"when": "0 4 * * *"}, WHO)
    (fire,) = desk.store.fires()
    assert (fire.state, fire.count, fire.nominal) == ("missed", 2, moment("2026-03-02T03:00:00Z"))
    assert "changed before it was caught up" in fire.reason


def test_what_fires_while_a_person_edits_is_not_missed(desk: Desk) -> None:
    row = desk.add()
    desk.now += 86_400
    me = desk.store.join("one", "here", 60.0, "")
    fired = row.next_fire
    desk.store.claim(me, 1, lambda row, *_: Plan(fired + 86_400, fired, row.runs + 1))
    entry = replace(from_definition(row.definition), when="0 4 * * *")
    done = at.rewrite(desk.store, row, entry, WHO)
    assert desk.store.fires() == []
    assert (done.after.last_nominal, done.after.runs) == (fired, 1)
    with pytest.raises(EntryRefused, match="somebody has changed it meanwhile"):
        at.rewrite(desk.store, row, entry, WHO)
    desk.store.remove("nightly", WHO)
    with pytest.raises(EntryRefused, match="somebody has removed it meanwhile"):
        at.rewrite(desk.store, row, entry, WHO)


def test_what_is_not_paused_is_not_resumed(desk: Desk) -> None:
    desk.add()
    desk.add("off", enabled=False)
    with pytest.raises(EntryRefused, match=r"it is not paused$"):
        at.resume(desk.store, "nightly", WHO)
    with pytest.raises(EntryRefused, match="cron edit off --enabled"):
        at.resume(desk.store, "off", WHO)


def test_an_entry_that_others_wait_for_stays(desk: Desk) -> None:
    desk.add()
    desk.add("later", when=None, after=["nightly"])
    with pytest.raises(EntryRefused, match="later would wait for it for ever"):
        at.remove(desk.store, "nightly", WHO)
    at.remove(desk.store, "later", WHO)
    at.remove(desk.store, "nightly", WHO)
    assert list(at.entries(desk.store)) == []


def test_an_entry_waits_for_one_that_is_there_and_not_for_itself(desk: Desk) -> None:
    with pytest.raises(UsageError, match="there is no entry 'nightly'"):
        desk.add("later", when=None, after=["nightly"])
    desk.add()
    desk.add("later", when=None, after=["nightly"])
    with pytest.raises(UsageError, match="it would wait for itself"):
        at.change(desk.store, "nightly", {"when": "", "after": ["later"]}, WHO)
