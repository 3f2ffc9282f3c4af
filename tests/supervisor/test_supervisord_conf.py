"""A supervisord.conf becomes a file that means the same, and says what it can't say."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.supervisor.configuration import load_configuration
from geartrain.supervisor.program import LogFile
from geartrain.supervisor.supervisord_conf import convert
from tests.supervisor.running import GEARTRAIN

CONF = """
[unix_http_server]
file=/run/supervisor.sock   ; the path
chmod=0770
username = somebody

[supervisord]
logfile=/var/log/supervisord.log
pidfile=/run/supervisord.pid
childlogdir=/var/log/children
environment=LANG="C.UTF-8",MODE='live'
identifier=here

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///run/supervisor.sock

[program:resize]
command=/usr/bin/php -d memory_limit=1G
    worker.php --n %(process_num)02d ; the command
process_name=%(program_name)s_%(process_num)02d
numprocs=4
autorestart=true
startsecs=5
exitcodes=0,2
stopsignal=QUIT
stopwaitsecs=600
stopasgroup=yes
killasgroup=true
environment=MODE="test",EMPTY="",PLAIN=x
stdout_logfile=/var/log/resize.log
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=3
redirect_stderr=true
stdout_events_enabled=true
umask=022

[program:my mailer]
command=mailer "two words"
stdout_logfile=NONE
stderr_logfile=AUTO

[group:all]
programs=resize

[eventlistener:watcher]
command=memmon
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "supervisord.conf"
    path.write_text(CONF)
    return path


def test_what_is_written_is_read_as_it_was_meant(conf: Path, tmp_path: Path) -> None:
    written = tmp_path / "geartrain.toml"
    written.write_text(convert(conf).toml())
    configuration = load_configuration(written)
    assert configuration.socket == "/run/supervisor.sock"
    assert configuration.socket_mode == 0o770
    assert configuration.log_directory == "/var/log/children"
    resize = configuration.programs["resize"]
    assert resize.command == (
        *("/usr/bin/php", "-d", "memory_limit=1G"),
        *("worker.php", "--n", "%(process_num)02d"),
    )
    assert (resize.numprocs, resize.autorestart, resize.startsecs) == (4, "always", 5)
    assert (resize.exitcodes, resize.stopsignal, resize.stopwaitsecs) == ((0, 2), 3, 600)
    assert (resize.stopasgroup, resize.killasgroup, resize.umask) == (True, True, 0o022)
    assert resize.environment == {"LANG": "C.UTF-8", "MODE": "test", "EMPTY": "", "PLAIN": "x"}
    assert resize.stdout == LogFile("/var/log/resize-%(process_num)s.log", 1024**2, 3)
    mailer = configuration.programs["my-mailer"]
    assert mailer.command == ("mailer", "two words")
    assert mailer.stdout.path == ""
    assert mailer.stderr.path == "/var/log/children/%(program_name)s-%(process_num)s.err.log"


def test_what_has_no_counterpart_is_named(conf: Path) -> None:
    assert convert(conf).remarks == [
        "[unix_http_server] username has no counterpart; file modes count",
        (
            "[supervisord] pidfile = /run/supervisord.pid is left out: geartrain up stays in the "
            "foreground; a service manager knows its process"
        ),
        "[supervisord] identifier = here has no counterpart",
        "[program:resize] stdout_events_enabled = true has no counterpart",
        (
            "[program:resize] stdout_logfile is /var/log/resize-%(process_num)s.log:"
            " each process has its own"
        ),
        "[program:my mailer] is called my-mailer here",
        "[group:all] has no counterpart; a wildcard names several programs at once",
        "[eventlistener:watcher] has no counterpart",
        (
            "killasgroup is true unless a program says otherwise: what a process leaves in its"
            " group ends with it"
        ),
    ]


def test_included_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "mail.conf").write_text("[program:mail]\ncommand=mail\n")
    path = tmp_path / "supervisord.conf"
    path.write_text("[include]\nfiles = conf.d/*.conf\n")
    assert convert(path).programs == {"mail": {"command": "mail"}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "is no supervisord.conf: File contains no section headers"),
        ("[program:a]\nnumprocs=many", r"\[program:a\] numprocs = 'many' can't be read"),
        ("[program:a]\nautostart=maybe", r"\[program:a\] autostart = 'maybe' can't be read"),
        ("[program:a]\nenvironment=a b", r"\[program:a\] environment can't be read from 'a b' on"),
    ],
)
def test_what_can_not_be_read_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        convert(path)


def test_a_value_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[program:a.b]\ncommand=echo \"\x7f \\ 'é'\"\n")
    tables = tomllib.loads(convert(path).toml())
    assert tables["programs"]["a.b"]["command"] == "echo \"\x7f \\ 'é'\""


def test_the_command_writes_a_new_file_and_says_what_is_missing(conf: Path, tmp_path: Path) -> None:
    written = tmp_path / "geartrain.toml"
    command = [*GEARTRAIN, "import", "supervisord-conf", str(conf), "-o", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (0, "")
    assert "geartrain: [eventlistener:watcher] has no counterpart\n" in done.stderr
    assert written.read_text() == convert(conf).toml()
    again = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert again.returncode == 2
    assert "File exists" in again.stderr
