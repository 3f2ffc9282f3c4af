"""What a new configuration changes, as it is shown before it is applied."""

from __future__ import annotations

from dataclasses import replace

from geartrain.supervisor.difference import differences
from geartrain.supervisor.program import Program

WEB = Program("web", ("php", "web.php"), numprocs=2)
MAIL = Program("mail", ("mail",), autostart=False)


def shown(old: list[Program], new: list[Program]) -> list[str]:
    found = differences({one.name: one for one in old}, {one.name: one for one in new})
    return [line for one in found for line in one.lines()]


def test_the_same_configuration_changes_nothing() -> None:
    assert shown([WEB, MAIL], [MAIL, replace(WEB)]) == []


def test_programs_come_and_go() -> None:
    assert shown([WEB], [MAIL]) == [
        "+ mail",
        "    command: mail",
        "    starts nothing by itself",
        "- web",
        "    stops 2 processes",
    ]


def test_a_number_of_processes_is_no_reason_to_replace_them() -> None:
    assert shown([WEB], [replace(WEB, numprocs=5)]) == ["~ web", "    numprocs: 2 -> 5 (starts 3)"]
    assert shown([WEB], [replace(WEB, numprocs=1)]) == ["~ web", "    numprocs: 2 -> 1 (stops 1)"]


def test_what_a_process_has_for_life_is_a_reason() -> None:
    assert shown([WEB], [replace(WEB, user="www-data", stopwaitsecs=3.0)]) == [
        "~ web (its processes are replaced)",
        "    stopwaitsecs: 10.0 -> 3.0",
        "    user: none -> www-data",
    ]


def test_a_command_is_shown_as_a_shell_takes_it() -> None:
    upper = Program("upper", ("tr", "a z", "A Z"))
    assert shown([], [upper])[1] == "    command: tr 'a z' 'A Z'"
    assert "    command: tr 'a z' 'A Z' -> tr -d x" in shown(
        [upper], [replace(upper, command=("tr", "-d", "x"))]
    )


def test_values_of_the_environment_are_not_shown() -> None:
    changed = replace(WEB, environment={"TOKEN": "secret"})
    assert shown([WEB], [changed]) == [
        "~ web (its processes are replaced)",
        "    environment: TOKEN",
    ]
