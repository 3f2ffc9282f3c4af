"""
``geartrain ctl``: see and control what ``geartrain up`` keeps, in supervisorctl's words.

Every command asks the supervisor over its control socket; nothing is decided here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from geartrain.cli import exit_code
from geartrain.configuration import hint
from geartrain.errors import ConnectionFailed, ConnectionLost, GeartrainError, UsageError

__all__ = ["app"]

app = typer.Typer(
    help="See and control the processes that `geartrain up` keeps.",
    invoke_without_command=True,
    no_args_is_help=False,
)

_USAGE: Final = 2
_CONFIG: Final = Path("geartrain.toml")

Names = Annotated[
    list[str],
    typer.Argument(help="Programs, processes NAME:NUMBER, wildcards, or all.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until it is done, or has failed.")
]

_COLOURS: Final = {
    "RUNNING": "green",
    "STARTING": "yellow",
    "STOPPING": "yellow",
    "BACKOFF": "yellow",
    "FATAL": "red",
    "UNKNOWN": "red",
}
_MINUTE: Final = 60
# States of processes that can't be kept running.
_ILL: Final = ("BACKOFF", "FATAL", "UNKNOWN")


@app.callback()
def ctl(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="File that names the socket.", show_default="geartrain.toml"
        ),
    ] = None,
    socket: Annotated[
        str, typer.Option(help="Control socket of the supervisor.", show_default=False)
    ] = "",
) -> None:
    """See and control the processes that `geartrain up` keeps; alone, a shell for that."""
    context.obj = socket or _socket_named_by(config)
    if context.invoked_subcommand is None:
        _shell(context)


def _socket_named_by(config: Path | None) -> str:
    from geartrain.supervisor.configuration import default_socket, socket_of

    if config is not None:
        return socket_of(config)
    return socket_of(_CONFIG) if _CONFIG.exists() else default_socket()


@app.command()
def status(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="What to show.")] = None,
    as_json: Json = False,
) -> None:
    """Show processes and their states; exit code 1 where one can't be kept running."""
    reply = _ask(context, "status", names=names or ["*"])
    _show(reply["processes"], as_json)
    if any(row["state"] in _ILL for row in reply["processes"]):
        raise typer.Exit(exit_code.FAILED)


@app.command()
def start(context: typer.Context, names: Names, wait: Wait = True, as_json: Json = False) -> None:
    """Start processes, and what they depend on."""
    _order(context, "start", names, wait, as_json)


@app.command()
def stop(context: typer.Context, names: Names, wait: Wait = True, as_json: Json = False) -> None:
    """Stop processes, and leave them stopped."""
    _order(context, "stop", names, wait, as_json)


@app.command()
def restart(context: typer.Context, names: Names, wait: Wait = True, as_json: Json = False) -> None:
    """Replace processes, as many at a time as their programs allow."""
    _order(context, "restart", names, wait, as_json)


@app.command("signal")
def send_signal(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SIGNAL", help="Such as USR1.")],
    names: Names,
    as_json: Json = False,
) -> None:
    """Send a signal to processes."""
    known = {one.name.removeprefix("SIG"): one for one in signal.Signals}
    wanted = name.upper().removeprefix("SIG")
    number = known.get(wanted)
    if number is None:
        raise UsageError(f"{name!r} is no signal; {hint(wanted, known)}")
    reply = _ask(context, "signal", names=names, signal=int(number))
    _show(reply["processes"], as_json)


