"""The ``geartrain`` command in the process of the test, as somebody types it."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
import typer

from geartrain.cli import main

# Made once: that takes as long as most commands do.
GEARTRAIN = typer.main.get_command(main.app)


class Command:
    """
    Runs ``geartrain`` with arguments.

    Attributes:
        code, out, err: What the last run ended with and printed.

    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys
        self.code: object = None
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Command:
        self.monkeypatch.setattr(main, "app", GEARTRAIN)
        self.monkeypatch.setattr(sys, "argv", ["geartrain", *arguments])
        self.monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main.main()
        self.code = ended.value.code or 0
        self.out, self.err = self.capsys.readouterr()
        return self

    def ok(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run it, expect that all went well, and return what it printed."""
        self(*arguments, stdin=stdin)
        assert (self.code, self.err) == (0, "")
        return self.out

    def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """Return the JSON it printed, whatever code it ended with."""
        return json.loads(self(*arguments, "--json", stdin=stdin).out)

    def refused(self, code: int, *arguments: str, stdin: bytes = b"") -> str:
        """Run it, expect that code and one line of complaint, and return that."""
        self(*arguments, stdin=stdin)
        assert (self.code, self.out) == (code, "")
        assert self.err.startswith("geartrain: ")
        assert self.err.count("\n") == 1
        return self.err
