"""What a person can set, call or meet is in the docs."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from geartrain import errors
from geartrain.agent.settings import AgentSettings
from geartrain.broker import commands, effects, shared_commands
from geartrain.schedule.entry import Entry
from geartrain.schedule.settings import SchedulerSettings
from geartrain.server.settings import Settings
from geartrain.store.schedule_rows import STATES
from geartrain.wire.packet import ARGUMENTS, NAMES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
]


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the table rows of a page by their first cell."""
    rows = {}
    for line in (REFERENCE / page).read_text().splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows[cells[0].strip("`").partition(" ")[0]] = cells
    return rows


def classes_of(module: object, base: type) -> list[type]:
    """Return the classes of a module that no other is built on."""
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, base) and not found.__subclasses__()
    ]


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = set(rows_of("settings.md")) - {"key"}
    documented = {name for name in documented if not name.startswith("-")}
    assert documented == {field.name for field in dataclasses.fields(Settings)}


def test_every_setting_of_agents_is_documented() -> None:
    documented = set(rows_of("agent.md"))
    assert {field.name for field in dataclasses.fields(AgentSettings)} <= documented


def test_every_key_of_entries_and_every_setting_of_schedulers_is_documented() -> None:
    text = (REFERENCE / "schedules.md").read_text()
    documented = {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    fields = [*dataclasses.fields(Entry), *dataclasses.fields(SchedulerSettings)]
    assert {field.name for field in fields} - {"name"} <= documented
    assert set(STATES) <= documented


@pytest.mark.parametrize("number", range(1, len(NAMES)))
def test_every_packet_is_documented_with_its_arguments(number: int) -> None:
    _, name, _, arguments, _ = rows_of("packets.md")[str(number)]
    assert name == NAMES[number]
    assert len([one for one in arguments.split(", ") if one]) == ARGUMENTS[number]


@pytest.mark.parametrize(
    "found",
    [
        *classes_of(effects, effects.Effect),
        *classes_of(commands, commands.Command),
        *classes_of(shared_commands, commands.Command),
    ],
    ids=lambda found: found.__name__,
)
def test_every_effect_and_command_is_documented(found: type) -> None:
    assert found.__name__ in rows_of("effects.md")


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_documented_and_drawn_in_the_tree(name: str) -> None:
    assert f"`{name}`" in (REFERENCE / "errors.md").read_text()
    assert name in (errors.__doc__ or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    broken = [link for link in links if not (page.parent / link).exists()]
    assert broken == []