@app.command()
def scale(
    context: typer.Context,
    program: Annotated[str, typer.Argument(help="A program.")],
    numprocs: Annotated[int, typer.Argument(help="How many processes it is to have.")],
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Keep another number of a program's processes, until the file says otherwise."""
    reply = _ask(context, "scale", program=program, numprocs=numprocs, wait=wait)
    _show(reply["processes"], as_json)


@app.command()
def tail(
    context: typer.Context,
    names: Names,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    count: Annotated[int, typer.Option("--bytes", "-b", min=0, help="Bytes to begin with.")] = 1600,
    stream: Annotated[
        str | None, typer.Option(help="stdout or stderr.", show_default="both")
    ] = None,
) -> None:
    """Show the last lines of processes' output."""
    from geartrain.supervisor.control_client import ControlClient

    with _connect(context) as client:
        assert isinstance(client, ControlClient)
        reply = client.ask("tail", names=names, follow=follow, bytes=count, stream=stream)
        _check(reply)
        try:
            for piece in client.output():
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        except (KeyboardInterrupt, BrokenPipeError):
            # That is how following ends.
            raise typer.Exit(exit_code.DONE) from None


@app.command()
def diff(context: typer.Context, as_json: Json = False) -> None:
    """Show what a reload would change."""
    _show_differences(_ask(context, "diff"), as_json)


@app.command()
def reload(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the configuration file changes, and apply just that."""
    shown = _ask(context, "diff")
    _show_differences(shown, as_json)
    ask = sys.stdin.isatty() and not (yes or as_json)
    if ask and shown["differences"] and not typer.confirm("Apply?", err=True):
        raise typer.Exit(exit_code.DONE)
    # Not what someone may have written into the file meanwhile.
    _ask(context, "reload", digest=shown["digest"])


@app.command()
def shutdown(context: typer.Context) -> None:
    """Stop all processes, and the supervisor."""
    _ask(context, "shutdown")


@app.command()
def shell(context: typer.Context) -> None:
    """Take commands line by line."""
    _shell(context)


# Asking.


def _connect(context: typer.Context) -> Any:
    from geartrain.supervisor.control_client import ControlClient

    path = context.obj
    try:
        return ControlClient(path)
    except ConnectionFailed as error:
        reason = error.failures[path].lower()
        _leave(
            exit_code.UNREACHABLE,
            f"no supervisor answers at {path} ({reason}); start one with geartrain up -c FILE",
        )


def _ask(context: typer.Context, command: str, **arguments: Any) -> dict[str, Any]:
    """Return the answer to a request; leaves where it is an error."""
    with _connect(context) as client:
        try:
            reply: dict[str, Any] = client.ask(command, **arguments)
        except ConnectionLost as error:
            _leave(exit_code.UNREACHABLE, str(error))
    _check(reply)
    return reply


def _check(reply: dict[str, Any]) -> None:
    if "error" in reply:
        _leave(reply["code"], reply["error"])


def _leave(code: int, message: str) -> None:
    print(f"geartrain ctl: {message}", file=sys.stderr)
    raise typer.Exit(code)


def _order(
    context: typer.Context, command: str, names: list[str], wait: bool, as_json: bool
) -> None:
    reply = _ask(context, command, names=names, wait=wait)
    _show(reply["processes"], as_json)
    if reply["code"]:
        raise typer.Exit(reply["code"])


# Showing.


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    lines = [
        (
            row["name"],
            row["state"],
            str(row["pid"] or "-"),
            _time(row["uptime"]),
            _size(row["memory"]),
            _remark(row),
        )
        for row in rows
    ]
    _print_table(("NAME", "STATE", "PID", "UPTIME", "MEMORY", "REMARK"), lines)


def _remark(row: dict[str, Any]) -> str:
    """Return why a process is in its state, and when it is started next."""
    following = f"starts {row['next_start'].replace('T', ' ')}" if row["next_start"] else ""
    return "; ".join(part for part in (row["reason"], following) if part)


def _print_table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> None:
    rows = [head, *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if colourful and row[1] in _COLOURS:
            cells[1] = typer.style(cells[1], fg=_COLOURS[row[1]])
        print("  ".join(cells).rstrip())


def _show_differences(reply: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"path": reply["path"], "differences": reply["differences"]}))
        return
    if not reply["differences"]:
        print(f"{reply['path']} changes nothing")
    for difference in reply["differences"]:
        print("\n".join(difference["lines"]))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours}:{minutes:02}:{rest:02}"


def _size(count: int | None) -> str:
    return "-" if count is None else f"{count / 1_000_000:.0f} MB"


# The shell.


def _shell(context: typer.Context) -> None:
    """Carry out lines as if each stood behind ``geartrain ctl``."""
    prompt = "geartrain> " if sys.stdin.isatty() else ""
    if prompt:
        with contextlib.suppress(ImportError):
            # Lines can then be edited and had again.
            import readline  # noqa: F401
    while True:
        try:
            words = shlex.split(input(prompt))
        except EOFError:
            return
        except (ValueError, KeyboardInterrupt) as error:
            print(f"geartrain ctl: {error}", file=sys.stderr)
            continue
        if words in (["exit"], ["quit"]):
            return
        if words == ["help"]:
            words = ["--help"]
        if words and words != ["shell"]:
            _carry_out(["--socket", context.obj, *words])


def _carry_out(words: list[str]) -> None:
    """Carry out one line; what goes wrong is said, and the shell goes on."""
    with contextlib.suppress(SystemExit):
        try:
            app(words, prog_name="geartrain ctl")
        except GeartrainError as error:
            print(f"geartrain ctl: {error}", file=sys.stderr)
