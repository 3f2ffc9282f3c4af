"""A job server in a thread of the test's own process, on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from geartrain.server.clock import SteadyClock
from geartrain.server.naming import new_handle_prefix
from geartrain.server.server import JobServer
from geartrain.server.settings import Settings
from geartrain.store.url import open_store
from geartrain.testing.clock import FakeClock

if TYPE_CHECKING:
    from geartrain.tasks.app import App

# Seconds that the server gets to start, to answer and to stop.
_PATIENCE: Final = 10.0


class TestServer:
    """
    A real job server that ends with its ``with`` block, and keeps its jobs in memory.

    ::

        with TestServer() as server:
            server.connect(app)

    Args:
        clock: Tells it the time, so that delays pass at once; None lets time pass by itself.
        settings: Any settings of a server, such as another ``store``.

    """

    # Not a test, whatever pytest makes of its name.
    __test__ = False

    def __init__(self, clock: FakeClock | None = None, **settings: Any) -> None:
        chosen = {"listen": ["127.0.0.1:0"], "store": "memory:", "grace": 0.0, **settings}
        self.clock = clock
        # Spans of time pass with this clock as well, such as what a worker has to do a job.
        steady = None if clock is None else SteadyClock(clock, clock)
        prefix = new_handle_prefix("")
        store = open_store(chosen["store"], handle_prefix=prefix)
        self.server = JobServer(Settings(**chosen), store, prefix, clock=steady)
        self._thread = threading.Thread(target=self._run, name="geartrain-server", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> str:
        """Where it listens, as clients and workers take it."""
        host, port = self.server.listeners[0].getsockname()[:2]
        return f"{host}:{port}"

    def start(self) -> Self:
        """Start it, and return once it accepts connections."""
        self.server.bind()
        self.server.open()
        self._thread.start()
        if not self._ready.wait(_PATIENCE) or self._failure is not None:
            raise RuntimeError("the job server did not start") from self._failure
        return self

    def stop(self) -> None:
        """Stop it at once; connections to it end."""
        for _ in range(2):
            # The first may have closed the loop already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.server.stop, 0.0)
        self._thread.join(_PATIENCE)

    def connect(self, app: App) -> None:
        """Have an app use this server, and count delays by its clock."""
        app.servers = self.address
        app.clock = self.clock

    def advance(self, seconds: float) -> None:
        """
        Let so many seconds pass on its `FakeClock`, and have done what is due by then.

        Raises:
            TypeError: It has no clock that can be turned.

        """
        if self.clock is None:
            raise TypeError("time passes by itself here; use TestServer(clock=FakeClock())")
        self.clock.advance(seconds)
        self.call(self.server.tick)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the server's thread, and return what it returns."""

        async def called() -> Any:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(_PATIENCE)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self._loop.run_until_complete(self._life())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _life(self) -> None:
        await self.server.start()
        self._ready.set()
        await self.server.run_until_stopped()


__all__ = ["TestServer"]
