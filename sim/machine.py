"""
A job server as a process: it starts, serves, is stopped for a while, dies, starts again.

It is the shell that ``geartrain.server.server`` is in production, over simulated
sockets, clock and disk. What it drives is the same: exchange, broker, group commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from geartrain.broker.broker import Broker
from geartrain.broker.commands import ClockSet, Restore
from geartrain.broker.job import Job
from geartrain.broker.policy import Policy
from geartrain.errors import StoreError
from geartrain.server.clock import SteadyClock
from geartrain.server.commits import Commits
from geartrain.server.exchange import Exchange, PacketPeer, Peer
from geartrain.server.server import GENERATION_SHIFT
from geartrain.server.text_commands import TextCommands
from geartrain.wire.reader import MAX_PACKET
from sim.account import Account
from sim.disk import IS_REFUSED, Commit, Disk, Row, Taste
from sim.network import Line, Network
from sim.world import Happening, World

# As in production: how long submissions wait for a store that hangs, and how soon what could not
# be stored is tried again.
STORE_TIMEOUT = 0.9
RETRY_AFTER = 0.5
# How long one pass of the event loop may take.
PASS = 0.001


class Process:
    """One life of the server, from its start to its end."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = world = machine.world
        self.steady_clock = SteadyClock(lambda: world.now + machine.clock_error, lambda: world.now)
        self.clock = self.steady_clock.now
        self.ended = False
        self.commits = Commits()
        self.commit: Commit | None = None
        self.patience: Happening | None = None
        self.retry: Happening | None = None
        self.timer: Happening | None = None
        self.timer_due = 0.0
        self.pass_scheduled = False
        self.peers: dict[Line, PacketPeer] = {}
        self.lines: dict[int, Line] = {}
        self.connections = 0
        generation = self.open_store()
        self.exchange = Exchange(
            Broker(
                machine.handle_prefix(generation),
                first_number=(generation << GENERATION_SHIFT) + 1,
                durable=True,
                policies=machine.policies,
                shared=self.shares,
            ),
            TextCommands(b"0", 1, b"INFO"),
            MAX_PACKET,
        )
        for job in self.found():
            self.exchange.step(self.now(), Restore(job))
        self.set_timer()

    # Where several servers share a store, these are other ones.

    # Whether other servers use the same store.
    shares = False

    def open_store(self) -> int:
        """Open the store and return the generation; raises StoreError."""
        return self.machine.disk.open()

    def found(self) -> list[Job]:
        """Return what the store has for this process, oldest first."""
        return self.machine.disk.replay()

    def withholds(self, peer: Peer) -> bool:
        """Return whether a peer is sent nothing for the time being."""
        return False

    def is_certain(self) -> bool:
        """Return whether this process may act for what the store keeps."""
        return True

    def rows(self) -> dict[int, Row]:
        """Return what this process has in the store."""
        return self.machine.disk.rows

    def refused_rows(self) -> dict[int, Row]:
        """Return what is or may come to be in the store although it was refused."""
        disk = self.machine.disk
        rows = dict(disk.rows)
        refused = {*disk.refused, *self.commits.owed_removals}
        if self.commit is not None and self.commits.stalled:
            rows.update(self.commit.adds)
            refused.update(self.commit.adds)
        return {number: rows[number] for number in refused & rows.keys()}

    def die(self) -> None:
        """The process is gone; what it had begun to store is there as a whole, or not at all."""
        disk = self.machine.disk
        if self.commit is not None:
            disk.crash_during(self.commit)
        disk.refused.clear()

    def now(self) -> float:
        """Return the time that this process goes by."""
        return self.clock()

    def later(self, seconds: float, action: Callable[[], None]) -> Happening:
        """Have something done by this process: after its thaw, and not after its death."""
        machine = self.machine

        def act() -> None:
            if self.ended:
                return
            if machine.is_frozen:
                machine.due.append(act)
            else:
                action()

        return self.world.after(seconds, act)

    # Connections.

    def receive(self, line: Line, data: bytes) -> None:
        """Take bytes of a connection, perhaps its first."""
        peer = self.peers.get(line)
        if peer is None:
            self.connections += 1
            peer = self.exchange.connect(self.now(), self.connections, 0, b"sim", True)
            self.peers[line] = peer
            self.lines[self.connections] = line
        self.exchange.receive(self.now(), peer, data)
        if peer.is_busy():
            self.later(PASS, lambda: self.go_on(peer))
        self.schedule_pass()

    def go_on(self, peer: PacketPeer) -> None:
        """Take packets that had to wait for their turn."""
        if peer.session in self.lines and peer.is_busy():
            self.exchange.go_on(self.now(), peer)
            self.schedule_pass()
            if peer.is_busy():
                self.later(PASS, lambda: self.go_on(peer))

    def lose(self, line: Line) -> None:
        """A connection is gone."""
        peer = self.peers.pop(line, None)
        if peer is not None:
            del self.lines[peer.session]
            self.exchange.disconnect(self.now(), peer.session)
            self.schedule_pass()

    def close(self, line: Line) -> None:
        """Close a connection."""
        if line in self.machine.lines:
            self.machine.lines.remove(line)
        line.close(self.machine)
        self.lose(line)

    # The pass.

    def schedule_pass(self) -> None:
        """Have what was decided carried out soon, together with what comes until then."""
        if not self.pass_scheduled:
            self.pass_scheduled = True
            self.later(self.world.seconds(0, PASS), self.finish_pass)

    def finish_pass(self) -> None:
        """Write every socket once, and give the store its batch."""
        self.pass_scheduled = False
        for peer in self.exchange.take_written():
            line = self.lines.get(peer.session)
            if line is None or self.withholds(peer):
                continue
            line.send(self.machine, b"".join(peer.outbox.take()))
            if peer.closing:
                self.close(line)
        if self.exchange.has_store_work():
            self.put()
        self.machine.account.look_at(self)
        self.set_timer()

    def set_timer(self) -> None:
        """Have the broker ticked when something is due."""
        deadline = self.exchange.broker.next_deadline()
        if deadline is None:
            return
        if self.timer is not None:
            if self.timer_due <= deadline:
                return
            self.timer.call_off()
        sleep = min(max(deadline - self.now(), 0.0), 1.0)
        self.timer_due = self.now() + sleep
        self.timer = self.later(sleep, self.tick)

    def tick(self) -> None:
        """Something may be due."""
        self.timer = None
        shift = self.steady_clock.follow()
        if shift:
            self.exchange.step(self.now(), ClockSet(shift))
        self.exchange.tick(self.now())
        self.finish_pass()

    # The store.

    def put(self) -> None:
        """Let what has to be stored go into the next commit."""
        batch = self.exchange.take_batch()
        if batch.adds and self.commits.stalled:
            refused = batch.adds
            self.later(0, lambda: self.answer(refused, "the store hangs"))
            batch.adds = []
        self.commits.put(batch, self.world.now)
        if batch.adds and self.patience is None:
            self.patience = self.later(STORE_TIMEOUT, self.lose_patience)
        self.commit_next()

    def lose_patience(self) -> None:
        """Refuse what waits for a commit that takes too long."""
        self.patience = None
        left = self.commits.time_left(self.world.now, STORE_TIMEOUT)
        if left is None:
            return
        if left > 0:
            self.patience = self.later(min(left, STORE_TIMEOUT), self.lose_patience)
            return
        self.answer(self.give_up(), "the store hangs")

    def give_up(self) -> list[Job]:
        """Return the submissions that are to be refused because the store takes too long."""
        return self.commits.give_up()

    def commit_next(self) -> None:
        """Begin the next commit, if there is something to commit and none is under way."""
        if self.commit is not None:
            return
        commits = self.commits
        if commits.failing and not commits.has_news() and self.retry is not None:
            return
        batch = commits.start(self.world.now)
        if batch is None:
            return
        self.commit = commit = self.machine.disk.begin(batch)
        self.machine.account.commits += 1
        # The disk goes on while this process is stopped.
        self.world.after(commit.lasts, lambda: self.commit_ended(commit))

    def commit_ended(self, commit: Commit) -> None:
        """The transaction has come to its end; the process hears of it when it can."""
        if not self.ended:
            worked = self.machine.disk.finish(commit)
            self.later(0, lambda: self.committed(worked))

    def committed(self, worked: bool) -> None:
        """Acknowledge or refuse what the commit was for."""
        commit, self.commit = self.commit, None
        if commit is not None and commit.fate == IS_REFUSED:
            jobs = self.narrow(commit.refused, self.machine.disk.taste)
        else:
            jobs = self.commits.succeeded() if worked else self.commits.failed()
        if jobs:
            self.answer(jobs, "" if worked else "the disk failed")
        if self.commits.failing and self.retry is None:
            self.retry = self.later(RETRY_AFTER, self.try_again)
        if self.commits.has_news() or self.commits.removing:
            self.commit_next()

    def narrow(self, numbers: Sequence[int], taste: Taste) -> list[Job]:
        """Return the jobs that are refused because the store does not take them."""
        jobs = self.commits.narrow(numbers)
        if not self.commits.failing:
            for job in jobs:
                if job.number not in taste.refused:
                    self.machine.account.fail(f"{job.handle!r} was refused for another's sake")
        return jobs

    def try_again(self) -> None:
        """Try what the store did not take."""
        self.retry = None
        self.commit_next()

    def answer(self, jobs: list[Job], reason: str) -> None:
        """Tell what became of submissions."""
        if reason:
            self.exchange.persist_failed(self.now(), jobs, reason.encode())
        else:
            self.exchange.persisted(self.now(), jobs)
        self.finish_pass()


