from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from geartrain.alerts.suppression import Suppression
from geartrain.cli.main import app
from geartrain.errors import UsageError
from geartrain.store.schedule_rows import Alert, Owner
from geartrain.store.schedule_sql import open_schedules
from tests.services.instance import free_port


def alert(*args: str) -> Result:
    return CliRunner().invoke(app, ["alert", *args])


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store where two things fire and a third has recovered."""
    found = f"sqlite:///{tmp_path}/queue.db"
    with closing(open_schedules(found)) as store:
        store.open()
        now = store.now()
        events = [
            Alert("missed", "nightly", "backups", "it was too late", last=now - 90),
            Alert("failed", "hourly", "", "exit status 3", last=now - 30, count=12),
            Alert("lost", "weekly", "", "gone", last=now - 60),
            Alert("lost", "weekly", "", "went well", last=now - 20, firing=False),
        ]
        for event in events:
            store.report([event], Suppression().merge)
    return found


def test_what_fires_is_listed_with_its_newest_event(url: str) -> None:
    listed = alert("ls", "--store", url)
    assert listed.exit_code == 0, listed.output
    lines = listed.output.splitlines()
    assert lines[0].split() == ["rule", "subject", "state", "count", "since", "last", "what"]
    assert lines[1].split()[:4] == ["failed", "hourly", "firing", "12"]
    assert lines[2].split()[:4] == ["missed", "nightly", "firing", "1"]
    assert re.search(r"  1m3\ds ago  1m3\ds ago  it was too late$", lines[2])
    assert len(lines) == 3


def test_what_has_recovered_is_listed_when_it_is_asked_for(url: str) -> None:
    found = json.loads(alert("ls", "--all", "--json", "--store", url).output)
    states = {(one["rule"], one["subject"]): one["firing"] for one in found["alerts"]}
    assert states == {
        ("missed", "nightly"): True,
        ("failed", "hourly"): True,
        ("lost", "weekly"): False,
    }
    assert found["messages"] == []


def test_what_somebody_has_seen_is_not_said(url: str) -> None:
    done = alert("ack", "missed", "nightly", "--store", url)
    assert done.exit_code == 0, done.output
    [missed] = [
        one
        for one in json.loads(alert("ls", "--json", "--store", url).output)["alerts"]
        if one["rule"] == "missed"
    ]
    assert "@" in missed["acknowledged_by"]
    assert missed["next_message"] is None
    assert "seen by" in alert("ls", "--store", url).output
    with closing(open_schedules(url)) as store:
        store.open()
        me: Owner = store.join("one", "here", 30.0, "")
        spoken: list[Alert] = []

        def speak(due: object, now: float) -> tuple[list[Alert], list[object]]:
            spoken.extend(due)  # type: ignore[arg-type]
            return list(spoken), []

        store.say(me, 100, speak)  # type: ignore[arg-type]
    assert {one.rule for one in spoken} == {"failed", "lost"}


def test_what_does_not_fire_can_not_be_acknowledged(url: str) -> None:
    refused = alert("ack", "lost", "weekly", "--store", url)
    assert refused.exit_code != 0
    assert isinstance(refused.exception, UsageError)
    assert "these fire: failed hourly, missed nightly" in str(refused.exception)


def test_an_empty_list_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    with closing(open_schedules(url)) as store:
        store.open()
    assert alert("ls", "--store", url).output == "nothing fires\n"
    assert alert("ls", "-a", "--store", url).output == "nothing has fired yet\n"


def test_channels_are_tried_one_by_one(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    config = tmp_path / "geartrain.toml"
    config.write_text(
        f"""
        [alerts.channels.good]
        exec = ["/bin/sh", "-c", "cat > {taken}"]
        [alerts.channels.bad]
        exec = ["/bin/sh", "-c", "cat > /dev/null; echo no such pager >&2; exit 4"]
        """
    )
    tried = alert("test", "--config", str(config))
    assert tried.exit_code == 1
    assert tried.output == "good: taken\nbad: not taken: /bin/sh ended with 4: no such pager\n"
    told = json.loads(taken.read_text())
    assert told["title"] == "[geartrain] geartrain: test"
    assert "tries the channel 'good'" in told["alerts"][0]["message"]
    assert alert("test", "good", "--config", str(config)).output == "good: taken\n"
    refused = alert("test", "god", "--config", str(config))
    assert "did you mean 'good'" in str(refused.exception)


def test_a_service_that_nobody_answers_for_is_told_without_its_url(tmp_path: Path) -> None:
    unused_port = free_port()
    config = tmp_path / "geartrain.toml"
    config.write_text(f'[alerts.channels.chat]\nurl = "json://127.0.0.1:{unused_port}/topsecret"\n')
    tried = alert("test", "--config", str(config))
    assert tried.exit_code == 1
    assert tried.output.startswith("chat: not taken: json:// did not take it: ")
    assert "topsecret" not in tried.output


def test_without_channels_it_says_what_to_add(tmp_path: Path) -> None:
    config = tmp_path / "geartrain.toml"
    config.write_text("")
    refused = alert("test", "--config", str(config))
    assert "add [alerts.channels.NAME]" in str(refused.exception)
