"""What an agent that is cut off fires by itself, and which copy it believes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geartrain.agent.copy import LocalCopy
from geartrain.agent.journal import Journal
from geartrain.agent.local import LocalFires
from geartrain.agent.settings import AgentSettings, check_settings, load_agent_settings
from geartrain.errors import UsageError
from geartrain.schedule.entry import Entry, to_definition
from geartrain.schedule.envelope import DONE, FAILED, NEXT_RUN, Answer
from geartrain.schedule.greeting import Reply, Standing, Table
from geartrain.schedule.key_file import read_key
from geartrain.schedule.planning import plan
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import PENDING, WAITING, Agent, Fire

# A whole minute.
NOW = 1_769_904_000
KEY = b"a key that both sides have"


def fires_of(*entries: Entry, begin: float = NOW, **standing: Any) -> LocalFires:
    standings = tuple(
        Standing(
            **{"schedule": number, "generation": 1, "definition": to_definition(entry), **standing}
        )
        for number, entry in enumerate(entries, 1)
    )
    return LocalFires(Table(agent="a", revision=1, made=NOW, entries=standings), (), begin)


def entry(**values: Any) -> Entry:
    return Entry(**{"name": "e", "when": "* * * * *", "command": "c", "target": "all", **values})


def begun(fires: LocalFires, now: float) -> list[Fire]:
    assert fires.plan(now) == []
    return fires.begin(now, 100)


def test_its_fires_are_those_that_the_scheduler_makes() -> None:
    one = entry(jitter=7.0)
    row = to_schedule(one, NOW)
    row.id = 1
    theirs = plan(row, NOW + 60.0, [], [Agent("a")]).fires
    local = fires_of(one, since=NOW)
    assert local.plan(NOW + 60.0) == []
    ours = local.open[1]
    assert [(f.schedule, f.generation, f.nominal, f.target, f.due) for f in ours] == [
        (f.schedule, f.generation, f.nominal, f.target, f.due) for f in theirs
    ]


def test_moments_before_the_scheduler_s_last_word_are_not_its_business() -> None:
    fires = fires_of(entry(catch_up="all"), begin=NOW + 120.5, last_nominal=NOW)
    assert fires.next_time() == NOW + 180
    assert [fire.nominal for fire in begun(fires, NOW + 240.0)] == [NOW + 180]


def test_a_fire_begins_once_and_the_next_one_is_skipped_while_it_runs() -> None:
    fires = fires_of(entry())
    [fire] = begun(fires, NOW + 60.0)
    assert (fire.nominal, fire.attempt, fire.target) == (NOW + 60, 1, "a")
    assert begun(fires, NOW + 61.0) == []
    assert begun(fires, NOW + 120.0) == []
    fires.end(fire, Answer(kind=DONE), NOW + 121.0)
    assert fires.is_over
    assert [one.nominal for one in begun(fires, NOW + 180.0)] == [NOW + 180]


def test_one_that_waits_for_another_begins_when_that_has_ended() -> None:
    fires = fires_of(entry(overlap="queue_one"))
    [first] = begun(fires, NOW + 60.0)
    assert begun(fires, NOW + 120.0) == []
    assert [fire.state for fire in fires.open[1]] == ["running", WAITING]
    fires.end(first, Answer(kind=DONE), NOW + 121.0)
    assert [fire.nominal for fire in begun(fires, NOW + 121.0)] == [NOW + 120]


def test_one_that_takes_the_place_of_another_ends_it() -> None:
    fires = fires_of(entry(overlap="kill_old", retries=3))
    [first] = begun(fires, NOW + 60.0)
    assert fires.plan(NOW + 120.0) == [first]
    [second] = fires.begin(NOW + 120.0, 100)
    assert second.nominal == NOW + 120
    # What it says at its end changes nothing any more.
    assert fires.is_last(first, Answer(kind=FAILED), NOW + 121.0)
    fires.end(first, Answer(kind=FAILED), NOW + 121.0)
    assert [fire.nominal for fire in fires.open[1]] == [NOW + 120]


def test_a_failed_fire_is_tried_again_after_its_pause() -> None:
    fires = fires_of(entry(retries=1, retry_delay=10.0, retry_jitter=0.0))
    [fire] = begun(fires, NOW + 60.0)
    failed = Answer(kind=FAILED, reason="no")
    assert not fires.is_last(fire, failed, NOW + 61.0)
    fires.end(fire, failed, NOW + 61.0)
    assert fires.next_time() == NOW + 71.0
    # Also when a job server answers again: what has begun is seen to its end.
    fires.forget_new()
    assert fires.begin(NOW + 70.0, 100, again_only=True) == []
    [again] = fires.begin(NOW + 71.0, 100, again_only=True)
    assert (again.nominal, again.attempt) == (NOW + 60, 2)
    assert fires.is_last(again, failed, NOW + 72.0)
    fires.end(again, failed, NOW + 72.0)
    assert fires.is_over


def test_an_entry_that_fails_too_often_fires_no_more() -> None:
    fires = fires_of(entry(pause_on_failure=2))
    for minute, kind in enumerate((FAILED, DONE, FAILED, FAILED), 1):
        [fire] = begun(fires, NOW + 60.0 * minute)
        assert fires.paused == []
        fires.end(fire, Answer(kind=kind), NOW + 60.0 * minute + 1)
    assert fires.paused == ["e"]
    assert begun(fires, NOW + 300.0) == []
    assert fires.next_time() == 0


def test_what_has_not_begun_is_left_to_the_scheduler() -> None:
    fires = fires_of(entry(jitter=50.0))
    fires.plan(NOW + 60.0)
    assert [fire.state for fire in fires.open[1]] == [PENDING]
    fires.forget_new()
    assert fires.is_over


def test_there_is_room_for_so_many_at_once() -> None:
    fires = fires_of(*(entry(name=f"e{number}") for number in range(5)))
    fires.plan(NOW + 60.0)
    assert len(fires.begin(NOW + 60.0, 2)) == 2
    assert len(fires.begin(NOW + 60.0, 100)) == 3


def test_a_callable_may_say_when_its_entry_fires_next() -> None:
    fires = fires_of(entry())
    [fire] = begun(fires, NOW + 60.0)
    fires.end(fire, Answer(kind=NEXT_RUN, at=NOW + 95), NOW + 61.0)
    assert fires.next_time() == NOW + 95
    assert [one.nominal for one in begun(fires, NOW + 95.0)] == [NOW + 95]


def test_entries_of_reboot_fire_for_the_start() -> None:
    fires = fires_of(entry(when="@reboot"), entry(name="other"))
    fires.reboot(NOW + 3.7)
    [fire] = fires.begin(NOW + 4.0, 100)
    assert (fire.schedule, fire.nominal, fire.origin) == (1, NOW + 3, "reboot")


def test_an_entry_that_can_t_be_read_here_keeps_no_other_from_firing() -> None:
    standings = (
        Standing(schedule=1, generation=1, definition="{"),
        Standing(schedule=2, generation=1, definition='{"name": "x", "when": "nonsense"}'),
        Standing(schedule=3, generation=1, definition=to_definition(entry())),
    )
    fires = LocalFires(Table(agent="a", revision=1, made=NOW, entries=standings), (), NOW)
    assert fires.unreadable == ["1", "2"]
    assert [fire.schedule for fire in begun(fires, NOW + 60.0)] == [3]


# The copy.


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, keep_for=100.0)
    yield journal
    journal.close()


def copy_of(directory: Path, journal: Journal, key: bytes = KEY) -> LocalCopy:
    copy = LocalCopy(directory, journal, "a", key, lifetime=100.0)
    copy.load()
    return copy


def reply(revision: int, **values: Any) -> Reply:
    table = Table(agent="a", revision=revision, made=NOW).to_object(KEY)
    return Reply(**{"agent": "a", "revision": revision, "table": table, **values})


def test_a_copy_is_there_after_the_next_start(tmp_path: Path, journal: Journal) -> None:
    copy_of(tmp_path, journal).take(reply(3), NOW)
    again = copy_of(tmp_path, journal)
    assert (again.revision, again.confirmed, again.fault) == (3, NOW, "")
    assert not again.is_expired(NOW + 100)
    assert again.is_expired(NOW + 101)
    assert (tmp_path / "entries.json").stat().st_mode & 0o777 == 0o600
    # The scheduler says that it is the newest.
    again.take(reply(3, table=None), NOW + 90)
    assert not again.is_expired(NOW + 190)


def test_a_copy_is_not_replaced_by_an_older_one(tmp_path: Path, journal: Journal) -> None:
    copy = copy_of(tmp_path, journal)
    copy.take(reply(3), NOW)
    copy.take(reply(2), NOW + 50)
    assert (copy.revision, copy.confirmed) == (3, NOW)
    assert "went back from revision 3 to 2" in copy.fault
    assert str(tmp_path / "entries.json") in copy.fault
    copy.take(reply(4), NOW + 60)
    assert (copy.revision, copy.fault) == (4, "")


def test_a_copy_that_is_not_what_it_says_is_not_taken(tmp_path: Path, journal: Journal) -> None:
    copy = copy_of(tmp_path, journal)
    other = Table(agent="b", revision=3, made=NOW).to_object(KEY)
    for table in (other, {**other, "agent": "a"}, reply(2).table):
        copy.take(reply(3, table=table), NOW)
        assert copy.table is None
        assert "can't be taken over" in copy.fault
    assert not (tmp_path / "entries.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, None])
def test_a_copy_that_somebody_changed_is_not_believed(
    tmp_path: Path, journal: Journal, content: str | None
) -> None:
    copy_of(tmp_path, journal).take(reply(3), NOW)
    path = tmp_path / "entries.json"
    if content is None:
        content = json.dumps({**json.loads(path.read_text()), "entries": [{"schedule": 1}]})
    path.write_text(content)
    copy = copy_of(tmp_path, journal)
    assert copy.table is None
    assert str(path) in copy.fault


def test_without_a_key_no_copy_is_read_or_taken(tmp_path: Path, journal: Journal) -> None:
    copy_of(tmp_path, journal).take(reply(3), NOW)
    copy = copy_of(tmp_path, journal, key=b"")
    copy.take(reply(4), NOW)
    assert (copy.table, copy.revision, copy.fault) == (None, 0, "")


# Settings.


def test_a_key_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert read_key("", "key_file") == b""
    with pytest.raises(UsageError, match=r"can't read \[agent\] key_file"):
        read_key(str(path), "[agent] key_file")
    path.write_bytes(b"short\n")
    with pytest.raises(UsageError, match="openssl rand"):
        read_key(str(path), "key_file")
    path.write_bytes(KEY + b"\n")
    os.chmod(path, 0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(str(path), "key_file")
    os.chmod(path, 0o640)
    assert read_key(str(path), "key_file") == KEY


def test_settings_are_read_with_their_units(tmp_path: Path) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text(
        '[server]\nlisten = ":0"\n[agent]\nname = "a"\ngrace = "1m"\noutput_limit = "1MiB"\n'
        'copy_lifetime = "3d"\ntags = ["web"]\n[agent.apps]\nnightly = "m:f"\n'
    )
    settings = load_agent_settings(path)
    assert (settings.grace, settings.output_limit, settings.copy_lifetime) == (
        60.0,
        1024**2,
        259_200.0,
    )
    assert (settings.tags, settings.apps) == (["web"], {"nightly": "m:f"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('nam = "a"', "did you mean 'name'"),
        ('name = "a b"', "can't be an agent's name"),
        ("concurrency = 0", "concurrency takes a number from 1 up"),
        ('grace = "soon"', "grace takes seconds"),
        ("allow = 3", "allow takes a text or a list of texts"),
        ('keep_for = "1d"', "less than copy_lifetime"),
        ('state = ""', "state takes a directory"),
        ("apps = { a = 1 }", "takes lines such as"),
    ],
)
def test_settings_that_can_t_be_are_refused_by_name(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text(f"[agent]\n{line}\n")
    with pytest.raises(UsageError, match=said) as caught:
        load_agent_settings(path)
    assert str(path) in str(caught.value)


def test_an_agent_is_called_as_its_host_unless_it_has_a_name() -> None:
    settings = AgentSettings()
    check_settings(settings)
    assert settings.name
