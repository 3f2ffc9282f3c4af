"""
The drop-in ``gearmand``: the job server with the options, files and signals of its namesake.

Whatever keeps it from starting is one line on standard error, and exit code 1.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from geartrain import __version__
from geartrain.cli.gearmand_options import LOG_FILE, PID_FILE, Options, help_text, read_options
from geartrain.cli.output import STDERR, say, write_out
from geartrain.errors import GeartrainError, UsageError

if TYPE_CHECKING:
    from geartrain.cli.daemon import Account, Detachment
    from geartrain.cli.gearmand_log import Log
    from geartrain.server.settings import Settings

__all__ = ["main"]

# The gearmand whose options these are. Scripts compare the number that stands behind the name.
GEARMAND_VERSION: Final = "2.0.0"

logger = logging.getLogger("geartrain.gearmand")


def main() -> NoReturn:
    """Run the command and exit."""
    try:
        code = run(sys.argv[1:], os.environ)
    except GeartrainError as error:
        say("gearmand", one_line(error))
        code = 1
    sys.exit(code)


def one_line(error: GeartrainError) -> str:
    """Return what an error says, without line ends."""
    return " ".join(str(error).split())


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the arguments say and return the exit code; raises GeartrainError."""
    options = read_options(argv)
    if options.has("check-args"):
        return check_arguments(options, environ)
    if options.has("help"):
        write_out(help_text().encode())
        return 0
    if options.has("version"):
        # gearmand starts with an empty line, too.
        write_out(f"\ngearmand {GEARMAND_VERSION} - geartrain {__version__}\n".encode())
        return 0
    return serve(options, environ)


def check_arguments(options: Options, environ: Mapping[str, str]) -> int:
    """
    Check the words and values, as gearmand does; raises UsageError.

    What gearmand has and this version has not is no wrong argument, so the exit
    code is 0; that the server will not start is said all the same.
    """
    from geartrain.cli.gearmand_settings import missing, settings_of

    settings_of(options, environ)
    refusal = missing(options)
    if refusal:
        options.remarks.append(f"the server would not start: {refusal}")
    for remark in options.remarks:
        say("gearmand", remark)
    return 0


def serve(options: Options, environ: Mapping[str, str]) -> int:
    """Run the server and return the exit code; raises GeartrainError before it is ready."""
    from geartrain.cli.daemon import (
        Account,
        Detachment,
        allow_core_dumps,
        fill_standard_streams,
        raise_file_limit,
    )
    from geartrain.cli.gearmand_log import Log
    from geartrain.cli.gearmand_settings import missing, settings_of

    fill_standard_streams()
    settings = settings_of(options, environ)
    refusal = missing(options)
    if refusal:
        raise UsageError(refusal)
    account = Account(options.text("user"))
    raise_file_limit(options.number("file-descriptors", 0))
    if options.has("coredump"):
        allow_core_dumps()
    detachment = Detachment() if options.has("daemon") else None
    if detachment is not None and detachment.is_parent:
        return 0 if detachment.wait() else 1
    take_signals()
    log = Log(
        options.text("log-file", LOG_FILE),
        required=options.has("log-file"),
        level=options.text("verbose", "ERROR"),
        syslog=options.has("syslog"),
        owner=account.owner,
    )
    if detachment is not None and log.to_stderr and not options.has("syslog"):
        options.remarks.append("a daemon has no standard error: nothing more is logged")
    for remark in options.remarks:
        log.remark(remark)
    try:
        run_process(options, settings, account, detachment, log)
    except GeartrainError as error:
        # Who finds the server gone looks there; standard error may be nobody's.
        if not log.to_stderr:
            logger.critical("%s", one_line(error))
        raise
    return 0


def run_process(
    options: Options,
    settings: Settings,
    account: Account,
    detachment: Detachment | None,
    log: Log,
) -> None:
    """Run the server in this process until it is stopped; raises GeartrainError."""
    from geartrain.cli.pid_file import PidFile
    from geartrain.server.running import run_server
    from geartrain.server.server import new_server

    pid_file = PidFile(options.text("pid-file", PID_FILE))
    verbose = options.text("verbose", "ERROR")
    server = new_server(settings, verbose)

    def bound() -> None:
        try:
            pid_file.write(account.owner)
        except UsageError as error:
            if options.has("pid-file"):
                raise
            logger.info("%s", error)
        if account.needed:
            import_the_rest()
            account.become()
        take_over(options, settings)

    def ready() -> None:
        logger.info("Starting up with pid %d, verbose is set to %s", os.getpid(), verbose)
        for address in server.addresses():
            logger.info("Listening on %s", address)
        logger.info("Jobs are kept in %s", server.store.name)
        if detachment is not None:
            detachment.let_go()

    try:
        run_server(server, bound, ready, log.reopen)
    finally:
        pid_file.remove()
    logger.info("Shutdown complete")


def take_over(options: Options, settings: Settings) -> None:
    """Import what a gearmand with these options has left in its queue; raises GeartrainError."""
    from geartrain.cli.gearmand_settings import source_of

    found = source_of(options)
    if found is None:
        return
    from geartrain.server.naming import new_handle_prefix
    from geartrain.store.gearmand_source import open_source
    from geartrain.store.importing import import_and_put_away
    from geartrain.store.url import open_store

    kind, url, table = found
    source = open_source(kind, url, table=table)
    if not source.is_there():
        return
    prefix = new_handle_prefix(settings.handle_prefix)
    report, put_away = import_and_put_away(
        source, open_store(settings.store, handle_prefix=prefix), prefix
    )
    logger.info(
        "%d jobs taken over from gearmand, whose queue is now called %s", report.imported, put_away
    )
    for row in report.damaged:
        logger.error("not taken over from gearmand: %s: %s", row.row, row.reason)


def import_the_rest() -> None:
    """Import what is first needed later: the user to come may not be able to read it."""
    import concurrent.futures.thread  # noqa: F401

    from geartrain.server.running import new_event_loop

    loop, _ = new_event_loop()
    loop.close()


def take_signals() -> None:
    """Until the server handles signals itself, those that stop it end the process in order."""
    faulthandler.enable(STDERR)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, stop_starting)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def stop_starting(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave, and clean up on the way out."""
    raise SystemExit(0)
