"""The drop-in ``gearmand`` as a process, beside Debian's where both can be asked."""

from __future__ import annotations

import json
import os
import pwd
import re
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.cli.gearmand_options import VERBOSE, Options, help_text, read_options
from geartrain.cli.gearmand_settings import missing, settings_of, source_of
from geartrain.errors import UsageError
from geartrain.server.settings import Settings
from tests.acceptance.job_server import DEADLINE, eventually, free_port
from tests.cli.servers import BIN
from tests.server import peer as packets
from tests.server.peer import Peer
from tests.services.availability import find_program, require

REFERENCE = Path(__file__).parents[2] / "docs/reference/gearmand.md"
GEARMAND = str(BIN / "gearmand")
LINE = re.compile(
    r" *(FATAL|ALERT|CRITICAL|ERROR|WARNING|NOTICE|INFO|DEBUG)"
    r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \[(  main|  proc| store|     \d) \] \S.*"
)

# No process has this id: Linux has none beyond 4,194,304.
NOBODYS = "999999999\n"

# Every option of gearmand 1.1 and 2.0, and a value if it takes one.
FLAGS = [
    "-d", "--daemon", "--exceptions", "-h", "--help", "--keepalive", "-R", "--round-robin",
    "--syslog", "--coredump", "-V", "--version", "--ssl", "--store-queue-on-shutdown",
    "--check-args", "--libdrizzle-mysql", "--libtokyocabinet-optimize",
]  # fmt: skip
VALUES = {
    "-b": "32", "--backlog": "32", "-f": "1000", "--file-descriptors": "1000",
    "-j": "3", "--job-retries": "-1", "--job-handle-prefix": "H:here",
    "--hashtable-buckets": "991", "--keepalive-idle": "-1", "--keepalive-interval": "30",
    "--keepalive-count": "5", "-l": "stderr", "--log-file": "none", "-L": "127.0.0.1",
    "--listen": "localhost", "-P": "/tmp/pid", "--pid-file": "/tmp/pid", "-r": "http",
    "--protocol": "http", "-q": "builtin", "--queue-type": "builtin",
    "--config-file": os.devnull, "-t": "4", "--threads": "0", "-u": "nobody",
    "--user": "nobody", "--verbose": "INFO", "-w": "0", "--worker-wakeup": "1",
    "-p": "4730", "--port": "4730", "--ssl-ca-file": "ca.pem", "--ssl-certificate": "c.pem",
    "--ssl-key": "k.pem", "--http-port": "8080", "--libmemcached-servers": "a,b",
    "--libmemcached-prefix": "gear_", "--libsqlite3-db": "q.db",
    "--libsqlite3-table": "gearman_queue", "--libpq-conninfo": "dbname=x",
    "--libpq-table": "queue", "--redis-server": "127.0.0.1", "--redis-port": "6379",
    "--redis-password": "secret", "--redis-prefix": "_gear_", "--libtokyocabinet-file": "t.tcb",
    "--libtokyocabinet-optimize": "true", "--mysql-host": "localhost", "--mysql-port": "3306",
    "--mysql-user": "me", "--mysql-password": "secret", "--mysql-db": "test",
    "--mysql-table": "gearman_queue", "--libdrizzle-host": "h", "--libdrizzle-port": "4427",
    "--libdrizzle-uds": "/tmp/s", "--libdrizzle-user": "me", "--libdrizzle-password": "secret",
    "--libdrizzle-db": "test", "--libdrizzle-table": "queue", "--libdrizzle-mysql": "true",
}  # fmt: skip


def gearmand(*args: str, program: str = GEARMAND) -> subprocess.CompletedProcess[str]:
    """Run gearmand to its end."""
    return subprocess.run(
        [program, *args], capture_output=True, text=True, timeout=DEADLINE, env={}
    )


def refusal(*args: str) -> str:
    """Run gearmand, which has to end with exit code 1 and one line, and return that."""
    ended = gearmand(*args)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("gearmand: ")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr.removeprefix("gearmand: ").rstrip("\n")


