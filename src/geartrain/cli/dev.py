"""
``geartrain dev``: job server, scheduler and worker in one process, for development.

The server has the main thread, worker and scheduler have others. When a Python file changes, the
worker finishes what it runs, the server stops as at SIGTERM, and the process starts its own program
anew with the same listening sockets: fresh modules, the same number, and nobody who connects is
refused. Background jobs wait in the store meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, get_args

import typer

from geartrain.cli import exit_code
from geartrain.cli.reloading import WatchEnd, forget_compiled, names_of, python_changes
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.cli.renewal import Renewal
    from geartrain.cli.scheduling import Beside
    from geartrain.server.server import JobServer
    from geartrain.server.settings import Settings
    from geartrain.tasks.app import App
    from geartrain.tasks.worker import TaskWorker

_DEMO: Final = "geartrain.cli.demo_tasks:app"
_KEPT: Final = "geartrain.db"
# Seconds for which a reload waits for jobs that clients wait for, and with these for all that run.
_HOLD: Final = 3.0
_GRACE: Final = 5.0
# Between looks at them, and for a worker that leaves, to do so.
_LOOKS: Final = 0.05
_LEAVE: Final = 1.0
_PACKAGE: Final = str(Path(__file__).parents[1])
_INTERRUPTED: Final = 130


def dev(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:APP]", help="Where the app is; none for reverse and slow_progress."
        ),
    ] = None,
    listen: Annotated[str, typer.Option(help="Address to accept on.")] = "127.0.0.1:4730",
    store: Annotated[
        str | None,
        typer.Option(
            help="Where background jobs are kept.",
            show_default="./geartrain.db if it is there, or until it ends",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", help="Tasks that run at once.")
    ] = 2,
    pool: Annotated[str, typer.Option(help="Where they run: thread, process or async.")] = "thread",
) -> None:
    """Run server, scheduler and worker in one process, which starts anew when files change."""
    from geartrain.cli.renewal import Renewal
    from geartrain.server.settings import Settings

    renewal = Renewal()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    # It is said in words of ours.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    check_options(concurrency, pool)
    url, passing = chosen_store(store, renewal.left)
    options = {"concurrency": concurrency, "pool": pool, "grace": _GRACE}
    development = Development(place, options, renewal, bool(passing))
    status = 0
    try:
        development.run(Settings(listen=[listen], store=url))
    except KeyboardInterrupt:
        # While code was loaded, or by somebody in a hurry.
        status = _INTERRUPTED
    finally:
        # An error ends it as well.
        gives_way = development.gives_way and not status
        development.end(gives_way)
        if not gives_way:
            remove(passing)
    if gives_way:
        try:
            renewal.start_anew(development.successors, passing)
        except KeyboardInterrupt:
            status = _INTERRUPTED
        except OSError as error:
            say(f"geartrain: can't start anew: {error}; start it by hand")
            status = exit_code.USAGE
        development.end(False)
        remove(passing)
        renewal.receive_signals()
    development.leave(status)


def check_options(concurrency: int, pool: str) -> None:
    """Raise UsageError where the worker could not run like this."""
    from geartrain.tasks.worker import Pool

    if pool not in get_args(Pool):
        raise UsageError(f"--pool is {pool!r}; it is one of {', '.join(get_args(Pool))}")
    if concurrency < 1:
        raise UsageError(f"--concurrency is {concurrency}; it is at least 1")


def chosen_store(store: str | None, left: str | None) -> tuple[str, str]:
    """
    Return the URL of the store, and the directory that goes when the command ends, or "".

    Args:
        store: What was asked for.
        left: The directory of the program before; "" for none, None at the first start.

    """
    if store:
        return store, ""
    if left == "" or (left is None and os.path.exists(_KEPT)):
        return f"sqlite:///{os.path.abspath(_KEPT)}", ""
    # Like one in production, with everything that takes a disk.
    passing = left or tempfile.mkdtemp(prefix="geartrain-dev-")
    return f"sqlite:///{passing}/dev.db", passing


def remove(directory: str) -> None:
    """Remove a directory, if one is named."""
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


class Development:
    """
    What stands around the server: the app's code, its worker, the scheduler, the watch for changes.

    Args:
        place: Where the app is; None for the demo's.
        options: Of the worker.
        renewal: How to start anew.
        is_passing: Whether the store is removed at the end.

    Attributes:
        successors: Descriptors for the program that is to follow; none where none is.

    """

    def __init__(
        self, place: str | None, options: dict[str, Any], renewal: Renewal, is_passing: bool
    ) -> None:
        self.place = place
        self.options = options
        self.scheduler: Beside | None = None
        self.renewal = renewal
        self.is_passing = is_passing
        self.app: App | None = None
        self.worker: DevWorker | None = None
        self.watch_end = WatchEnd()
        self.is_serving = threading.Event()
        self.successors: list[int] = []
        # Asked to end, by a signal or for other code.
        self.is_leaving = False
        self.winding_up: asyncio.Task[None] | None = None

    @property
    def gives_way(self) -> bool:
        """Whether another program is to follow."""
        return bool(self.successors) and not self.is_leaving

    def run(self, settings: Settings) -> None:
        """Run a server with these settings, and all that stands around it, until it ends."""
        from geartrain.cli.scheduling import scheduler_beside
        from geartrain.server.running import run_server
        from geartrain.server.server import new_server

        self.server: JobServer = new_server(settings)
        # Of a store that keeps entries.
        self.scheduler = scheduler_beside(self.server, None)
        run_server(self.server, bound=self.load, ready=self.begin)

    # Before the server accepts, in the main thread, as code may expect that is imported.

    def load(self) -> None:
        """Import the app, once changes to it are seen."""
        from geartrain.server.listener import own

        if self.renewal.left is not None:
            self.server.listeners = [own(listener) for listener in self.server.listeners]
        # From here on there is somebody who cleans up.
        self.renewal.receive_signals()
        if self.place is not None:
            watch = threading.Thread(target=self.watch, name="geartrain-watch", daemon=True)
            watch.start()
            self.watch_end.begun.wait()
        self.app = load_app(self.place or _DEMO)

    def watch(self) -> None:
        """Have the event loop told of changes, once it runs."""
        try:
            for paths in python_changes([Path(self.renewal.directory)], self.watch_end):
                self.is_serving.wait()
                # It may be over.
                with contextlib.suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self.change, paths)
        except (OSError, RuntimeError) as error:
            # It is a RuntimeError where the system watches no more for this user.
            say(f"files can't be watched, so nothing starts anew: {error}")
        finally:
            self.watch_end.begun.set()

    # On the event loop.

    def begin(self) -> None:
        """Start what stands beside the server, which accepts by now."""
        from geartrain.cli.scheduling import own_servers

        self.loop = asyncio.get_running_loop()
        self.worker_ended = asyncio.Event()
        servers = own_servers(self.server.addresses())
        if self.renewal.left is None:
            kept = " until it ends" if self.is_passing else ""
            say(
                f"server on {self.server.addresses()[0]}, jobs kept in {self.server.store.name}"
                f"{kept}; Ctrl-C ends it"
            )
        if self.app is not None:
            self.app.servers = servers
            try:
                self.worker = DevWorker(self.app, self.options, self.note_worker_end)
            except Exception as error:
                # It has no tasks, say.
                say_broken(error)
        if self.scheduler is not None:
            self.scheduler.scheduling.servers = servers
            self.scheduler.start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.add_signal_handler(number, self.receive_signal)
        self.is_serving.set()

    def note_worker_end(self) -> None:
        """Take in that the worker has ended; in its thread."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.worker_ended.set)

    def change(self, paths: set[Path]) -> None:
        """Start anew for code that has changed, unless that or the end is under way."""
        forget_compiled(paths)
        if self.winding_up is None:
            say(f"{names_of(paths)} changed; starting anew")
            self.winding_up = self.loop.create_task(self.give_way())

    def receive_signal(self) -> None:
        """End: the worker first, which the server serves meanwhile. The second time, at once."""
        if self.is_leaving:
            self.hasten()
            return
        self.is_leaving = True
        if self.winding_up is None:
            self.winding_up = self.loop.create_task(self.wind_up())

    def hasten(self) -> None:
        """Give up what still runs."""
        if self.worker is not None:
            self.worker.task_worker.stop(0.0)
        self.loop.call_later(_LEAVE, self.worker_ended.set)
        if self.server.winding_up:
            self.server.stop()

    async def give_way(self) -> None:
        """End for another program, with as little harm to waiting clients as may be."""
        begun = self.loop.time()
        while (  # noqa: ASYNC110 - see below
            self.is_awaited() and not self.is_leaving and self.loop.time() < begun + _HOLD
        ):
            # Nothing tells when a job ends, and whoever develops has saved a file just now.
            await asyncio.sleep(_LOOKS)
        if not self.is_leaving:
            from geartrain.server.listener import keep_listening

            self.successors = [keep_listening(one) for one in self.server.listeners]
            # Who comes from here on waits for the next program.
            self.server.stop_accepting()
            if not self.is_awaited():
                self.send_clients_on()
        await self.wind_up(begun + _GRACE - self.loop.time())

    def is_awaited(self) -> bool:
        """Whether a client waits for the store, or a job that runs or could be run here."""
        from geartrain.broker.job import RUNNING, STORING

        can_do = {name.encode() for name in self.app.tasks} if self.app is not None else set()
        return any(
            job.state == STORING
            or (job.listeners and (job.state == RUNNING or job.function in can_do))
            for job in self.server.exchange.broker.jobs.values()
        )

    def send_clients_on(self) -> None:
        """Have clients that wait for nothing connect anew now, before they ask for more here."""
        sessions = self.server.exchange.broker.sessions
        for number, connection in list(self.server.connections.items()):
            session = sessions.get(number)
            if session is None or not (session.abilities or session.listening):
                connection.transport.close()

    async def wind_up(self, grace: float = _GRACE) -> None:
        """Stop the worker, whose tasks get ``grace`` seconds, the scheduler, then the server."""
        if self.worker is not None:
            self.worker.task_worker.stop(grace)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.worker_ended.wait(), grace + _LEAVE)
        if self.scheduler is not None:
            # While there is a server to take leave of.
            ended = in_thread(self.scheduler.stop)
            await asyncio.wait([ended], timeout=_LEAVE)
        self.server.stop()

    # After the server.

    def end(self, gives_way: bool) -> None:
        """End what is left beside it, and what was meant for a program that does not follow."""
        from geartrain.server.listener import close_kept

        if not gives_way:
            for descriptor in self.successors:
                close_kept(descriptor)
            self.successors.clear()
        self.watch_end.set()
        if self.scheduler is not None:
            self.scheduler.stop()

    def leave(self, status: int) -> NoReturn:
        """Leave the process, also where a task does not end."""
        self.renewal.restore_terminal()
        if self.worker is None or self.worker.has_finished:
            sys.exit(status)
        # Python would wait for a thread that reads from the terminal.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def in_thread(function: Callable[[], None]) -> asyncio.Future[None]:
    """Call a function in a thread that keeps nobody from leaving; return its end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        function()
        # It may be too late.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=call, name="geartrain-end", daemon=True).start()
    return ended


class DevWorker:
    """
    A worker in a thread beside the server.

    Args:
        app: Whose tasks it runs.
        options: Of the worker.
        ended: Called in its thread when it has ended.

    Attributes:
        has_finished: Whether it has ended, and all that it ran.

    """

    def __init__(self, app: App, options: dict[str, Any], ended: Callable[[], None]) -> None:
        from geartrain.tasks.worker import TaskWorker

        self.has_finished = False
        self.ended = ended
        self.task_worker = TaskWorker(app, on_ready=say_ready, **options)
        threading.Thread(target=self.run, name="geartrain-worker", daemon=True).start()

    def run(self) -> None:
        """Run tasks until it is stopped."""
        try:
            self.has_finished = self.task_worker.run()
        except BaseException as error:
            # A hook of the app's, say.
            self.has_finished = True
            say_broken(error)
        finally:
            self.ended()


def load_app(place: str) -> App | None:
    """Import an app; say what is wrong with it and return None where that fails."""
    from geartrain.tasks.locating import find_app

    try:
        return find_app(place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit too: a module may call sys.exit.
        say_broken(error)
        return None


def say_broken(error: BaseException) -> None:
    """Print what is wrong with the app's code, and what happens next."""
    if isinstance(error, UsageError):
        say(str(error))
    else:
        traceback.print_exception(type(error), error, own_part(error.__traceback__))
    say("no worker: jobs wait until a Python file changes, when it is tried again")


def own_part(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback from where the app's own code begins."""
    while frames is not None:
        path = frames.tb_frame.f_code.co_filename
        if not path.startswith((_PACKAGE, "<frozen importlib", importlib_path())):
            break
        frames = frames.tb_next
    return frames


def importlib_path() -> str:
    """Return where the functions are that import."""
    import importlib

    return os.path.dirname(importlib.__file__)


def say_ready(task_worker: TaskWorker) -> None:
    """Say that the server knows the tasks."""
    names = ", ".join(task.name for task in task_worker.tasks)
    say(f"ready: {task_worker.concurrency} at once ({task_worker.pool}): {names}")


def say(text: str) -> None:
    """Print a line for who develops."""
    print(text, file=sys.stderr, flush=True)


__all__ = ["dev"]
