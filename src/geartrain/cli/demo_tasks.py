"""
What ``geartrain dev`` runs where no app is named: two tasks to try things with.
"""

from __future__ import annotations

import time
from typing import Final

from geartrain.errors import Reject
from geartrain.tasks.app import App
from geartrain.tasks.current import current_job

app = App(codec="raw")

# Seconds that a step takes, and steps where the workload names no number.
_STEP: Final = 0.5
_STEPS: Final = 10


@app.task
def reverse(data: bytes) -> bytes:
    """Return a text from its end to its start."""
    try:
        return data.decode()[::-1].encode()
    except UnicodeDecodeError:
        return data[::-1]


@app.task
def slow_progress(data: bytes) -> bytes:
    """Take ten steps, or as many as the workload says, half a second each."""
    text = data.decode(errors="replace").strip()
    if text and not text.isdecimal():
        raise Reject(f"{text!r} is no number of steps; send a number, or nothing for {_STEPS}")
    steps = int(text or _STEPS)
    for step in range(steps):
        time.sleep(_STEP)
        current_job().progress(step + 1, steps)
    return b"done"


__all__ = ["app"]
