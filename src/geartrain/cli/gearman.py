"""
``gearman``: submits jobs from the shell, and turns commands into workers.

It takes the place of gearmand's own tool: the same letters, the same bytes on
standard output. Where it differs, docs/reference/gearman.md says so.
"""

from __future__ import annotations

import os
import signal
import sys

from geartrain.cli.exit_code import DONE, FAILED, UNREACHABLE
from geartrain.cli.gearman_options import USAGE, Options, parse_options
from geartrain.cli.gearman_process import Detachment, Process
from geartrain.cli.output import say, write_out
from geartrain.errors import ConnectionFailed, ConnectionLost, ProtocolError, UsageError


def main() -> int:
    """Run the command line of this process and return its exit code."""
    process = Process()
    process.take_signals()
    try:
        return run(sys.argv[1:], process)
    except BrokenPipeError:
        # As in: gearman -f list -s | head
        process.end_by_signal(signal.SIGPIPE)
    except UsageError as error:
        say("gearman", f"{error} (gearman -H lists the options)")
        return FAILED
    except ConnectionFailed as error:
        say("gearman", f"{error}; start one with 'geartrain serve', or name another with -h and -p")
        return UNREACHABLE
    except ConnectionLost as error:
        say("gearman", f"{error} before all was done; gearadmin --status shows what is left")
        return UNREACHABLE
    except ProtocolError as error:
        say("gearman", str(error))
        return UNREACHABLE
    except OSError as error:
        say("gearman", f"{error.filename or 'standard output'}: {error.strerror}")
        return FAILED
    finally:
        process.remove_pid_file()


def run(argv: list[str], process: Process) -> int:
    """
    Run one command line.

    Raises:
        UsageError: It can't be understood.
        ConnectionFailed: No server can be reached.
        ConnectionLost: The server went away.
        ProtocolError: It is no job server.
        OSError: Standard output can't be written.

    """
    options = parse_options(argv, os.environ)
    if options.help:
        write_out(USAGE.encode())
        return DONE
    if options.version:
        from geartrain import __version__

        write_out(f"gearman (geartrain) {__version__}\n".encode())
        return DONE
    if options.worker:
        check_command(options.arguments)
    if not options.daemon:
        return work(options, process)
    detachment = Detachment()
    if detachment.is_parent:
        return DONE if detachment.wait() else FAILED
    reads_input = not (options.worker or options.arguments or options.no_input)
    return work(options, process, detachment, reads_input)


def work(
    options: Options,
    process: Process,
    detachment: Detachment | None = None,
    keep_input: bool = False,
) -> int:
    """Do the work of a mode: only now is its half of the program imported."""
    if options.pid_file:
        process.write_pid_file(options.pid_file)
    if detachment is not None:
        detachment.detach(keep_input)
    if options.worker:
        from geartrain.cli.gearman_worker import Worker

        return Worker(options, process).run()
    from geartrain.cli.gearman_client import Client

    return Client(options).run()


def check_command(arguments: list[str]) -> None:
    """
    Make sure that a worker's command is there, before it takes its first job.

    Raises:
        UsageError: It isn't.

    """
    if not arguments:
        return
    import shutil

    if shutil.which(arguments[0]) is None:
        raise UsageError(f"the command {arguments[0]!r} is not found or can't be executed")


if __name__ == "__main__":
    sys.exit(main())
