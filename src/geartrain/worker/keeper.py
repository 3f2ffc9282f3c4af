"""
The thread that keeps a blocking worker's connections.

It dials, reads, notices when a server is gone or hangs, and sees a stop
through. It waits in one place, the selector, and only as long as something is
due: an idle worker uses no CPU. With a team of threads, the one that leads is
this thread.
"""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.client.dialing import dial, explain
from geartrain.client.keepalive import Keepalive
from geartrain.errors import ProtocolError
from geartrain.worker.bell import Bell
from geartrain.worker.execution import Execution
from geartrain.worker.job import Abort
from geartrain.worker.links import Link, LinkGroup
from geartrain.worker.log import log_loss, log_no_connection, logger

_READ_SIZE: Final = 64 * 1024


class Keeper:
    """
    Keeps connections to every server for each group of an execution.

    Args:
        addresses: The servers.
        new_execution: Makes what runs the jobs.
        connect_timeout: Seconds for one attempt to connect.
        keepalive: When the kernel probes quiet connections, or None.
        answer_timeout: Seconds after which a server that owes an answer, and sends nothing,
            is given up.

    """

    def __init__(
        self,
        addresses: list[Address],
        new_execution: Callable[[Keeper], Execution],
        connect_timeout: float,
        keepalive: Keepalive | None,
        answer_timeout: float,
    ) -> None:
        self.addresses = addresses
        self.connect_timeout = connect_timeout
        self.keepalive = keepalive
        # A silence is noticed at the second look, so it has lasted one to two of these.
        self.look = answer_timeout / 2
        self.new_execution = new_execution
        # What other threads want done in this one.
        self.posted: deque[Callable[[], None]] = deque()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.timer_count = itertools.count()
        self.checks_answers = False
        # Guards ``closed`` and ``ready``; notified when they change.
        self.changed = threading.Condition()
        self.ready = False
        self.closed = False
        # Plain flags: set in any thread, looked at in the keeper's.
        self.stop_asked = False
        self.abort_asked = False
        self.stopping = False
        # A worker that was made and never ran holds no descriptors: they come with `open`.
        self.is_open = False
        self.bell: Bell
        self.selector: selectors.BaseSelector
        self.execution: Execution

    def open(self) -> None:
        """Start the execution. Call it once, before `run`; raises what the execution raises."""
        self.bell = Bell()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.bell, selectors.EVENT_READ, None)
        self.execution = self.new_execution(self)
        for group in self.execution.groups:
            group.links = [
                Link(group, address, Backoff(random.random)) for address in self.addresses
            ]
        self.is_open = True
        try:
            self.execution.start()
        except BaseException:
            self.leave()
            self.close()
            raise

    # From any thread.

    def wake(self) -> None:
        """Make the keeper look at its flags."""
        if self.is_open:
            self.bell.ring()

    def post(self, action: Callable[[], None]) -> bool:
        """Have ``action`` called in the keeper's thread; return False if that is over."""
        with self.changed:
            if self.closed:
                return False
            self.posted.append(action)
        self.wake()
        return True

    def ask_stop(self) -> None:
        """Ask for no more jobs, and leave when those held have ended."""
        self.stop_asked = True
        if self.is_open:
            for group in self.execution.groups:
                group.stopping = True
            self.bell.ring()

    def abandon(self) -> None:
        """Give the held jobs back at once, even if the keeper's thread is busy in a handler."""
        self.stop_asked = self.abort_asked = True
        if not self.is_open:
            return
        if not all(group.is_done() for group in self.execution.groups):
            logger.warning("time is over; servers give the jobs still held to other workers")
        for group in self.execution.groups:
            group.resign()
        self.bell.ring()

    def note_end(self) -> None:
        """Take note that a job has ended, which may be what a stop waits for."""
        if self.stop_asked:
            self.wake()

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Return whether the servers know the abilities, waiting up to ``timeout`` seconds."""
        with self.changed:
            self.changed.wait_for(lambda: self.ready or self.closed, timeout)
            return self.ready

    def ask_to_write(self, link: Link) -> None:
        """Send the rest of a link's output once its socket takes more."""
        self.post(lambda: self.watch(link))

    def set_enabled(self, group: LinkGroup, enabled: bool) -> None:
        """Connect a group, or keep it disconnected."""
        self.post(lambda: self.enable(group) if enabled else self.disable(group))

    # The keeper's own thread.

    def run(self) -> bool:
        """Keep the connections until a stop; return whether every job was seen to its end."""
        try:
            for group in self.execution.groups:
                if group.enabled:
                    self.enable(group)
            self.execution.drive(self)
            return not self.abort_asked
        except Abort:
            self.execution.running = False
            return False
        finally:
            self.leave()

    def may_leave(self) -> bool:
        """Return whether a stop was asked for and there is nothing more to do about it."""
        if not self.stop_asked:
            return False
        if self.abort_asked:
            return True
        if not self.stopping:
            self.stopping = True
            for group in self.execution.groups:
                group.stop()
        return all(group.is_done() for group in self.execution.groups)

    def turn(self, at_once: bool) -> None:
        """Wait until something is due or arrives, and see to it."""
        timeout = None
        if at_once:
            timeout = 0.0
        elif self.timers:
            timeout = max(0.0, self.timers[0][0] - time.monotonic())
        events = self.selector.select(timeout)
        for key, mask in events:
            link = key.data
            if link is None:
                self.answer_bell()
                continue
            if mask & selectors.EVENT_WRITE:
                self.write(link)
            if mask & selectors.EVENT_READ:
                self.read(link)
        if events and not self.checks_answers:
            self.checks_answers = True
            self.at(time.monotonic() + self.look, self.check_answers)
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Call ``action`` at a time of the monotonic clock."""
        heapq.heappush(self.timers, (when, next(self.timer_count), action))

    def answer_bell(self) -> None:
        """Do what other threads have posted."""
        self.bell.silence()
        while self.posted:
            self.posted.popleft()()

    # Connections.

    def enable(self, group: LinkGroup) -> None:
        group.enabled = True
        for link in group.links:
            self.dial_later(link, 0.0)
        self.update_ready()

    def disable(self, group: LinkGroup) -> None:
        group.enabled = False
        for link in group.links:
            self.drop(link)
        self.update_ready()

    def dial_later(self, link: Link, delay: float) -> None:
        """Connect a link after ``delay`` seconds, unless that is under way."""
        if not link.dialing and link.socket is None:
            link.dialing = True
            self.at(time.monotonic() + delay, lambda: self.start_dialing(link))

    def start_dialing(self, link: Link) -> None:
        if self.stop_asked or not link.group.enabled:
            link.dialing = False
            return
        # A thread of its own, since resolvers block for as long as they like.
        name = f"geartrain-dial-{link.address}"
        threading.Thread(target=self.dial, args=(link,), name=name, daemon=True).start()

    def dial(self, link: Link) -> None:
        """Connect a link; in a thread that does nothing else."""
        try:
            connection = dial(link.address, self.connect_timeout, self.keepalive)
        except (OSError, UnicodeError) as error:
            reason = explain(error) if isinstance(error, OSError) else str(error)
            self.post(lambda: self.dial_failed(link, reason))
            return
        if not self.post(lambda: self.connected(link, connection)):
            connection.close()

    def dial_failed(self, link: Link, reason: str) -> None:
        link.dialing = False
        delay = link.backoff.next_delay()
        log_no_connection(link.address, reason, link.backoff.attempts)
        self.dial_later(link, delay)

    def connected(self, link: Link, connection: socket.socket) -> None:
        link.dialing = False
        if self.closed or self.stop_asked or not link.group.enabled:
            connection.close()
            return
        link.connected_at = time.monotonic()
        self.selector.register(connection, selectors.EVENT_READ, link)
        link.group.connect(link, connection)
        self.update_ready()

    def read(self, link: Link) -> None:
        """Take what a server sent, and have the jobs in it run."""
        if link.socket is None or link.session is None:
            return
        try:
            data = link.socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(link, explain(error))
            return
        if not data:
            self.lost(link, "the server closed the connection")
            return
        session = link.session
        jobs = link.group.receive(link, data)
        if session.fault is not None:
            self.lost(link, _explain_fault(session.fault))
        if jobs:
            self.execution.take(link.group, jobs)
        if not link.was_ready and session.is_ready():
            link.was_ready = True
            logger.info("%s knows this worker's functions", link.address)
            self.update_ready()

    def watch(self, link: Link) -> None:
        if link.socket is not None and link.watches_write:
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            self.selector.modify(link.socket, events, link)

    def write(self, link: Link) -> None:
        """Send what was left unsent."""
        with link.group.lock:
            link.send_rest()
            if link.unsent or link.socket is None:
                return
            link.watches_write = False
        self.selector.modify(link.socket, selectors.EVENT_READ, link)

    def lost(self, link: Link, reason: str) -> None:
        """Close a connection that failed, and make another one soon."""
        held = len(link.session.held) if link.session is not None else 0
        if time.monotonic() - link.connected_at > link.backoff.limit:
            link.backoff.reset()
        self.drop(link)
        self.update_ready()
        if self.stop_asked or not link.group.enabled:
            return
        log_loss(link.address, reason, held)
        self.dial_later(link, link.backoff.next_delay())

    def drop(self, link: Link) -> None:
        if link.socket is not None:
            self.selector.unregister(link.socket)
        link.group.close(link)

    def check_answers(self) -> None:
        """Give up servers that hang, and come back as long as answers may be due."""
        again = any(group.slots.are_taken() for group in self.execution.groups)
        for link in self.all_links():
            if link.session is None:
                continue
            if link.session.is_stuck():
                self.lost(link, f"no answer for {self.look:g} s and more")
            elif link.session.awaits_answer():
                again = True
        self.checks_answers = again
        if again:
            self.at(time.monotonic() + self.look, self.check_answers)

    def all_links(self) -> list[Link]:
        return [link for group in self.execution.groups for link in group.links]

    def announce(self, function: bytes, milliseconds: int) -> None:
        """Announce one more function on every connection."""
        for link in self.all_links():
            if link.session is not None:
                link.was_ready = False
                with link.group.lock:
                    link.session.can_do(function, milliseconds)
                    link.group.flush()
        self.update_ready()

    def update_ready(self) -> None:
        ready = all(_is_ready(group) for group in self.execution.groups)
        if ready != self.ready:
            with self.changed:
                self.ready = ready
                self.changed.notify_all()

    def leave(self) -> None:
        """Cut every connection, and let go of threads and processes."""
        with self.changed:
            self.closed = True
            self.ready = False
            self.changed.notify_all()
        for link in self.all_links():
            self.drop(link)
        self.execution.close()
        # Connections that were made and not taken over would stay open.
        while self.posted:
            self.posted.popleft()()
        self.selector.close()

    def close(self) -> None:
        """Close the bell, once no signal can ring it any more."""
        self.is_open = False
        self.bell.close()


def _is_ready(group: LinkGroup) -> bool:
    """Return whether a group has a connection, and the servers of all it has are up to date."""
    connected = [link for link in group.links if link.socket is not None]
    return group.enabled and bool(connected) and all(link.was_ready for link in connected)


def _explain_fault(fault: ProtocolError) -> str:
    return f"it broke the protocol: {fault}"


__all__ = ["Keeper"]
