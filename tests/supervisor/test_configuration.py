"""The supervisor's tables: what they may say, and what is told to those that say otherwise."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.supervisor.configuration import KEYS, load_configuration, socket_of
from geartrain.supervisor.program import Autoscale, Backoff, LogFile, Program
from geartrain.supervisor.templates import launch_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "geartrain.toml"


def program_of(path: Path, text: str) -> Program:
    path.write_text(f"[programs.web]\n{text}")
    return load_configuration(path).programs["web"]


def complaint(path: Path, text: str) -> str:
    """Return what a file is told that says this; it has to be one line that names the file."""
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_configuration(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_command_is_enough(path: Path) -> None:
    assert program_of(path, "command = 'php worker.php'") == Program(
        "web", ("php", "worker.php"), stdout=LogFile("-"), stderr=LogFile("-")
    )


ALL_KEYS = """
command = ["php", "worker.php"]
numprocs = 4
numprocs_start = 1
priority = 10
autostart = false
autorestart = true
exitcodes = [0, 2]
startsecs = 5
startretries = 7
backoff = "exp(2s, 1h)"
depends_on = "db"
ready = "log:listening"
ready_timeout = "2m"
stopsignal = "QUIT"
stopwaitsecs = 30
stopasgroup = true
killasgroup = false
user = "USER"
directory = "/tmp"
environment = { LANG = "C" }
umask = "022"
max_memory = "500MB"
max_age = "1d"
max_age_jitter = 0.5
max_jobs = 1000
restart = "rolling(2)"
autoscale = { min = 1, max = 10, target_wait = "30s", functions = ["a"], calm = "2m" }
watch = ["/tmp"]
on_fatal = "exit"
redirect_stderr = true
stdout_logfile = "/tmp/%(process_num)s.log"
stdout_logfile_maxbytes = "1MB"
stdout_logfile_backups = 3
stderr_logfile = "NONE"
stderr_logfile_maxbytes = 0
stderr_logfile_backups = 0
log_rotate = "day"
log_prefix = "web "
log_timestamps = false

