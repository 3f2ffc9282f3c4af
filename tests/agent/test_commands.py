"""Commands, run by agents as cron runs them."""

from __future__ import annotations

import os
import pwd
import signal
import stat
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path

import pytest

from geartrain.client.sync import Client
from geartrain.schedule.envelope import DONE, FAILED
from geartrain.schedule.greeting import end_order
from tests.acceptance.job_server import eventually
from tests.agent.processes import (
    AgentProcess,
    ask,
    envelope,
    wait_for_file,
    wait_until_gone,
)
from tests.cli.servers import Server

Start = Callable[..., AgentProcess]


@pytest.fixture(scope="module")
def agent(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """An agent of many tests, which runs whatever it is told."""
    directory = tmp_path_factory.mktemp("agent")
    sendmail = directory / "sendmail"
    sendmail.write_text(f'#!/bin/sh\necho "$@" > {directory}/words; cat > {directory}/mail\n')
    sendmail.chmod(stat.S_IRWXU)
    running = AgentProcess(
        "anything",
        directory,
        servers=[f"127.0.0.1:{server.port}"],
        allow=["*"],
        allow_users=["nobody"],
        allow_environment=["LC_*", "LANG"],
        concurrency=2,
        kill_delay=0.3,
        output_limit="4KiB",
        sendmail=str(sendmail),
    )
    running.wait_for("ready: agent")
    yield running
    running.end()


def test_a_command_gets_the_payload_and_its_output_comes_back(
    agent: AgentProcess, client: Client
) -> None:
    sent = envelope("anything", command="cat; echo oops >&2", payload=b"line 1\n\xff")
    answer = ask(client, "anything", sent)
    assert (answer.kind, answer.status, answer.attempt) == (DONE, 0, 1)
    assert answer.output == "line 1\n�"
    assert answer.errors == "oops\n"
    assert 0 < answer.started <= answer.ended


def test_its_environment_is_cron_s_and_nothing_of_the_agent_s_own(
    agent: AgentProcess, client: Client, tmp_path: Path
) -> None:
    sent = envelope(
        "anything",
        1_769_904_000,
        command="env; pwd; umask",
        previous=1_769_900_400,
        attempt=2,
        shard=(1, 3),
        directory=str(tmp_path),
        environment=(("LANG", "C"), ("LOGNAME", "somebody-else")),
    )
    *lines, directory, umask = ask(client, "anything", sent).output.splitlines()
    found = dict(line.split("=", 1) for line in lines)
    own = pwd.getpwuid(os.geteuid())
    # What the shell itself adds.
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):
        found.pop(name, None)
    assert found == {
        "SHELL": "/bin/sh",
        "PATH": "/usr/bin:/bin",
        "HOME": own.pw_dir,
        "LOGNAME": own.pw_name,
        "USER": own.pw_name,
        "LANG": "C",
        "GEARTRAIN_ENTRY": "e",
        "GEARTRAIN_KEY": sent.key,
        "GEARTRAIN_NOMINAL": "2026-02-01T00:00:00Z",
        "GEARTRAIN_PREVIOUS": "2026-01-31T23:00:00Z",
        "GEARTRAIN_ATTEMPT": "2",
        "GEARTRAIN_SHARD": "1/3",
    }
    assert (directory, umask) == (str(tmp_path), "0022")


def test_a_command_that_fails_says_how(agent: AgentProcess, client: Client) -> None:
    answer = ask(client, "anything", envelope("anything", command="echo no >&2; exit 3"))
    assert (answer.kind, answer.status, answer.errors) == (FAILED, 3, "no\n")
    assert answer.reason == "it exited with status 3"
    answer = ask(client, "anything", envelope("anything", command="kill -9 $$"))
    assert (answer.kind, answer.reason) == (FAILED, "it was killed by SIGKILL")


def test_of_much_output_the_beginning_and_the_end_are_kept(
    agent: AgentProcess, client: Client
) -> None:
    answer = ask(
        client, "anything", envelope("anything", command="echo begin; seq 200000; echo end")
    )
    assert answer.output.startswith("begin\n1\n")
    assert answer.output.endswith("200000\nend\n")
    assert "bytes left out" in answer.output
    assert len(answer.output) < 4_200


