"""What `geartrain ctl` waits for: processes that are on their way to another state."""

from __future__ import annotations

from tests.supervisor.story import Stage


def moving(stage: Stage) -> list[str]:
    fleet = stage.fleet
    return [name for name, process in fleet.processes.items() if fleet.is_moving(process)]


def test_starts_retries_and_ends_are_on_their_way() -> None:
    stage = Stage()
    stage("program a", "program b", "program c", "configure")
    assert moving(stage) == ["a:0", "b:0", "c:0"]
    stage("run a:0 b:0", "spawned c:0", "ended c:0 1", "stop b:0")
    assert moving(stage) == ["b:0", "c:0"]


def test_what_waits_is_on_its_way_as_long_as_what_it_waits_for_is() -> None:
    stage = Stage()
    stage("program db startretries=0", "program web depends_on=db", "configure")
    assert moving(stage) == ["db:0", "web:0"]
    stage("failed db:0 no such file")
    assert moving(stage) == []
    stage("start db:0")
    assert moving(stage) == ["db:0", "web:0"]


def test_those_that_are_to_be_replaced_wait_for_the_one_that_is() -> None:
    stage = Stage()
    stage("program web numprocs=3 rolling=1 startretries=0", "configure")
    stage("run web:0 web:1 web:2", "restart web:0 web:1 web:2")
    assert moving(stage) == ["web:0", "web:1", "web:2"]
    # The new one can't be started, so the others stay.
    stage("ended web:0 -15", "failed web:0 no such file")
    assert moving(stage) == []


def test_what_was_not_even_ended_by_force_is_waited_for_by_nobody() -> None:
    stage = Stage()
    stage("program web", "configure", "run web:0", "restart web:0", "wait 30")
    assert stage.fleet.processes["web:0"].wanted
    assert moving(stage) == []
