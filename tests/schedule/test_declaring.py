"""Entries as files declare them: what differs, and making it so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from geartrain.errors import EntryRefused, UsageError
from geartrain.schedule.declaring import apply, bring, changed_keys, compare, declared
from geartrain.schedule.desk import entries, pause
from geartrain.schedule.entry import from_definition, read_entry
from geartrain.store.schedule_rows import Plan
from geartrain.store.schedule_sql import open_schedules
from tests.schedule.desk import Desk
from tests.schedule.desk import desk as desk

WHO = "ann@host"


class File:
    """A file that declares entries, and what applying it does."""

    def __init__(self, desk: Desk, path: Path) -> None:
        self.desk = desk
        self.path = path

    def apply(self, text: str, *, adopt: bool = False) -> list[list[str]]:
        """Apply a text; return the names that were added, changed and removed."""
        self.path.write_text(text)
        source = "file"
        found = compare(self.desk.store, declared(self.path, source), source, adopt=adopt)
        apply(self.desk.store, found, WHO)
        return [
            [entry.name for entry in found.added],
            [entry.name for _, entry in found.changed],
            [row.name for row in found.removed],
        ]

    @property
    def names(self) -> list[str]:
        return [row.name for row in entries(self.desk.store)]


@pytest.fixture
def file(desk: Desk, tmp_path: Path) -> File:
    return File(desk, tmp_path / "entries.toml")


def table(name: str, **keys: str) -> str:
    pairs = {"when": "0 3 * * *", "function": "report"} | keys
    return f"[schedule.{name}]\n" + "".join(
        f'{key} = "{value}"\n' for key, value in pairs.items() if value
    )


def test_a_file_adds_changes_and_removes_what_is_its_own(file: File) -> None:
    file.desk.add("hand")
    assert file.apply(table("a") + table("b")) == [["a", "b"], [], []]
    assert file.apply(table("a") + table("b")) == [[], [], []]
    assert file.apply(table("b", when="@daily") + table("c")) == [["c"], ["b"], ["a"]]
    assert file.names == ["b", "c", "hand"]
    assert file.desk.row("b").source == "file"


def test_where_an_entry_has_got_to_stays(file: File) -> None:
    file.apply(table("a"))
    pause(file.desk.store, "a", WHO)
    before = file.desk.row("a")
    file.apply(table("a", description="nightly report"))
    after = file.desk.row("a")
    assert (after.id, after.generation, after.paused_at) == (
        before.id, before.generation, before.paused_at,
    )  # fmt: skip
    assert after.next_fire == before.next_fire


def test_moments_that_were_late_when_a_file_was_applied_have_a_row(file: File) -> None:
    file.apply(table("a") + table("b"))
    # No scheduler was there for two days.
    file.desk.now += 2 * 86_400
    file.apply(table("a", when="0 4 * * *") + table("b", description="the same"))
    (fire,) = file.desk.store.fires()
    assert (fire.schedule, fire.state, fire.count) == (file.desk.row("a").id, "missed", 2)


def test_what_fires_while_files_are_compared_is_not_missed(file: File) -> None:
    file.apply(table("a"))
    file.path.write_text(table("a", when="0 4 * * *"))
    store = file.desk.store
    found = compare(store, declared(file.path, "file"), "file")
    file.desk.now += 86_400
    fired = file.desk.row("a").next_fire
    me = store.join("one", "here", 60.0, "")
    store.claim(me, 1, lambda row, *_: Plan(fired + 86_400, fired, row.runs + 1))
    apply(store, found, WHO)
    assert store.fires() == []
    assert (file.desk.row("a").last_nominal, file.desk.row("a").runs) == (fired, 1)


def test_an_entry_of_somebody_else_is_taken_over_only_if_asked(file: File) -> None:
    file.desk.add("a")
    with pytest.raises(EntryRefused, match="was added by hand; --adopt takes it over"):
        file.apply(table("a"))
    file.apply(table("a"), adopt=True)
    assert file.desk.row("a").source == "file"


def test_entries_that_wait_for_each_other_come_and_go_together(file: File) -> None:
    later = table("a", when="", after="b")
    assert file.apply(later + table("b")) == [["a", "b"], [], []]
    with pytest.raises(UsageError, match="it would wait for itself"):
        file.apply(later + table("b", when="", after="a"))
    with pytest.raises(EntryRefused, match="waits for"):
        file.apply(later)
    assert file.names == ["a", "b"]
    assert file.apply("") == [[], [], ["a", "b"]]


def test_what_others_wait_for_does_not_go(file: File) -> None:
    file.apply(table("a"))
    file.desk.add("hand", when=None, after=["a"])
    with pytest.raises(EntryRefused, match="entry hand: it waits for a, which would go"):
        file.apply("")
    assert file.names == ["a", "hand"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[schedule.a]\nwhen = 5\n", "entry a: when takes a text"),
        ('schedule = "x"\n', "schedule has to be a table"),
        ('[schedule]\na = "x"\n', r"schedule.a has to be a table, written \[schedule.a\]"),
        ("[schedul.a]\n", "did you mean 'schedule'"),
        ("[schedule.a\n", "is not valid TOML"),
        ('[schedule.a]\nwhen = "@daily"\nfunctoin = "x"\n', "did you mean 'function'"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(file: File, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        file.apply(text)
    assert file.names == []


def test_a_file_is_applied_whole_or_not_at_all(file: File) -> None:
    file.apply(table("a") + table("b") + table("c"))
    file.path.write_text(table("a", when="@daily") + table("b", when="@daily") + table("d"))
    found = compare(file.desk.store, declared(file.path, "file"), "file")
    # Somebody is faster.
    pause(file.desk.store, "b", WHO)
    refusal = "entry b: somebody has changed it meanwhile: .*; nothing of file was applied"
    with pytest.raises(EntryRefused, match=refusal):
        apply(file.desk.store, found, WHO)
    assert file.names == ["a", "b", "c"]
    assert {row.expression for row in entries(file.desk.store)} == {"0 3 * * *"}
    found = compare(file.desk.store, declared(file.path, "file"), "file")
    apply(file.desk.store, found, WHO)
    assert file.names == ["a", "b", "d"]
    assert [row.expression for row in entries(file.desk.store)] == ["@daily", "@daily", "0 3 * * *"]


def test_what_differs_is_said_key_by_key(file: File) -> None:
    file.path.write_text(table("a", retry_delay="5s") + table("b", jitter="30s", when="@daily"))
    one, other = declared(file.path, "file")
    assert changed_keys(one, other) == [("when", "0 3 * * *", "@daily"), ("jitter", None, "30s")]


def test_schedulers_that_start_together_bring_the_same_file(desk: Desk) -> None:
    wanted = [
        read_entry(f"e{number}", {"when": "@daily", "function": "f", "source": "file"})
        for number in range(100)
    ]
    stores = [open_schedules(desk.url) for _ in range(3)]
    for store in stores:
        store.open()
    with ThreadPoolExecutor(len(stores)) as pool:
        found = list(pool.map(lambda store: bring(store, wanted, "file", WHO), stores))
        changed = [replace(entry, jitter=5.0) for entry in wanted[:20]]
        again = list(pool.map(lambda store: bring(store, changed, "file", WHO), stores))
    for store in stores:
        store.close()
    assert len(found) == len(again) == 3
    rows = list(entries(desk.store))
    assert sorted(row.name for row in rows) == sorted(entry.name for entry in changed)
    assert {from_definition(row.definition).jitter for row in rows} == {5.0}


def test_what_can_not_be_brought_is_refused_and_not_tried_for_ever(desk: Desk) -> None:
    desk.add("hand")
    wanted = [read_entry("hand", {"when": "@daily", "function": "f", "source": "file"})]
    with pytest.raises(EntryRefused, match="was added by hand"):
        bring(desk.store, wanted, "file", WHO)
    orphan = [read_entry("b", {"after": "nobody", "function": "f", "source": "file"})]
    with pytest.raises(UsageError, match="there is no entry 'nobody'"):
        bring(desk.store, orphan, "file", WHO)