class Machine:
    """
    A machine with a disk, on which a job server runs most of the time.

    Attributes:
        process: The server, None while it does not run.
        is_frozen: Whether the process is stopped as by SIGSTOP.
        pauses: How often the process was stopped or ended.
        clock_error: How far its clock is from the world's, in seconds.
        policies: What the server is configured with.

    """

    def __init__(
        self, world: World, network: Network, disk: Disk, account: Account, name: str = "server"
    ) -> None:
        self.name = name
        self.world = world
        self.network = network
        self.disk = disk
        self.account = account
        self.process: Process | None = None
        self.is_frozen = False
        self.pauses = 0
        self.clock_error = 0.0
        self.policies: list[Policy] = []
        self.lines: list[Line] = []
        # What became due while the process was stopped.
        self.due: list[Callable[[], None]] = []

    def handle_prefix(self, generation: int) -> bytes:
        """Return the start of a process's handles."""
        return b"H:sim:%d" % generation

    def start(self) -> None:
        """Start the server, unless it runs."""
        if self.process is not None:
            return
        try:
            process = self.new_process()
        except StoreError as error:
            self.world.note(f"{self.name} does not start: {error}")
            return
        self.process = process
        self.world.note(f"{self.name} starts")
        self.account.server_started(process)

    def new_process(self) -> Process:
        """Return a process that has taken over what the store holds; raises StoreError."""
        return Process(self)

    def accept(self, line: Line) -> bool:
        """Take a new connection; False where nobody listens."""
        if self.process is None:
            return False
        self.lines.append(line)
        return True

    def crash(self) -> None:
        """Kill the process."""
        process = self.process
        if process is None:
            return
        self.world.note(f"{self.name} is killed")
        process.ended = True
        self.process = None
        self.pauses += 1
        self.account.server_died(process)
        process.die()
        lines, self.lines = self.lines, []
        self.is_frozen = False
        self.due = []
        for line in lines:
            line.close(self)

    def freeze(self) -> None:
        """Stop the process as SIGSTOP does; the network goes on without it."""
        if self.process is not None:
            self.world.note(f"{self.name} is stopped")
            self.is_frozen = True
            self.pauses += 1
            # A worker's time may be up meanwhile.
            self.account.note_fault()

    def thaw(self) -> None:
        """Let it go on."""
        if not self.is_frozen:
            return
        self.world.note(f"{self.name} goes on")
        self.account.note_fault()
        self.is_frozen = False
        due, self.due = self.due, []
        for line in list(self.lines):
            line.thaw(self)
        for action in due:
            action()

    def receive(self, line: Line, data: bytes) -> None:
        """Hand bytes to the process."""
        if self.process is not None:
            self.process.receive(line, data)

    def lose(self, line: Line) -> None:
        """Tell the process that a connection is gone."""
        if line in self.lines:
            self.lines.remove(line)
        if self.process is not None:
            self.process.lose(line)