def test_a_large_payload_and_a_large_output_pass_each_other(
    agent: AgentProcess, client: Client
) -> None:
    sent = envelope("anything", command="tee /dev/stderr | wc -c", payload=b"x" * 3_000_000)
    answer = ask(client, "anything", sent)
    assert answer.output.strip() == "3000000"


def test_a_command_that_reads_nothing_of_its_payload_is_none_the_worse(
    agent: AgentProcess, client: Client
) -> None:
    sent = envelope("anything", command="exec true", payload=b"x" * 3_000_000)
    assert ask(client, "anything", sent).kind == DONE


def test_when_its_time_is_over_the_whole_group_is_ended_kindly_then_firmly(
    agent: AgentProcess, client: Client, tmp_path: Path
) -> None:
    command = (
        f"trap 'echo was asked' TERM; sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/child; "
        f"while :; do sleep 60; done' & while :; do wait; sleep 0.05; done"
    )
    answer = ask(client, "anything", envelope("anything", command=command, run_timeout=0.5))
    assert answer.kind == FAILED
    assert answer.reason == "it ran for more than 0.5 s"
    assert answer.timed_out
    assert "was asked" in answer.output
    assert answer.status == -signal.SIGKILL
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_what_a_command_leaves_in_the_background_ends_with_it(
    agent: AgentProcess, client: Client
) -> None:
    answer = ask(client, "anything", envelope("anything", command="sleep 600 & echo $!"))
    assert answer.kind == DONE
    wait_until_gone(int(answer.output))


def test_a_daemon_with_a_session_of_its_own_is_left_alone_and_not_waited_for(
    agent: AgentProcess, client: Client, tmp_path: Path
) -> None:
    pid_file = tmp_path / "daemon"
    command = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' & sleep 0.2; echo on"
    answer = ask(client, "anything", envelope("anything", command=command))
    pid = int(wait_for_file(pid_file))
    try:
        assert (answer.kind, answer.output) == (DONE, "on\n")
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_an_order_ends_a_fire_that_runs(
    agent: AgentProcess, client: Client, tmp_path: Path
) -> None:
    sent = envelope("anything", command=f"echo $$ > {tmp_path}/pid; exec sleep 600")
    job = client.submit("agent:anything", sent.to_bytes())
    pid = int(wait_for_file(tmp_path / "pid"))
    assert client.call("agent:anything:control", end_order(sent.key, b"")) == b"ended"
    assert b"it was cancelled" in job.result(10)
    wait_until_gone(pid)
    assert client.call("agent:anything:control", end_order(sent.key, b"")) == b"not here"