class Daemon:
    """
    A running gearmand.

    Args:
        directory: Where it runs, and where its pid file and output go.
        args: Options besides port and pid file.
        listen: Address, or nothing for all.
        program: Whose gearmand, or how to start it.
        port: Its port; a free one by default.
        names_pid_file: Whether it is told where its pid file is.
        names_log: Whether it is told of no log where the options name none.

    """

    def __init__(
        self,
        directory: Path,
        *args: str,
        listen: str = "127.0.0.1",
        program: tuple[str, ...] = (GEARMAND,),
        port: int = 0,
        names_pid_file: bool = True,
        names_log: bool = True,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.pid_file = directory / "pid"
        self.output = directory / "stderr"
        self.detached = bool({"-d", "--daemon"} & set(args))
        command = [*program, "-p", str(self.port), *args]
        if listen:
            command += ["-L", listen]
        if names_pid_file:
            command += ["-P", str(self.pid_file)]
        if names_log and not any(one.startswith(("-l", "--log-file")) for one in args):
            command += ["-l", "none"]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=directory, stdout=output, stderr=output, env={}
            )
        eventually(self.accepts, "it accepts connections")

    def accepts(self) -> bool:
        if self.process.poll() not in (None, 0):
            pytest.fail(f"it ended with {self.process.returncode}: {self.said()}")
        try:
            with self.peer() as peer:
                # The kernel connects a little before the server serves.
                peer.echo()
        except (OSError, EOFError):
            return False
        return True

    def peer(self) -> Peer:
        return Peer(("127.0.0.1", self.port))

    def said(self) -> str:
        """Return what it has written to standard output and error."""
        return self.output.read_text()

    @property
    def pid(self) -> int:
        """The server's process: with ``-d`` it is not the one that was started."""
        if self.process.poll() is None:
            return self.process.pid
        pid = int(self.pid_file.read_text())
        # Whatever a pid file says, only a process that has our port is ours to be stopped.
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert str(self.port).encode() in command
        return pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(DEADLINE)
        elif self.detached and self.pid_file.exists():
            pid = self.pid
            os.kill(pid, number)
            eventually(lambda: not is_running(pid), "the daemon has ended")

    def limit(self, name: str) -> list[str]:
        """Return the soft and the hard limit from the kernel's table."""
        for line in Path(f"/proc/{self.pid}/limits").read_text().splitlines():
            if line.startswith(name):
                return line.removeprefix(name).split()[:2]
        raise KeyError(name)

    def identity(self) -> list[str]:
        """Return the effective user and group."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return [line.split()[2] for line in lines if line.startswith(("Uid:", "Gid:"))]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie that nobody reaps does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts servers that end with the test."""
    started: list[Daemon] = []

    def start_one(*args: str, directory: Path = tmp_path, **words: object) -> Daemon:
        started.append(Daemon(directory, *args, **words))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for daemon in started:
        daemon.stop(signal.SIGKILL)


def options(*args: str, config_file: str = os.devnull) -> Options:
    return read_options(args, config_file)


def settings(*args: str, **environ: str) -> Settings:
    return settings_of(options(*args), environ)


# Options: understood as gearmand understands them.


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_accepted(flag: str) -> None:
    assert gearmand("--check-args", flag).returncode == 0


def test_every_option_with_a_value_is_accepted_in_each_spelling() -> None:
    for name, value in VALUES.items():
        touching = f"{name}={value}" if name.startswith("--") else f"{name}{value}"
        for words in ([name, value], [touching]):
            found = options(*words)
            assert len(found.values) == 1, words
            assert str(*found.values.values()) == value, words
    words = [word for pair in VALUES.items() for word in pair]
    assert gearmand("--check-args", *words).returncode == 0


def test_every_option_of_debians_gearmand_is_accepted() -> None:
    require("gearmand")
    text = gearmand("--help", program=find_program("gearmand") or "").stdout
    found = re.findall(r"^  (?:-(\w) \[ )?--([\w-]+)(?: \])?( arg)?", text, re.MULTILINE)
    assert len(found) > 40
    for letter, name, value in found:
        for one in [f"--{name}", *([f"-{letter}"] if letter else [])]:
            assert one in (VALUES if value else FLAGS), one


def test_one_letter_flags_may_be_written_together() -> None:
    assert options("-Rdp4731").values == {"round-robin": True, "daemon": True, "port": 4731}


def test_negative_numbers_are_values() -> None:
    assert options("-j", "-1", "--keepalive-idle", "-1").values == {
        "job-retries": -1,
        "keepalive-idle": -1,
    }


def test_an_option_given_twice_counts_the_last_time() -> None:
    assert options("-p", "1", "--port=2").number("port", 0) == 2


@pytest.mark.parametrize(
    "args",
    [
        ["--nonsense"],
        ["--verb", "INFO"],
        ["-v"],
        ["-vvv"],
        ["provided"],
        ["-l"],
        ["--libsqlite3-db"],
        ["--exceptions=1"],
        ["--verbose", "info"],
        ["--verbose", "WARN"],
        ["-j", "abc"],
        ["-b", "abc"],
        ["-t", "abc"],
        ["--config-file", "/nonexistent"],
        ["--hashtable-buckets", "x"],
    ],
)
def test_what_gearmand_refuses_is_refused_in_one_line(args: list[str]) -> None:
    require("gearmand")
    debian = gearmand("--check-args", *args, program=find_program("gearmand") or "")
    assert debian.returncode == 1
    refusal("--check-args", *args)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--nonsense"], "there is no option --nonsense: gearmand --help lists them all"),
        (["--verb", "INFO"], "there is no option --verb: did you mean --verbose?"),
        (["-v"], "there is no option -v: did you mean --verbose INFO?"),
        (["file"], "unexpected argument 'file': options start with a dash"),
        (["-p", "70000"], "option -p/--port: '70000' is no port: say 0 to 65535"),
        (["-j", "256"], "option -j/--job-retries: 256 is out of range: say -1 to 255"),
        (["--exceptions=1"], "option --exceptions: takes no value, and got '1'"),
        (["-q", "bogus"], (
            "-q bogus is no queue type: use -q libsqlite3 --libsqlite3-db FILE, or -q builtin to"
            " keep no jobs"
         )),
        (["-q", "libsqlite3"], "-q libsqlite3 needs --libsqlite3-db FILE"),
        (["-r", "gopher"], "-r gopher is no protocol: there is -r http"),
        (["--config-file", "/nonexistent"],
         "can't read /nonexistent: No such file or directory"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_what_to_do(args: list[str], line: str) -> None:
    assert refusal("--check-args", *args) == line


def test_the_value_of_a_misspelt_password_is_not_repeated() -> None:
    assert "hunter2" not in refusal("--mysql-pasword=hunter2")


def test_help_names_every_option() -> None:
    text = gearmand("--help").stdout
    assert text == help_text()
    for name in [*FLAGS, *VALUES]:
        assert re.search(rf"(?m)^  .*{re.escape(name)}\b", text), name


def test_every_option_has_a_place_in_the_reference() -> None:
    text = REFERENCE.read_text()
    for name in re.findall(r"--[a-z0-9-]+", help_text()):
        assert f"`{name}`" in text or f"`{name} " in text, name


@pytest.mark.parametrize("name", ["threads", "hashtable-buckets", "worker-wakeup", "keepalive"])
def test_help_says_what_has_no_meaning(name: str) -> None:
    assert re.search(rf"--{name}( N)? +no meaning here: ", help_text())


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_stands_where_gearmand_has_it(flag: str) -> None:
    ended = gearmand(flag)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"\ngearmand \d+\.\d+\.\d+ - .+\n", ended.stdout)
    require("gearmand")
    debian = gearmand(flag, program=find_program("gearmand") or "").stdout
    assert re.fullmatch(r"\ngearmand \d+\.\d+\.\d+\S* - .+\n", debian)