[programs.db]
command = "db"
"""


def test_every_key_is_taken(path: Path) -> None:
    user = getpass.getuser()
    # Those that some of the others do not go with are in test_schedule.
    apart = {"task", "schedule", "timezone"}
    assert {line.partition(" ")[0] for line in ALL_KEYS.splitlines()} >= KEYS.keys() - apart
    assert program_of(path, ALL_KEYS.replace("USER", user)) == Program(
        name="web",
        command=("php", "worker.php"),
        numprocs=4,
        numprocs_start=1,
        priority=10,
        autostart=False,
        autorestart="always",
        exitcodes=(0, 2),
        startsecs=5,
        startretries=7,
        backoff=Backoff(2, 3600),
        depends_on=("db",),
        ready="log:listening",
        ready_timeout=120,
        stopsignal=3,
        stopwaitsecs=30,
        stopasgroup=True,
        killasgroup=False,
        user=user,
        directory="/tmp",
        environment={"LANG": "C"},
        umask=0o022,
        max_memory=500_000_000,
        max_age=86_400,
        max_age_jitter=0.5,
        max_jobs=1000,
        rolling=2,
        autoscale=Autoscale(1, 10, 30, ("a",), 120),
        watch=("/tmp",),
        on_fatal="exit",
        redirect_stderr=True,
        stdout=LogFile("/tmp/%(process_num)s.log", 1_000_000, 3),
        stderr=LogFile("", 0, 0),
        log_rotate="day",
        log_prefix="web ",
        log_timestamps=False,
    )


def test_a_task_is_run_by_our_own_worker(path: Path) -> None:
    program = program_of(path, "task = 'tasks:app'\nmax_jobs = 100")
    assert launch_of(program, 0, {}).argv == (
        *(sys.executable, "-m", "geartrain", "worker", "tasks:app"),
        *("--max-jobs", "100"),
    )


def test_templates_are_filled_in_for_each_process(path: Path) -> None:
    program = program_of(
        path,
        'command = "web --port 80%(process_num)02d --name %(program_name)s-%(process_num) 100%%"\n'
        'environment = { HERE = "%(here)s", HOME_WAS = "%(ENV_HOME)s" }\n'
        'directory = "/srv/%(process_num)d"',
    )
    surroundings = load_configuration(path).surroundings
    launch = launch_of(program, 7, surroundings)
    assert launch.argv == ("web", "--port", "8007", "--name", "web-7", "100%")
    assert launch.environment == {"HERE": str(path.parent), "HOME_WAS": os.environ["HOME"]}
    assert launch.directory == "/srv/7"


def test_the_socket_is_found_whatever_else_the_file_says(path: Path) -> None:
    path.write_text("[supervisor]\nsocket = '/run/x.sock'\n[programs.web]\nnonsense = 1\n")
    assert socket_of(path) == "/run/x.sock"


def test_a_relative_socket_is_beside_the_file(path: Path) -> None:
    path.write_text("[supervisor]\nsocket = 'run/x.sock'\n")
    assert socket_of(path) == load_configuration(path).socket == str(path.parent / "run" / "x.sock")


def test_logs_go_to_the_directory_named_for_them(path: Path) -> None:
    path.write_text("[supervisor]\nlog_directory = '/var/log/x'\n[programs.web]\ncommand = 'x'\n")
    program = load_configuration(path).programs["web"]
    assert program.stdout.path == "/var/log/x/%(program_name)s-%(process_num)s.log"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[program.web]", "'program' is no table; did you mean 'programs'?"),
        ("[supervisor]\nsockett = 'x'", "'sockett' is no key of [supervisor]; did you mean 'so"),
        ("[supervisor]\nservers = 'a:b'", "supervisor.servers "),
        (
            "[programs.web]\ncomand = 'x'",
            "'comand' is no key of [programs.web]; did you mean 'comm",
        ),
        ("[programs]\nweb = 1", "programs.web has to be a table, written [programs.web]"),
        ('[programs."a b"]\ncommand = "x"', "'a b' is no name; use letters, digits and _ - ."),
    ],
)
def test_a_name_that_nobody_knows_is_told_the_nearest(path: Path, text: str, told: str) -> None:
    assert complaint(path, text).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("numprocs = '4'", "programs.web.numprocs takes 0 to 10000, not '4'"),
        ("autostart = 1", "programs.web.autostart takes true or false, not 1"),
        ("autorestart = 1", "programs.web.autorestart takes true, false or 'unexpected', not 1"),
        ("backoff = 5", "programs.web.backoff takes a text such as 'exp(1s, 1m)', not 5"),
        ("stopsignal = 'TREM'", "programs.web.stopsignal takes a signal, not 'TREM'; did you mean"),
        ("user = 'no-such-user'", "programs.web.user 'no-such-user' is no user of this system; "),
        ("restart = 'rolling'", "programs.web.restart takes 'all', or 'rolling(1)' for one at a "),
        ("ready = 'tcp:80'", "programs.web: ready takes tcp://HOST:PORT, http://HOST:PORT/PATH, "),
        ("ready = 'log:('", "programs.web: ready: '(' is no regular expression: "),
        ("depends_on = 'dbb'", "programs.web.depends_on names 'dbb', which is no program; did you"),
        ("autoscale = { min = 1 }", "programs.web.autoscale takes min, max and target_wait, "),
        ("autoscale = { mni = 1 }", "programs.web.autoscale has no 'mni'; did you mean 'min'?"),
        ("environment = { A = 1 }", "programs.web.environment takes a table of texts, such as "),
        ("umask = 9999", "programs.web.umask takes a file mode such as 0o022 or '022', not 9999"),
        ("max_memory = 'lots'", "programs.web.max_memory takes bytes, or a text such as '64KiB' "),
        ("directory = '%(proces_num)s'", "programs.web: '%(proces_num)s': nobody knows %(proces_n"),
        ("directory = '100%'", "programs.web: '100%' has a lone percent sign; write %% or %(proc"),
        ("stdout_logfile = 'syslog'", "programs.web.stdout_logfile takes a file, '-' for the "),
        (
            "numprocs = 2\nstdout_logfile = '/tmp/x'",
            "programs.web.stdout_logfile is the same for all processes; put %(process_num)s into",
        ),
        ("task = 'x'", "programs.web takes either command or task"),
        ("on_fatal = 'panic'", "programs.web.on_fatal takes 'alert' or 'exit', not 'panic'"),
    ],
)
def test_a_value_that_can_not_be_is_told_what_can(path: Path, text: str, told: str) -> None:
    text = f"[programs.web]\ncommand = 'x'\n{text}\n[programs.db]\ncommand = 'y'\n"
    assert complaint(path, text).startswith(told)


@pytest.mark.parametrize("command", ["''", "[]", "['']", "3", "'unclosed \"'", '"a\\u0000"'])
def test_what_is_no_command_is_refused(path: Path, command: str) -> None:
    told = complaint(path, f"[programs.web]\ncommand = {command}\n")
    assert told.startswith("programs.web.command ")


def test_programs_that_wait_for_each_other_are_named(path: Path) -> None:
    text = "\n".join(
        f"[programs.{name}]\ncommand = 'x'\ndepends_on = '{needed}'"
        for name, needed in (("a", "b"), ("b", "c"), ("c", "b"))
    )
    assert complaint(path, text) == "these wait for each other: b -> c -> b"


def test_a_program_is_the_same_however_often_it_is_read(path: Path) -> None:
    path.write_text("[programs.web]\n" + ALL_KEYS.replace('user = "USER"\n', ""))
    programs = load_configuration(path).programs
    assert load_configuration(path).programs == programs
    assert replace(programs["web"], numprocs=3) != programs["web"]
