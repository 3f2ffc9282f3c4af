"""The how-to pages about clients say what is true: their code is run, and the example too."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geartrain.client.settings import Settings
from geartrain.wire.packet import WORK_DATA, WORK_EXCEPTION, WORK_STATUS
from tests.client.real_servers import RealServer, TinyWorker

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"


def blocks(page, language):
    """Return the code blocks of a page in one language, each with its line."""
    text = (HOWTO / page).read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(match.group(1), text.count("\n", 0, match.start())) for match in found]


def reverse(job):
    return job.workload[::-1]


def reverse_strictly(job):
    job.send(WORK_EXCEPTION, b"ValueError: nothing to reverse")


def count(job):
    for number, word in enumerate((b"one", b"two", b"three"), 1):
        job.send(WORK_DATA, word)
        job.send(WORK_STATUS, b"%d" % number, b"3")
    return b"done"


@pytest.fixture
def worker(job_server, monkeypatch):
    monkeypatch.setenv("GEARMAN_SERVERS", str(job_server))
    functions = {b"reverse": reverse, b"reverse-strictly": reverse_strictly, b"count": count}
    with TinyWorker(job_server, functions) as worker:
        yield worker


def test_dialogues_of_submit_jobs_are_true(worker):
    page = "submit-jobs.md"
    text = "\n".join(block for block, _ in blocks(page, "pycon"))
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    test = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    said = []
    try:
        result = runner.run(test, out=said.append, clear_globs=False)
    finally:
        if "client" in test.globs:
            test.globs["client"].close()
    assert result.failed == 0, "".join(said)
    assert result.attempted >= 20


def test_programs_of_submit_jobs_run(worker, capsys):
    several_servers, event_loop = (code for code, _ in blocks("submit-jobs.md", "python"))
    names: dict[str, object] = {}
    exec(several_servers, names)
    names["client"].close()  # type: ignore[attr-defined]
    exec(event_loop, {})
    said = capsys.readouterr().out
    assert "b'olleh'" in said
    assert "completed b'done'" in said
    assert "b'cba'" in said


def test_settings_in_submit_jobs_are_all_there_are():
    table = (HOWTO / "submit-jobs.md").read_text().partition("| setting |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Settings._fields)


@pytest.mark.parametrize("kind", ["geartrain", "gearmand"])
def test_programs_of_map_and_reduce_run(kind, monkeypatch, capsys):
    server = RealServer(kind)
    monkeypatch.setenv("GEARMAN_SERVERS", str(server))
    names: dict[str, object] = {}
    try:
        for code, line in blocks("map-reduce.md", "python"):
            exec(compile("\n" * (line + 1) + code, "map-reduce.md", "exec"), names)
    finally:
        for name in ("splitting", "counting"):
            if name in names:
                names[name].stop()  # type: ignore[attr-defined]
                assert names[name].join(10)  # type: ignore[attr-defined]
        server.stop()
    assert "[('to', 2), ('be', 2)]" in capsys.readouterr().out
    assert names["total"] == names["in_any_order"] == names["reduced"]


def test_the_example_counts_words(job_server, tmp_path):
    paths = []
    for number in range(30):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(f"the quick (brown) fox, number-{number} the\n")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "word_count.py", *paths],
        env={**os.environ, "GEARMAN_SERVERS": str(job_server)},
        capture_output=True,
        text=True,
        timeout=15,
    )
    assert done.returncode == 0, done.stderr
    assert "180 words in 30 files, 34 of them different" in done.stdout
    assert "     60 the\n" in done.stdout