def test_nothing_survives_an_agent_that_is_killed(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    agent = start_agent("mortal", allow=["*"], kill_delay=0.3)
    # Its input ends once it is known to who ends it.
    command = (
        f"trap '' TERM; sleep 600 & cat > /dev/null; echo $! $$ > {tmp_path}/pids; wait; sleep 600"
    )
    client.submit("agent:mortal", envelope("mortal", command=command).to_bytes())
    pids = wait_for_file(tmp_path / "pids").split()
    agent.end()
    for pid in pids:
        wait_until_gone(int(pid))


def test_what_a_command_writes_is_mailed_to_whom_the_entry_names(
    agent: AgentProcess, client: Client
) -> None:
    tmp_path = agent.directory
    ask(client, "anything", envelope("anything", command="true", mailto="root"))
    ask(client, "anything", envelope("anything", command="echo nobody is told"))
    assert not (tmp_path / "mail").exists()
    sent = envelope("anything", command="echo out; echo err >&2; exit 3", mailto="root")
    ask(client, "anything", sent)
    mail = message_from_string((tmp_path / "mail").read_text())
    assert (tmp_path / "words").read_text() == "-i -t\n"
    assert mail["To"] == "root"
    assert mail["X-Geartrain-Key"] == sent.key
    assert mail.get_payload() == "out\nerr\n\nit exited with status 3\n"
    # A name that would add a line to the head sends nothing, and the fire is done all the same.
    answer = ask(client, "anything", envelope("anything", command="echo x", mailto="a\nBcc: b"))
    assert answer.kind == DONE
    assert message_from_string((tmp_path / "mail").read_text())["Bcc"] is None


# What is allowed.


def test_without_a_word_of_its_owner_nothing_runs(start_agent: Start, client: Client) -> None:
    agent = start_agent("closed")
    assert "see [agent] allow" in agent.said()
    answer = ask(client, "closed", envelope("closed", command="true"))
    assert answer.kind == FAILED
    assert "/usr/bin/true is not allowed on this machine" in answer.reason
    assert "[agent] allow" in answer.reason


def test_programs_by_pattern_and_whole_command_lines_may_run(
    start_agent: Start, client: Client, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "hello"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "hello $1"\n')
    program.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP)
    start_agent("choosy", allow=[f"{program.parent}/*", "echo a | tr a b"])

    def run(command: str) -> str:
        answer = ask(client, "choosy", envelope("choosy", command=command))
        return answer.output or answer.reason

    assert run(f"{program} 'big world'") == "hello big world\n"
    assert run("echo a | tr a b") == "b\n"
    assert "more than one program" in run(f"{program} x; id")
    assert "more than one program" in run(f"{program} $(id)")
    assert "is not allowed" in run("id")


def test_variables_that_change_what_a_program_does_have_to_be_allowed(
    agent: AgentProcess, client: Client
) -> None:
    sent = envelope("anything", command="echo $LC_ALL", environment=(("LC_ALL", "C"),))
    assert ask(client, "anything", sent).output == "C\n"
    sent = envelope("anything", command="true", environment=(("LD_PRELOAD", "/tmp/x.so"),))
    reason = ask(client, "anything", sent).reason
    assert "LD_PRELOAD" in reason
    assert "[agent] allow_environment" in reason


def test_a_command_runs_as_its_user_with_all_of_its_groups(
    agent: AgentProcess, client: Client
) -> None:
    command = "id -un; id -G; echo $HOME $LOGNAME"
    answer = ask(
        client, "anything", envelope("anything", command=command, user="nobody", directory="/")
    )
    if os.geteuid() != 0:
        assert "start it as root" in answer.reason
        return
    name, groups, names = answer.output.splitlines()
    found = pwd.getpwnam("nobody")
    assert name == "nobody"
    assert set(map(int, groups.split())) == set(os.getgrouplist("nobody", found.pw_gid))
    assert names == f"{found.pw_dir} nobody"


def test_a_user_has_to_be_allowed(agent: AgentProcess, client: Client) -> None:
    answer = ask(client, "anything", envelope("anything", command="id", user="daemon"))
    assert answer.reason == "user 'daemon' may not be had here; add it to [agent] allow_users"


def test_what_can_t_be_started_says_why(agent: AgentProcess, client: Client) -> None:
    answer = ask(client, "anything", envelope("anything", command="pwd", directory="/no/such"))
    assert answer.reason == "can't enter the directory '/no/such': no such file or directory"
    sent = envelope("anything", command="no-such-program")
    assert ask(client, "anything", sent).status == 127


def test_a_job_that_is_no_fire_fails_with_the_reason(agent: AgentProcess, client: Client) -> None:
    assert b"the workload is no envelope" in client.call("agent:anything", b"rm -rf /", timeout=5)


def test_fires_at_once_are_as_many_as_are_allowed(
    agent: AgentProcess, client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    jobs = [
        client.submit(
            "agent:anything",
            envelope(
                "anything",
                command=f"echo {number} >> began; cat {gate}",
                directory=str(tmp_path),
            ).to_bytes(),
        )
        for number in range(1, 4)
    ]
    began = tmp_path / "began"
    eventually(lambda: began.exists() and len(began.read_text().split()) == 2, "two begin")
    # Each reader of the gate goes on when its writer has gone.
    for _ in range(50):
        with gate.open("w"):
            pass
        if all(job.wait(0.1) for job in jobs):
            break
    assert sorted(began.read_text().split()) == ["1", "2", "3"]
