"""
A way to a database that can be cut, or slow: connections stay, and nothing comes through, or late.

As when a cable is pulled: neither side hears that the other is gone. What was sent meanwhile
comes through once the way is mended.
"""

from __future__ import annotations

import asyncio
import threading

from tests.services.instance import free_port


class Way:
    """
    Carries connections to a port of this machine.

    Args:
        port: Where to.

    Attributes:
        here: Where from.

    """

    def __init__(self, port: int) -> None:
        self.there = port
        self.here = free_port()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.ready = threading.Event()
        # Seconds that whatever comes back takes longer.
        self.delay = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        self.thread.start()
        assert self.ready.wait(10)

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.open = asyncio.Event()
        self.open.set()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.connected, "127.0.0.1", self.here)
        )
        self.loop.call_soon(self.ready.set)
        self.loop.run_forever()
        self.server.close()
        for task in self.tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*self.tasks, return_exceptions=True))
        self.loop.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.there)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = self.loop.create_task(self.carry(source, sink, back=sink is writer))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool
    ) -> None:
        """Carry what comes from one side to the other, while the way is open."""
        try:
            while data := await source.read(65536):
                await self.open.wait()
                if back and self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        """Let nothing through from now on."""
        self.loop.call_soon_threadsafe(self.open.clear)

    def mend(self) -> None:
        """Let through what waits, and all that comes."""
        self.loop.call_soon_threadsafe(self.open.set)

    def slow(self, delay: float) -> None:
        """Let what comes back take so many seconds longer from now on."""
        self.delay = delay

    def close(self) -> None:
        """End all connections."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
