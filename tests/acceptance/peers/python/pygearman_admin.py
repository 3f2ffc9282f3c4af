"""
Asks everything that pygearman's admin client can ask, and prints the answers.

    pygearman_admin.py PORT HANDLE-TO-CANCEL
"""

from __future__ import annotations

import json
import sys

import gearman

port, handle = sys.argv[1:]
client = gearman.GearmanAdminClient([f"127.0.0.1:{port}"])


def say(event: str, answer: object) -> None:
    readable = json.loads(json.dumps(answer, default=lambda value: value.decode()))
    print(json.dumps({"event": event, "answer": readable}), flush=True)


say("ping", client.ping_server() > 0)
say("version", client.get_version())
say("pid", client.get_pid())
say("workers", client.get_workers())
say("status", client.get_status())
say("jobs", client.get_jobs())
say("unique jobs", client.get_unique_jobs())
say("cancel", client.cancel_job(handle))
