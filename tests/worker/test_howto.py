"""The how-to page about workers says what is true: its programs are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geartrain import Client
from geartrain.errors import JobFailed
from tests.faults.server import Server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "write-a-worker.md"


PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=["blocking", "asyncio"])
def test_the_worker_of_the_page_does_what_the_page_says(tmp_path: Path, program: str) -> None:
    script = tmp_path / "worker.py"
    script.write_text(program)
    server = Server("geartrain", tmp_path)
    server.start()
    address = f"127.0.0.1:{server.port}"
    worker = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "GEARMAN_SERVERS": address}
    )
    try:
        with Client(address) as client:
            assert client.call("shout", b"hello", timeout=10) == b"HELLO"
            with pytest.raises(JobFailed):
                client.call("shout", b"", timeout=10)
    finally:
        worker.terminate()
        assert worker.wait(10) == 0
        server.stop()