def test_check_args_starts_nothing(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert gearmand("--check-args", "-d", "-P", str(pid_file)).returncode == 0
    assert not pid_file.exists()


# The configuration file.


def test_the_command_line_wins_over_the_configuration_file(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("--port=4731 --verbose\nINFO\t-R\n\n--listen ::1\r\n")
    assert options("-p", "4732", config_file=str(path)).values == {
        "port": 4732,
        "verbose": "INFO",
        "round-robin": True,
        "listen": "::1",
    }


def test_a_configuration_file_that_is_named_replaces_the_usual_one(tmp_path: Path) -> None:
    usual, named = tmp_path / "usual", tmp_path / "named"
    usual.write_text("--port 1")
    named.write_text("--http-port 2")
    found = options("--config-file", str(named), config_file=str(usual))
    assert not found.has("port")
    assert found.number("http-port", 0) == 2


def test_the_usual_configuration_file_need_not_exist(tmp_path: Path) -> None:
    assert options(config_file=str(tmp_path / "none")).values == {}


def test_comments_and_stray_words_in_the_configuration_file_are_no_options(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("# --port 1\n  # more\nport 4731\n")
    found = options(config_file=str(path))
    assert found.values == {}
    assert found.remarks == [f"{path}: 'port' is no option and is left out"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("--prot 4731", "there is no option --prot: did you mean --port?"),
        ("--port", "option -p/--port: expected one argument"),
        ("--port x", "option -p/--port: 'x' is no port: say 0 to 65535"),
    ],
)
def test_a_wrong_configuration_file_is_named(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "conf"
    path.write_text(text)
    assert refusal("--config-file", str(path)) == f"{path}: {line}"


def test_the_server_takes_its_options_from_the_configuration_file(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "conf").write_text("--job-handle-prefix J:file\n--exceptions\n")
    daemon = start("--config-file", "conf")
    with daemon.peer() as client:
        assert client.submit(packets.SUBMIT_JOB_BG, b"f").startswith(b"J:file:")


# Settings.


def test_by_default_it_listens_everywhere_keeps_nothing_and_stops_at_once() -> None:
    found = settings()
    assert (found.listen, found.http_listen, found.store) == ([":4730"], [], "memory:")
    assert (found.compat, found.job_retries, found.grace) == ("2.0", -1, 0.0)
    assert found.backlog == 4096


@pytest.mark.parametrize(
    ("args", "address"),
    [
        (["-L", "127.0.0.1"], "127.0.0.1:4730"),
        (["-L", "::1", "-p", "1"], "[::1]:1"),
        (["--listen=localhost"], "localhost:4730"),
    ],
)
def test_the_address_is_host_and_port(args: list[str], address: str) -> None:
    assert settings(*args).listen == [address]


def test_http_has_its_own_port_on_the_same_address() -> None:
    assert settings("-r", "http").http_listen == [":8080"]
    assert settings("-r", "http", "-L", "::1", "--http-port=81").http_listen == ["[::1]:81"]
    assert settings("--http-port=81").http_listen == []


def test_the_environment_names_the_port_where_no_option_does() -> None:
    assert settings(GEARMAND_PORT="4731").listen == [":4731"]
    assert settings("-p", "4732", GEARMAND_PORT="4731").listen == [":4732"]


def test_the_port_that_kubernetes_makes_up_is_passed_over() -> None:
    found = options()
    assert settings_of(found, {"GEARMAND_PORT": "tcp://10.0.0.1:4730"}).listen == [":4730"]
    assert found.remarks == ["GEARMAND_PORT='tcp://10.0.0.1:4730' is no port, so the port is 4730"]


def test_job_retries_0_is_what_the_version_followed_takes_it_for() -> None:
    assert settings("-j", "3").job_retries == 3
    assert settings("-j", "0", "--compat", "1.1").job_retries == -1
    found = options("-j", "0")
    assert settings_of(found, {}).job_retries == 0
    assert len(found.remarks) == 1


def test_keepalive_values_are_taken_and_minus_one_leaves_ours() -> None:
    ours = Settings()
    found = settings("--keepalive-idle", "-1", "--keepalive-interval", "7", "--keepalive-count=0")
    assert found.keepalive_idle == ours.keepalive_idle
    assert (found.keepalive_interval, found.keepalive_count) == (7, 0)


def test_an_explicit_backlog_is_honoured() -> None:
    assert settings("-b", "32").backlog == 32
    assert settings("-b", "0").backlog == 1


def test_the_sqlite_options_name_the_store() -> None:
    found = settings("-q", "libsqlite3", "--libsqlite3-db", "/a/b.db", "--libsqlite3-table", "t")
    assert (found.store, found.store_table) == ("sqlite:////a/b.db", "t")
    assert settings("-q", "libsqlite3", "--libsqlite3-db=b.db").store == "sqlite:///b.db"


@pytest.mark.parametrize(
    ("args", "url"),
    [
        (("-q", "redis"), "redis://127.0.0.1:6379/0?prefix=_gear_geartrain"),
        (("-q", "libhiredis", "--redis-server=::1"), "redis://[::1]:6379/0?prefix=_gear_geartrain"),
        (
            ("-q", "Redis", "--redis-server=h", "--redis-port=7", "--redis-password=a/b:c@d"),
            "redis://:a%2Fb%3Ac%40d@h:7/0?prefix=_gear_geartrain",
        ),
        (("-q", "redis", "--redis-prefix=x"), "redis://127.0.0.1:6379/0?prefix=xgeartrain"),
        (("-q", "libmemcached"), "memcached://127.0.0.1?prefix=gear_geartrain"),
        (
            ("-q", "libmemcached", "--libmemcached-servers=h:7", "--libmemcached-prefix=p_"),
            "memcached://h:7?prefix=p_geartrain",
        ),
        (("-q", "mysql", "--mysql-db=q"), "mysql://localhost:3306/q"),
        (
            ("-q", "MySQL", "--mysql-host=::1", "--mysql-port=7", "--mysql-user=a@b",
             "--mysql-password=p/:@", "--mysql-db=the queue"),
            "mysql://a%40b:p%2F%3A%40@[::1]:7/the%20queue",
        ),
        (("-q", "postgres"), "postgresql://?"),
        (
            ("-q", "libpq", "--libpq-conninfo", "host=/run/pg dbname=q password='a b&c'"),
            "postgresql://?dbname=q&host=%2Frun%2Fpg&password=a%20b%26c",
        ),
        (("-q", "postgres", "--libpq-conninfo", "postgresql://u@h/q"), "postgresql://u@h/q"),
    ],
)  # fmt: skip
def test_the_options_of_the_databases_name_the_store(args: list[str], url: str) -> None:
    assert settings(*args).store == url


@pytest.mark.parametrize(
    ("args", "table"),
    [
        (("mysql", "--mysql-db=q"), "gearman_queue"),
        (("mysql", "--mysql-db=q", "--mysql-table=jobs"), "jobs"),
        (("postgres",), "queue"),
        (("postgres", "--libpq-table=jobs"), "jobs"),
    ],
)
def test_the_queue_of_a_gearmand_is_taken_over_from_its_table(
    args: tuple[str, ...], table: str
) -> None:
    found = source_of(options("-q", *args))
    assert found is not None
    assert found[2] == table


def test_a_database_that_is_not_named_is_asked_for() -> None:
    with pytest.raises(UsageError, match="-q mysql needs --mysql-db DATABASE"):
        settings("-q", "mysql")


def test_a_conninfo_that_is_none_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        settings("-q", "postgres", "--libpq-conninfo", "passwort=secret")
    assert "secret" not in str(caught.value)


def test_a_queue_in_several_memcacheds_is_refused() -> None:
    line = refusal("-q", "libmemcached", "--libmemcached-servers", "a,b:11211")
    assert line.startswith("--libmemcached-servers names more than one server")


@pytest.mark.parametrize("kind", ["libdrizzle", "Drizzle", "libtokyocabinet"])
def test_a_queue_that_is_not_there_is_never_replaced_in_silence(kind: str) -> None:
    line = refusal("-q", kind)
    assert line.startswith(f"-q {kind}: ")
    assert line.endswith("use -q libsqlite3 --libsqlite3-db FILE")
    # To gearmand these are correct arguments, so a script that checks them goes on.
    checked = gearmand("--check-args", "-q", kind)
    assert (checked.returncode, checked.stderr) == (
        0,
        f"gearmand: the server would not start: {line}\n",
    )


def test_ssl_is_refused_and_never_plaintext(tmp_path: Path) -> None:
    assert refusal("--ssl", "--ssl-key=k").startswith("--ssl is not available in this version")
    assert missing(options("--ssl-key=k")) == ""
    found = options("--ssl-key=k")
    settings_of(found, {})
    assert found.remarks == ["--ssl-key has no meaning without --ssl: nothing is encrypted"]


def test_passwords_where_others_can_read_them_are_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("--mysql-password hunter2")
    path.chmod(0o644)
    (remark,) = options(config_file=str(path)).remarks
    assert remark == f"{path} holds a password and can be read by every user: chmod 600 {path}"
    path.chmod(0o600)
    assert options(config_file=str(path)).remarks == []
    (remark,) = options("--redis-password=hunter2").remarks
    assert remark.startswith("--redis-password can be read by every user of this machine")
    assert "hunter2" not in remark


# Starting.


def test_it_starts_with_an_empty_environment_and_answers(start: Callable[..., Daemon]) -> None:
    daemon = start()
    with daemon.peer() as admin:
        assert admin.ask(b"version").startswith(b"OK ")
        assert admin.ask(b"getpid") == b"OK %d\n" % daemon.pid
        assert admin.ask(b"verbose") == b"OK ERROR\n"


def test_it_accepts_soon_with_the_sqlite_store(start: Callable[..., Daemon]) -> None:
    took: list[float] = []
    # Other programs run here too; without them each start is far below.
    while len(took) < 10 and not any(seconds < 1.5 for seconds in took):
        started = time.monotonic()
        daemon = start("-q", "libsqlite3", "--libsqlite3-db", "q.db")
        took.append(time.monotonic() - started)
        daemon.stop()
    assert min(took) < 1.5


def test_a_busy_port_is_one_line(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start()
    pid_file = tmp_path / "other"
    line = refusal("-L", "127.0.0.1", "-p", str(daemon.port), "-P", str(pid_file), "-l", "stderr")
    assert line == (
        f"can't listen on 127.0.0.1:{daemon.port}: the port is in use;"
        " stop the server that has it, or choose another port"
    )
    assert not pid_file.exists()


def test_an_address_that_is_not_this_machines_is_one_line() -> None:
    assert "can't listen on 192.0.2.1:" in refusal("-L", "192.0.2.1", "-l", "stderr")


def test_it_takes_its_port_again_at_once(start: Callable[..., Daemon]) -> None:
    daemon = start()
    with daemon.peer() as peer:
        peer.echo()
        daemon.stop()
        # The server closed first, so its end of the connection is in TIME_WAIT.
        peer.expect_end()
    start(port=daemon.port)


def test_the_failure_is_in_the_log_file_too(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start()
    log = tmp_path / "log"
    refusal("-L", "127.0.0.1", "-p", str(daemon.port), "-P", "pid", "-l", str(log))
    assert re.fullmatch(r"CRITICAL \S+ \S+ \[  main \] can't listen on .*\n", log.read_text())


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "q.db"
    path.write_bytes(b"this is no database" * 100)
    where = ["-L", "127.0.0.1", "-p", str(free_port()), "-l", "stderr", "-P", str(tmp_path / "p")]
    assert str(path) in refusal("-q", "libsqlite3", "--libsqlite3-db", str(path), *where)
    assert not (tmp_path / "p").exists()


# What beyond loopback.


def test_ports_open_to_others_are_warned_about_at_any_level(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = start("-l", "log", listen="")
    warning = f"WARNING: 0.0.0.0:{daemon.port} is open to other machines"
    assert warning in daemon.said()
    assert warning in (tmp_path / "log").read_text()


def test_on_loopback_nothing_is_said(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start("-l", "log")
    assert daemon.said() == ""
    assert (tmp_path / "log").read_text() == ""


# The pid file.


def test_the_pid_file_is_there_while_it_accepts(start: Callable[..., Daemon]) -> None:
    daemon = start()
    assert daemon.pid_file.read_text() == f"{daemon.process.pid}\n"
    assert stat.S_IMODE(daemon.pid_file.stat().st_mode) == 0o640
    daemon.stop()
    assert not daemon.pid_file.exists()


def test_an_old_pid_file_is_replaced(start: Callable[..., Daemon], tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(NOBODYS)
    daemon = start()
    assert daemon.pid_file.read_text() == f"{daemon.process.pid}\n"
    assert sorted(os.listdir(tmp_path)) == ["pid", "stderr"]


def test_a_link_in_place_of_the_pid_file_is_replaced_and_not_followed(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "pid").symlink_to(victim)
    daemon = start()
    assert victim.read_text() == "precious"
    assert not daemon.pid_file.is_symlink()


def test_another_ones_pid_file_stays(start: Callable[..., Daemon]) -> None:
    daemon = start()
    daemon.pid_file.write_text(NOBODYS)
    daemon.stop()
    assert daemon.pid_file.read_text() == NOBODYS


@pytest.mark.parametrize("path", ["/nonexistent/pid", "/dev/null", "/"])
def test_a_pid_file_that_was_asked_for_has_to_work(path: str) -> None:
    where = ["-L", "127.0.0.1", "-p", str(free_port()), "-l", "stderr"]
    assert refusal("-P", path, *where).startswith(f"can't write the pid file {path}: ")


def patched(name: str, value: str) -> tuple[str, ...]:
    """Return how to start gearmand with another default."""
    code = f"import geartrain.cli.gearmand as g; g.{name} = {value!r}; g.main()"
    return sys.executable, "-c", code


def test_the_usual_pid_file_may_fail(start: Callable[..., Daemon]) -> None:
    program = patched("PID_FILE", "/nonexistent/pid")
    daemon = start(names_pid_file=False, program=program)
    assert "pid file" not in daemon.said()


# The log.


def test_lines_of_the_log_are_gearmands(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start("-l", "log", "--verbose", "DEBUG")
    daemon.stop()
    log = tmp_path / "log"
    lines = log.read_text().splitlines()
    assert len(lines) > 3
    for line in lines:
        assert LINE.fullmatch(line), line
    assert any(f"Starting up with pid {daemon.process.pid}, verbose is set to DEBUG" in line
               for line in lines)  # fmt: skip
    assert lines[-1].endswith("] Shutdown complete")
    assert stat.S_IMODE(log.stat().st_mode) == 0o640


def test_lines_of_debians_log_match_the_same_pattern(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    require("gearmand")
    daemon = start("-l", "log", "--verbose=INFO", program=(find_program("gearmand") or "",))
    daemon.stop()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines
    for line in lines:
        assert LINE.fullmatch(line), line


def test_the_log_goes_on_behind_what_is_there(start: Callable[..., Daemon], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    start("-l", "log", "--verbose=INFO")
    assert (tmp_path / "log").read_text().startswith("before\n   INFO ")


def test_the_level_of_the_log_is_heeded(start: Callable[..., Daemon]) -> None:
    assert "Starting up" in start("-l", "stderr", "--verbose", "INFO").said()
    for level in VERBOSE[:6]:
        settings("--verbose", level)
    daemon = start("-l", "stderr", "--verbose", "NOTICE")
    assert daemon.said().count("Starting up") == 1


def test_none_is_no_log(start: Callable[..., Daemon], tmp_path: Path) -> None:
    assert start("-l", "none", "--verbose", "DEBUG").said() == ""
    assert sorted(os.listdir(tmp_path)) == ["pid", "stderr"]


def test_a_log_file_that_was_asked_for_has_to_work() -> None:
    where = ["-L", "127.0.0.1", "-p", str(free_port())]
    assert refusal("-l", "/nonexistent/log", *where) == (
        "can't write the log file /nonexistent/log: No such file or directory"
    )


def test_the_usual_log_file_gives_way_to_standard_error(start: Callable[..., Daemon]) -> None:
    program = patched("LOG_FILE", "/nonexistent/log")
    daemon = start("--verbose=INFO", program=program, names_log=False)
    assert "the log goes to standard error" in daemon.said()
    assert "Starting up with pid" in daemon.said()


def test_a_link_to_a_file_is_no_log_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "log").symlink_to(victim)
    assert refusal("-l", str(tmp_path / "log")).endswith("is a symbolic link: name the file itself")
    assert victim.read_text() == "precious"


def test_a_link_to_standard_error_is_a_log_file(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "log").symlink_to("/dev/stderr")
    assert "Starting up" in start("-l", "log", "--verbose", "INFO").said()


def test_sighup_goes_on_in_a_new_log_file(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start("-l", "log", "--verbose", "INFO")
    (tmp_path / "log").rename(tmp_path / "log.1")
    daemon.send(signal.SIGHUP)
    eventually((tmp_path / "log").exists, "there is a new log")
    daemon.stop()
    assert "Shutdown complete" in (tmp_path / "log").read_text()
    assert "Shutdown complete" not in (tmp_path / "log.1").read_text()


def test_sighup_follows_no_link(start: Callable[..., Daemon], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    daemon = start("-l", "log", "--verbose", "INFO")
    (tmp_path / "log").rename(tmp_path / "log.1")
    (tmp_path / "log").symlink_to(victim)
    daemon.send(signal.SIGHUP)
    eventually(lambda: "is a symbolic link" in daemon.said(), "it says so")
    daemon.stop()
    assert victim.read_text() == "precious"
    assert "Shutdown complete" in (tmp_path / "log.1").read_text()


# -d.


def test_a_daemon_accepts_when_the_command_returns(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    port = free_port()
    pid_file = tmp_path / "pid"
    where = ["-L", "127.0.0.1", "-p", str(port), "-P", str(pid_file), "-l", str(tmp_path / "log")]
    ended = gearmand("-d", *where)
    pid = int(pid_file.read_text())
    try:
        # Connected at the first attempt: nobody waited for it.
        with Peer(("127.0.0.1", port)) as peer:
            peer.echo()
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        # Of its own session, not its leader, and without anything of ours.
        assert os.getsid(pid) not in (pid, os.getsid(0))
        for number in (0, 1, 2):
            assert os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null"
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not is_running(pid), "the daemon has ended")
    assert not pid_file.exists()


def test_a_daemon_that_does_not_start_says_so(start: Callable[..., Daemon]) -> None:
    port = str(start().port)
    line = refusal("-d", "-L", "127.0.0.1", "-p", port, "-l", "none", "-P", "/tmp/none")
    assert line.startswith(f"can't listen on 127.0.0.1:{port}: ")


def test_closed_standard_streams_do_not_become_sockets(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    closing = ("/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', GEARMAND)
    daemon = start("-l", "log", program=closing)
    for number in (0, 1, 2):
        assert os.readlink(f"/proc/{daemon.pid}/fd/{number}") == "/dev/null"


# -u, -f, --coredump.


def test_an_unknown_user_is_one_line() -> None:
    assert refusal("-u", "no-such-user") == "-u no-such-user: there is no such user"


@pytest.fixture
def others_directory() -> Iterator[Path]:
    """A directory that belongs to nobody, where nobody can reach it."""
    with tempfile.TemporaryDirectory(prefix="gearmand-test-") as name:
        account = pwd.getpwnam("nobody")
        if os.geteuid() == 0:
            os.chown(name, account.pw_uid, account.pw_gid)
        yield Path(name)


def test_root_switches_to_the_user_once_everything_is_taken(
    start: Callable[..., Daemon], others_directory: Path
) -> None:
    if os.geteuid() != 0:
        assert refusal("-u", "nobody") == "-u nobody: only root can switch to another user"
        return
    args = ["-u", "nobody", "-q", "libsqlite3", "--libsqlite3-db", "q.db", "-l", "log"]
    daemon = start(*args, "--verbose=INFO", directory=others_directory)
    account = pwd.getpwnam("nobody")
    assert daemon.identity() == [str(account.pw_uid), str(account.pw_gid)]
    with daemon.peer() as client:
        client.submit(packets.SUBMIT_JOB_BG, b"f")
    for name in ("log", "pid", "q.db"):
        assert (others_directory / name).stat().st_uid == account.pw_uid, name
    # What it needs later it has to have: the user may not be able to read our files.
    (others_directory / "log").rename(others_directory / "log.1")
    daemon.send(signal.SIGHUP)
    eventually((others_directory / "log").exists, "there is a new log")
    daemon.stop()
    assert daemon.process.returncode == 0
    assert "Shutdown complete" in (others_directory / "log").read_text()
    assert not daemon.pid_file.exists()


def test_a_pid_file_that_the_user_may_not_remove_is_emptied(
    start: Callable[..., Daemon], others_directory: Path
) -> None:
    if os.geteuid() != 0:
        assert refusal("-u", "nobody") == "-u nobody: only root can switch to another user"
        return
    os.chown(others_directory, 0, 0)
    others_directory.chmod(0o755)
    daemon = start("-u", "nobody", "-l", "stderr", directory=others_directory)
    assert daemon.pid_file.read_text() == f"{daemon.process.pid}\n"
    daemon.stop()
    assert daemon.pid_file.read_text() == ""


def test_the_limit_of_files_is_as_wanted_and_else_as_high_as_it_may_be(
    start: Callable[..., Daemon],
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert start("-f", "500").limit("Max open files")[0] == "500"
    assert start().limit("Max open files") == [str(hard), str(hard)]


def test_more_files_than_the_system_has_is_one_line() -> None:
    assert refusal("-f", "99999999999").startswith("-f 99999999999: only ")


def test_coredump_allows_core_dumps(start: Callable[..., Daemon]) -> None:
    soft, hard = start("--coredump").limit("Max core file size")
    assert soft == hard


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_stop_it_at_once(
    start: Callable[..., Daemon], number: signal.Signals
) -> None:
    daemon = start()
    with daemon.peer() as worker, daemon.peer() as client:
        client.submit(packets.SUBMIT_JOB, b"f")
        worker.send(packets.CAN_DO, b"f")
        assert worker.grab()
        daemon.stop(number)
        client.expect_end()
        worker.expect_end()
    assert daemon.process.returncode == 0
    assert not daemon.pid_file.exists()


def test_sigusr1_lets_it_finish_its_jobs(start: Callable[..., Daemon]) -> None:
    daemon = start()
    with daemon.peer() as worker, daemon.peer() as client:
        worker.send(packets.CAN_DO, b"f")
        worker.echo()
        client.submit(packets.SUBMIT_JOB, b"f", workload=b"1")
        daemon.send(signal.SIGUSR1)
        eventually(lambda: not daemon.accepts(), "nobody new is accepted")
        # Whoever is there may go on, and submit.
        client.submit(packets.SUBMIT_JOB, b"f", workload=b"2")
        for _ in range(2):
            handle = worker.grab()
            worker.send(packets.WORK_COMPLETE, handle, b"done")
            client.expect(packets.WORK_COMPLETE, handle, b"done")
        client.expect_end()
    assert daemon.process.wait(DEADLINE) == 0
    assert not daemon.pid_file.exists()


# What else the options do.


def test_jobs_in_sqlite_are_there_after_a_restart(start: Callable[..., Daemon]) -> None:
    args = ["-q", "libsqlite3", "--libsqlite3-db", "q.db"]
    daemon = start(*args)
    with daemon.peer() as client:
        handle = client.submit(packets.SUBMIT_JOB_BG, b"f", b"", b"")
    daemon.stop(signal.SIGKILL)
    daemon = start(*args)
    with daemon.peer() as worker:
        worker.send(packets.CAN_DO, b"f")
        worker.send(packets.GRAB_JOB)
        worker.expect(packets.JOB_ASSIGN, handle, b"f", b"")


def test_the_queue_of_debians_gearmand_is_taken_over(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    require("gearmand")
    args = ["-q", "libsqlite3", "--libsqlite3-db", "q.db", "--libsqlite3-table", "jobs"]
    debian = start(*args, "-l", "none", program=(find_program("gearmand") or "",))
    with debian.peer() as client:
        client.submit(packets.SUBMIT_JOB_HIGH_BG, b"f", b"key", b"work\0load")
    debian.stop()
    daemon = start(*args)
    with sqlite3.connect(tmp_path / "q.db") as database:
        rows = database.execute("SELECT unique_key, function_name, priority, data FROM jobs")
        assert [tuple(map(as_text, row)) for row in rows] == [("key", "f", "0", "work\0load")]
    database.close()
    with daemon.peer() as worker:
        worker.send(packets.CAN_DO, b"f")
        worker.send(packets.GRAB_JOB_UNIQ)
        kind, body = worker.receive()
        assert kind == packets.JOB_ASSIGN_UNIQ
        assert body.split(b"\0", 1)[1] == b"f\0key\0work\0load"


def as_text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_http_is_spoken_where_it_is_asked_for(start: Callable[..., Daemon]) -> None:
    port = free_port()
    start("-r", "http", "--http-port", str(port))
    with Peer(("127.0.0.1", port)) as client:
        client.send_bytes(b"HEAD / HTTP/1.0\r\n\r\n")
        assert client.expect_closed().startswith(b"HTTP/1.0 200 OK\r\n")


def test_exceptions_go_to_every_client(start: Callable[..., Daemon]) -> None:
    daemon = start("--exceptions")
    with daemon.peer() as worker, daemon.peer() as client:
        handle = client.submit(packets.SUBMIT_JOB, b"f")
        worker.send(packets.CAN_DO, b"f")
        assert worker.grab() == handle
        worker.send(packets.WORK_EXCEPTION, handle, b"oh")
        client.expect(packets.WORK_EXCEPTION, handle, b"oh")


def test_a_job_is_given_up_after_as_many_attempts_as_wanted(start: Callable[..., Daemon]) -> None:
    daemon = start("-j", "2", "-l", "stderr", "--verbose", "WARNING")
    with daemon.peer() as client:
        handle = client.submit(packets.SUBMIT_JOB, b"f")
        for _ in range(2):
            with daemon.peer() as worker:
                worker.send(packets.CAN_DO, b"f")
                assert worker.grab() == handle
            eventually(lambda: running(daemon, b"f") == 0, "the job came back")
        client.expect(packets.WORK_FAIL, handle)
    eventually(lambda: f"dropped job {handle.decode()}" in daemon.said(), "the log has it")


def running(daemon: Daemon, function: bytes) -> int:
    """Return how many jobs of a function are running."""
    with daemon.peer() as admin:
        for line in admin.ask(b"status").splitlines():
            name, _, count, _ = line.split(b"\t")
            if name == function:
                return int(count)
    return 0


@pytest.mark.parametrize(
    ("args", "order"),
    [
        ([], [b"b1", b"a1", b"b2", b"a2"]),
        (["--compat", "1.1"], [b"b1", b"b2", b"a1", b"a2"]),
        (["--compat", "1.1", "-R"], [b"b1", b"a1", b"b2", b"a2"]),
    ],
)
def test_functions_take_turns_as_the_version_followed_has_it(
    start: Callable[..., Daemon], args: list[str], order: list[bytes]
) -> None:
    with start(*args).peer() as peer:
        for workload in (b"a1", b"a2", b"b1", b"b2"):
            peer.submit(packets.SUBMIT_JOB_BG, workload[:1], b"", workload)
        peer.send(packets.CAN_DO, b"a")
        peer.send(packets.CAN_DO, b"b")
        served = []
        for _ in order:
            peer.send(packets.GRAB_JOB)
            served.append(peer.receive()[1].rpartition(b"\0")[2])
    assert served == order


def test_debians_init_options_work(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """What /lib/systemd/system/gearman-job-server.service and /etc/default pass."""
    daemon = start(
        f"--pid-file={tmp_path}/pid", "--listen=localhost", "--daemon",
        f"--log-file={tmp_path}/gearmand.log", listen="", names_pid_file=False,
    )  # fmt: skip
    assert daemon.process.wait(DEADLINE) == 0
    with daemon.peer() as peer:
        peer.echo()


def test_syslog_gets_the_same_lines(start: Callable[..., Daemon], tmp_path: Path) -> None:
    code = (
        "import json, sys, syslog\n"
        "said = open('said', 'w', 1)\n"
        "syslog.openlog = lambda *args: said.write(json.dumps(args) + chr(10))\n"
        "syslog.syslog = lambda *args: said.write(json.dumps(args) + chr(10))\n"
        "from geartrain.cli.gearmand import main\n"
        "main()\n"
    )
    daemon = start("--syslog", "-l", "log", "--verbose=INFO", program=(sys.executable, "-c", code))
    daemon.stop()
    opened, *lines = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert opened[0] == "gearmand"
    assert {priority for priority, _ in lines} == {6}
    assert [line for _, line in lines] == (tmp_path / "log").read_text().splitlines()
