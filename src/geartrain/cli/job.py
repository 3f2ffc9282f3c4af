"""
``geartrain job``: what became of a job, and what is to become of dead letters.

Asks one server by text commands, and for a result by a job of ``geartrain:result``.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from geartrain.cli import exit_code
from geartrain.errors import (
    ConnectionFailed,
    ConnectionLost,
    GeartrainError,
    JobError,
    ServerError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from geartrain.client.admin import AdminClient
    from geartrain.client.admin_replies import DeadLetter

__all__ = ["app"]

app = typer.Typer(help="See what became of jobs; retry or remove dead letters.")

_PAGE: Final = 100
_TIMES: Final = ("submitted", "epoch", "ended", "expires")

Server = Annotated[
    str | None,
    typer.Option("--server", "-s", help="The server.", show_default="GEARMAN_SERVERS"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Handle = Annotated[str, typer.Argument(metavar="HANDLE", help="The job's handle.")]


@app.command()
def show(handle: Handle, server: Server = None, as_json: Json = False) -> None:
    """Show what is known of a job: where it is, how it ended, its result."""

    def ask(admin: AdminClient) -> int:
        facts = admin.show_job(handle)
        result = kept_result(server, handle) if facts["state"] == "completed" else None
        if as_json:
            print(json.dumps(as_object(facts, result)))
            return exit_code.DONE
        for name, value in facts.items():
            print(f"{name:<11} {moment(value) if name in _TIMES else shown(value)}")
        sys.stdout.flush()
        if result:
            sys.stdout.buffer.write(b"\n" + result)
            if sys.stdout.isatty() and not result.endswith(b"\n"):
                print()
        return exit_code.DONE

    run(server, ask)


@app.command("ls")
def list_jobs(
    server: Server = None,
    as_json: Json = False,
    dead: Annotated[bool, typer.Option("--dead", help="List dead letters.")] = False,
) -> None:
    """List jobs that wait or run, or dead letters."""

    def ask(admin: AdminClient) -> int:
        rows = letters(admin) if dead else [job._asdict() for job in admin.show_jobs()]
        if as_json:
            print(json.dumps(rows, ensure_ascii=True))
        else:
            for row in rows:
                print("  ".join(shown(text_of(name, value)) for name, value in row.items()))
        return exit_code.DONE

    run(server, ask)


@app.command()
def retry(handle: Handle, server: Server = None, as_json: Json = False) -> None:
    """Make a dead letter a job again."""

    def ask(admin: AdminClient) -> int:
        admin.retry_job(handle)
        return said(as_json, handle, "waiting")

    run(server, ask)


@app.command("rm")
def remove(handle: Handle, server: Server = None, as_json: Json = False) -> None:
    """Forget a dead letter for good."""

    def ask(admin: AdminClient) -> int:
        admin.remove_job(handle)
        return said(as_json, handle, "removed")

    run(server, ask)


def run(server: str | None, ask: Callable[[AdminClient], int]) -> None:
    """Ask the server; exit with a code that says what kind of answer it gave."""
    from geartrain.client.admin import AdminClient

    try:
        with AdminClient(server) as admin:
            code = ask(admin)
    except UsageError:
        raise
    except ServerError as error:
        code = exit_code.NOT_FOUND if error.code == "UNKNOWN_JOB" else exit_code.REFUSED
        said_what = "the server knows no such job" if code == exit_code.NOT_FOUND else str(error)
        complain(said_what)
    except (ConnectionFailed, ConnectionLost) as error:
        complain(str(error))
        code = exit_code.UNREACHABLE
    except GeartrainError as error:
        complain(str(error))
        code = exit_code.FAILED
    if code:
        raise typer.Exit(code)


def complain(text: str) -> None:
    """Say on standard error what went wrong."""
    print(f"geartrain: {text}", file=sys.stderr)


def letters(admin: AdminClient) -> list[dict[str, Any]]:
    """Return all dead letters, asked for page by page."""
    rows: list[DeadLetter] = []
    while True:
        page = admin.dead_letters(rows[-1].number if rows else 0)
        rows += page
        if len(page) < _PAGE:
            return [row._asdict() for row in rows]


def kept_result(server: str | None, handle: str) -> bytes | None:
    """Return the result of a job that is done; None where it has expired meanwhile."""
    from geartrain.client.sync import Client

    with Client(server) as client:
        try:
            job = client.submit("geartrain:result", handle)
            result = job.result(30.0)
            return b"".join([*job.data, result])
        except JobError:
            return None


def as_object(facts: dict[str, str], result: bytes | None) -> dict[str, Any]:
    """Return facts as JSON has them; a result that is no text in base 64."""
    found: dict[str, Any] = dict(facts)
    for name in _TIMES:
        if name in found:
            found[name] = float(found[name])
    for name in ("attempts", "size"):
        if name in found:
            found[name] = int(found[name])
    if "background" in found:
        found["background"] = found["background"] == "1"
    found.pop("result", None)
    if result is not None:
        try:
            found["result"] = result.decode()
        except UnicodeDecodeError:
            found["result_b64"] = base64.b64encode(result).decode()
    return found


def said(as_json: bool, handle: str, state: str) -> int:
    """Say that it is done, where somebody's program wants to read so."""
    if as_json:
        print(json.dumps({"handle": handle, "state": state}))
    return exit_code.DONE


def moment(value: str) -> str:
    """Return a time of the server's as people read it."""
    seconds = float(value)
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds") if seconds else "at once"


def text_of(name: str, value: object) -> str:
    """Return a cell of a list."""
    return moment(str(value)) if name == "died" else str(value) or "-"


def shown(value: str) -> str:
    """Return a text that may stand in a terminal: bytes that are none are escaped."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
