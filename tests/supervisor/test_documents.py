"""What the documents and the examples of deployment say is so."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from geartrain import Client
from geartrain.cli import ctl, importing
from geartrain.supervisor.configuration import KEYS, SETTINGS, load_configuration
from geartrain.supervisor.process import NAMES
from geartrain.supervisor.program import Program
from geartrain.supervisor.templates import variables_of
from tests.cli.servers import BIN
from tests.services.availability import require
from tests.supervisor.running import GEARTRAIN, Start, Up
from tests.supervisor.running import ctl as run_ctl

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [ROOT / "docs" / "howto" / "worker-processes.md", REFERENCE / "programs.md"]


def first_cells(page: str, head: str) -> list[str]:
    """Return the first cells of the table whose head begins so."""
    text = (REFERENCE / page).read_text()
    table = text[text.index(f"| {head}") :].split("\n\n")[0].splitlines()[2:]
    return [line.split(" | ")[0].removeprefix("| ") for line in table]


def test_every_key_is_documented_and_nothing_else() -> None:
    assert first_cells("programs.md", "key of `[supervisor]`") == [f"`{key}`" for key in SETTINGS]
    keys = first_cells("programs.md", "key of `[programs.NAME]`")
    assert sorted(keys) == sorted(f"`{key}`" for key in KEYS)


def test_defaults_are_as_documented() -> None:
    text = (REFERENCE / "programs.md").read_text()
    program = Program("web")
    for one in fields(Program):
        row = re.search(rf"^\| `{one.name}` \| ([^|]+) \|", text, re.MULTILINE)
        value = getattr(program, one.name)
        if row is not None and isinstance(value, int | float) and one.name != "umask":
            told = row[1].strip("`")
            if one.name == "stopsignal":
                assert (told, value) == ("TERM", 15)
            else:
                assert told in (str(value), f"{value:g}", str(value).lower()), one.name


def test_every_state_and_template_is_documented() -> None:
    assert sorted(first_cells("programs.md", "state")) == sorted(
        f"`{one}`" for one in NAMES.values()
    )
    text = (REFERENCE / "programs.md").read_text()
    for name in variables_of(Program("web"), 0, {"here": "", "host_node_name": ""}):
        assert f"`%({name})s`" in text


def test_every_command_is_documented() -> None:
    text = (REFERENCE / "ctl.md").read_text()
    for command in ctl.app.registered_commands:
        assert command.callback is not None
        assert f"| `{command.name or command.callback.__name__}" in text
    overview = (REFERENCE / "cli.md").read_text()
    assert "## geartrain import supervisord-conf FILE" in overview
    names = {command.name for command in importing.app.registered_commands}
    assert "supervisord-conf" in names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_configuration_are_right(page: Path, tmp_path: Path) -> None:
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)):
        path = tmp_path / f"{number}.toml"
        path.write_text(example)
        assert load_configuration(path).programs


# Examples of deployment.


CONTAINERFILE = (ROOT / "deploy" / "container" / "Containerfile").read_text()


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy" / "systemd").iterdir()), ids=lambda p: p.name
)
def test_systemd_has_no_complaint_about_its_units(unit: Path, tmp_path: Path) -> None:
    require("systemd")
    text = unit.read_text()
    command = re.search(r"^ExecStart=(\S+) (\w+)", text, re.MULTILINE)
    assert command is not None
    assert Path(command[1]).name == "geartrain"
    assert f"## geartrain {command[2]}" in (REFERENCE / "cli.md").read_text()
    copy = tmp_path / unit.name
    # Our program is elsewhere here.
    copy.write_text(text.replace(command[1], "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


def test_the_service_manager_hears_how_it_is(
    tmp_path: Path, up: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        manager = up(web={"command": ["sh", "-c", "echo ${NOTIFY_SOCKET-unset}"], "startsecs": 0})
        assert hears.recv(100) == b"READY=1"
        manager.wait_for("unset$")
        manager.stop()
        assert hears.recv(100) == b"STOPPING=1"


def test_the_containers_configuration_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """As it is, but for its paths and its port."""
    text = (ROOT / "deploy" / "container" / "geartrain.toml").read_text()
    text = text.replace("/tmp/geartrain", str(tmp_path / "run"))
    text = text.replace("/var/lib/geartrain", str(tmp_path)).replace("0.0.0.0", "127.0.0.1")
    text = text.replace("4730", str(free_port)).replace("-h 127", f"-p {free_port} -h 127")
    text = text.replace("[supervisor]", f'[supervisor]\nservers = "127.0.0.1:{free_port}"')
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    manager = Up(tmp_path, {}, {}, text)
    try:
        manager.wait_for_state("upper:1", "RUNNING")
        with Client(f"127.0.0.1:{free_port}") as client:
            assert client.submit("upper", b"works").result() == b"WORKS"
        healthy = re.search(r"HEALTHCHECK CMD geartrain ctl --socket (\S+) (.+)", CONTAINERFILE)
        assert healthy is not None
        assert str(Path(healthy[1]).name) == "supervisor.sock"
        assert run_ctl(manager, *healthy[2].split()).returncode == 0
        assert manager.stop() == 0
    finally:
        manager.close()


def test_the_containers_file_runs_what_there_is() -> None:
    text = CONTAINERFILE
    instructions = {line.split(" ")[0] for line in text.splitlines() if re.match(r"[A-Z]+ ", line)}
    assert {"FROM", "COPY", "RUN", "USER", "STOPSIGNAL", "CMD"} <= instructions
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()
    arguments = re.search(r'^CMD \["geartrain", "up", "--config", "(.*)"\]', text, re.MULTILINE)
    assert arguments is not None
    assert f"COPY deploy/container/geartrain.toml {arguments[1]}" in text
    check = [*GEARTRAIN, "up", "--check", "-c", str(ROOT / "deploy/container/geartrain.toml")]
    assert subprocess.run(check, capture_output=True).returncode == 0
