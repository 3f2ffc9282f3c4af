"""
The pure half of the server: bytes of all connections in, bytes out.

An exchange owns the broker and what every connection has sent and is to be
sent. It knows neither sockets nor disks: the shell hands it what arrived,
collects what is to be written once per pass of the event loop, and gives the
store its share.
"""

from __future__ import annotations

from typing import Final

from geartrain.broker import shared
from geartrain.broker.broker import Broker
from geartrain.broker.commands import (
    Answer,
    Command,
    Connect,
    Disconnect,
    Persisted,
    PersistFailed,
    Tick,
)
from geartrain.broker.effects import (
    AdminResult,
    AskForResult,
    AskOthers,
    AskStore,
    Awaited,
    Bury,
    CutOff,
    Effect,
    Forget,
    FunctionsReport,
    GaveUp,
    JobReport,
    JobsReport,
    KeepAttempts,
    KeepResult,
    Persist,
    SendReport,
    ServersReport,
    SessionEffect,
    StoreReply,
    WaitsReport,
    WorkersReport,
)
from geartrain.broker.job import Job
from geartrain.server.replies import OUTPUT_LIMIT, Outbox, write_effect
from geartrain.server.requests import command_of, error
from geartrain.server.text_commands import (
    TextCommands,
    fact_lines,
    function_lines,
    job_facts,
    job_lines,
    outcome_line,
    server_lines,
    wait_lines,
    worker_line,
)
from geartrain.store.batch import Batch, DeadLetter, Result
from geartrain.wire.packet import (
    GET_STATUS_UNIQUE,
    REQUEST,
    TEXT,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.text import END_OF_LIST, OK, unknown_command, words

# What an administrator asked the whole server to do.
KEEP_RUNNING: Final = 0
STOP_NOW: Final = 1
STOP_GRACEFULLY: Final = 2

# Packets of one peer that are taken in one pass of the event loop; then the others have their turn.
MAX_PACKETS: Final = 1024
# Of these, text commands and others that may take as long as there are functions.
MAX_SLOW: Final = 16
# Answers that one peer may have waiting for the store before its next packets wait, too.
MAX_HELD: Final = 16 * 1024
# A peer with so many bytes to read gets the answer to its next text command later.
_ENOUGH_TEXT: Final = 64 * 1024
# Lines of a list that are written in one pass. A few bytes may ask for a list of millions of jobs,
# which nobody else should have to wait for, and which need not be here all at once.
MAX_LINES: Final = 1000
# Packets that end a job.
_ENDS: Final = (WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION)
# What an effect takes beside its workload, in bytes, for what waits behind a list.
_EFFECT_SIZE: Final = 64


class Listing:
    """
    A list that a peer is being sent.

    Attributes:
        report: What is listed.
        behind: What the peer is to be sent after it.

    """

    __slots__ = ("behind", "behind_size", "position", "report")

    def __init__(self, report: SessionEffect) -> None:
        self.report = report
        self.position = 0
        self.behind: list[SessionEffect] = []
        self.behind_size = 0


class Peer:
    """
    One connection as the exchange sees it, whatever protocol it speaks.

    Attributes:
        session: The connection's number, never used twice.
        descriptor: File descriptor, for ``workers``.
        address: Remote address without the port, for ``workers``.
        local: Whether the peer is on this machine, and so may stop the server.
        closing: Whether the connection is to be closed once its outbox is written.
        listing: The list it is being sent, or None.
        fault: What the peer did that ends the connection, for the log; empty for nothing.

    """

    __slots__ = (
        "address",
        "closing",
        "descriptor",
        "fault",
        "listing",
        "local",
        "outbox",
        "session",
        "written",
    )

    def __init__(self, session: int, descriptor: int, address: bytes, local: bool) -> None:
        self.session = session
        self.descriptor = descriptor
        self.address = address
        self.local = local
        self.outbox = Outbox()
        # Whether it is among the exchange's ``written``.
        self.written = False
        self.closing = False
        self.listing: Listing | None = None
        self.fault = ""

    def deliver(self, effect: SessionEffect) -> bool:
        """Take what the broker tells this session; False where it is no packet."""
        return write_effect(self.outbox, effect)

    def forget_waiting(self) -> None:
        """Throw away what has arrived and whose turn has not come."""


class PacketPeer(Peer):
    """
    A connection that speaks the Gearman protocol: packets, and lines of text between them.

    Attributes:
        waiting: Packets that have arrived and whose turn has not come.

    """

    __slots__ = ("held_size", "reader", "taken", "waiting")

    def __init__(
        self, session: int, reader: PacketReader, descriptor: int, address: bytes, local: bool
    ) -> None:
        Peer.__init__(self, session, descriptor, address, local)
        self.reader = reader
        self.waiting: list[Packet] = []
        # How many of the waiting ones have been taken.
        self.taken = 0
        # Bytes it has sent since it has an answer waiting for the store.
        self.held_size = 0

    def is_busy(self) -> bool:
        """Return whether ``Exchange.go_on`` is due; reading has to stop until it is not."""
        return self.listing is not None or bool(self.waiting)

    def forget_waiting(self) -> None:
        """Throw away packets that have arrived and whose turn has not come."""
        self.waiting = []
        self.taken = 0


class Exchange:
    """
    Bytes in, bytes out, jobs to the store and back.

    Args:
        broker: The server's memory.
        text_commands: What answers lines of the text protocol.
        max_packet: Largest packet in bytes.
        allow_shutdown: Whether peers on this machine may stop the server by ``shutdown``.
        output_limit: Bytes that may be written for one peer in one pass of the event loop.

    Attributes:
        batch: What goes to the store with the next commit; the jobs it adds are acknowledged
            after that.
        given_up: Jobs that came back without a result too often, for the log.
        requested: What an administrator wants the server to do.
        asked: Answers that other servers are to be asked for.
        buried: Jobs that became dead letters, for the log.
        store_questions: What text commands ask the store.
        result_questions: What inquiries ask the store.

    """

    __slots__ = (
        "allow_shutdown",
        "asked",
        "batch",
        "broker",
        "buried",
        "given_up",
        "max_packet",
        "output_limit",
        "parked",
        "peers",
        "requested",
        "result_questions",
        "store_questions",
        "text_commands",
        "written",
    )

    def __init__(
        self,
        broker: Broker,
        text_commands: TextCommands,
        max_packet: int,
        allow_shutdown: bool = True,
        output_limit: int = OUTPUT_LIMIT,
    ) -> None:
        self.broker = broker
        self.text_commands = text_commands
        self.max_packet = max_packet
        self.allow_shutdown = allow_shutdown
        self.output_limit = output_limit
        self.peers: dict[int, Peer] = {}
        # Peers with something to be written, in the order in which they got it.
        self.written: list[Peer] = []
        self.batch = Batch()
        self.given_up: list[Job] = []
        self.requested = KEEP_RUNNING
        self.asked: list[Awaited] = []
        self.buried: list[DeadLetter] = []
        self.store_questions: list[AskStore] = []
        self.result_questions: list[AskForResult] = []
        # Peers whose next packet waits until the lease of the store is certain again.
        self.parked: dict[int, PacketPeer] = {}

    # Connections.

    def connect(
        self, now: float, session: int, descriptor: int, address: bytes, local: bool
    ) -> PacketPeer:
        """Enter a connection that speaks the Gearman protocol."""
        reader = PacketReader(REQUEST, self.max_packet)
        peer = PacketPeer(session, reader, descriptor, address, local)
        peer.outbox.limit = self.output_limit
        self.enter(now, peer)
        return peer

    def enter(self, now: float, peer: Peer) -> None:
        """Enter a connection."""
        self.peers[peer.session] = peer
        self.step(now, Connect(peer.session))

    def disconnect(self, now: float, session: int) -> None:
        """Let a connection go."""
        if self.peers.pop(session, None) is not None:
            self.step(now, Disconnect(session))

    def receive(self, now: float, peer: PacketPeer, data: bytes) -> None:
        """Take what the network delivered for a connection."""
        if peer.closing:
            return
        packets = peer.reader.receive_data(data)
        if peer.held_size:
            peer.held_size += len(data)
        if peer.is_busy():
            peer.waiting += packets
            return
        peer.waiting = packets
        self.go_on(now, peer)
        if not peer.held_size and self.owes(peer.session):
            peer.held_size = len(data)

    def go_on(self, now: float, peer: PacketPeer) -> bool:
        """
        Take packets that have arrived, as many as one peer may have taken at a time.

        Returns whether anything could be done. If not, the peer has to be written to first,
        or the store has to answer.
        """
        if peer.listing is not None:
            self.list_on(peer, peer.listing)
            self.note_written(peer)
            self.look_for_fault(now, peer)
            return True
        if peer.held_size and not self.may_ask_on(peer):
            return False
        broker = self.broker
        session = peer.session
        packets = peer.waiting
        start = peer.taken
        stop = start
        slow = 0
        in_doubt = broker.in_doubt
        for packet in packets[start : start + MAX_PACKETS]:
            kind = packet.type
            if kind in (TEXT, GET_STATUS_UNIQUE):
                slow += 1
                if slow > MAX_SLOW or self.has_enough(peer):
                    break
            if in_doubt and kind in _ENDS and shared.holds_back(broker, session, packet.args[0]):
                self.parked[session] = peer
                break
            if kind == TEXT:
                self.receive_line(now, peer, packet)
            else:
                for effect in broker.step(now, command_of(now, session, packet)):
                    self.carry_out(effect)
            stop += 1
        if stop < len(packets):
            peer.taken = stop
        else:
            peer.waiting = []
            peer.taken = 0
            self.look_for_fault(now, peer)
        return stop > start

    def may_ask_on(self, peer: PacketPeer) -> bool:
        """Return whether a peer may have more answers waiting for the store."""
        known = self.broker.sessions.get(peer.session)
        if known is None or known.held is None:
            peer.held_size = 0
            return True
        return len(known.held) < MAX_HELD and peer.held_size < self.output_limit

    def has_enough(self, peer: PacketPeer) -> bool:
        """Return whether a peer has to read, or to hear of the store, before its next line."""
        if peer.listing is not None or peer.outbox.size() > _ENOUGH_TEXT:
            return True
        return self.owes(peer.session)

    def look_for_fault(self, now: float, peer: PacketPeer) -> None:
        """Tell a peer that it broke the protocol, once all it sent before that is answered."""
        fault = peer.reader.fault
        if fault is None or peer.is_busy():
            return
        if fault.code:
            self.step(now, error(peer.session, fault.code, str(fault).encode()))
        peer.fault = str(fault)
        peer.closing = True
        self.note_written(peer)

    def receive_line(self, now: float, peer: Peer, packet: Packet) -> None:
        """Take one line of the text protocol."""
        line = packet.args[0]
        parts = [word.lower() for word in words(line)]
        if parts and parts[0] == b"shutdown":
            self.shutdown(now, peer, parts)
        else:
            self.step(now, self.text_commands.command_of(peer.session, line))

    def shutdown(self, now: float, peer: Peer, parts: list[bytes]) -> None:
        """``shutdown`` and ``shutdown graceful``, for peers on this machine."""
        if parts == [b"shutdown"]:
            requested = STOP_NOW
        elif parts == [b"shutdown", b"graceful"]:
            requested = STOP_GRACEFULLY
        else:
            requested = KEEP_RUNNING
        if requested == KEEP_RUNNING or not self.allow_shutdown or not peer.local:
            self.step(now, Answer(peer.session, unknown_command(b"shutdown")))
        else:
            self.step(now, Answer(peer.session, OK))
            self.requested = requested

    # The broker.

    def step(self, now: float, command: Command) -> None:
        """Step the broker and carry out what it decides."""
        for effect in self.broker.step(now, command):
            self.carry_out(effect)

    def tick(self, now: float) -> None:
        """The moment that ``next_deadline`` named has come."""
        self.step(now, Tick())

    def persisted(self, now: float, jobs: list[Job]) -> None:
        """The store has these jobs on disk."""
        self.step(now, Persisted(jobs))

    def persist_failed(self, now: float, jobs: list[Job], reason: bytes) -> None:
        """The store could not keep these jobs, and will not."""
        self.step(now, PersistFailed(jobs, reason))

    def carry_out(self, effect: Effect) -> None:
        """Give an effect to the connection or the store that it is for."""
        if isinstance(effect, SessionEffect):
            peer = self.peers.get(effect.session)
            if peer is not None:
                if isinstance(effect, CutOff):
                    self.cut_off(peer)
                    return
                if peer.listing is not None:
                    self.put_behind(peer, peer.listing, effect)
                elif not peer.deliver(effect):
                    self.answer_text(peer, effect)
                if not peer.written:
                    peer.written = True
                    self.written.append(peer)
        elif isinstance(effect, Persist):
            self.batch.adds.append(effect.job)
        elif isinstance(effect, Forget):
            self.batch.dones.append(effect.number)
        elif isinstance(effect, KeepAttempts):
            self.batch.updates.append((effect.number, effect.attempts, effect.epoch))
        elif isinstance(effect, GaveUp):
            self.given_up.append(effect.job)
        elif isinstance(effect, KeepResult):
            self.batch.results.append(result_of(effect))
        elif isinstance(effect, Bury):
            letter = DeadLetter(effect.job, effect.reason, effect.died)
            self.batch.dead.append(letter)
            self.buried.append(letter)
        elif isinstance(effect, AskForResult):
            self.result_questions.append(effect)
        elif isinstance(effect, AskStore):
            self.store_questions.append(effect)
        elif isinstance(effect, AskOthers):
            self.asked.append(effect.answer)
        else:
            raise AssertionError(f"nobody carries out {effect!r}")

    # A store that several servers share.

    def take_asked(self) -> list[Awaited]:
        """Return the answers that other servers are to be asked for now."""
        asked = self.asked
        self.asked = []
        return asked

    def take_parked(self) -> None:
        """Let peers go on that were kept waiting because the lease was in doubt."""
        parked = self.parked
        self.parked = {}
        for peer in parked.values():
            self.note_written(peer)

    def cut_off(self, peer: Peer) -> None:
        """Close a connection, and send nothing of what was to be sent."""
        peer.outbox.take()
        peer.listing = None
        peer.forget_waiting()
        peer.fault = "another server has taken over, or may, what it works on or waits for"
        peer.closing = True
        self.note_written(peer)

    # Answers to text commands.

    def answer_text(self, peer: Peer, effect: SessionEffect) -> None:
        """Write what became of a command, or the first lines of a list."""
        if isinstance(effect, AdminResult):
            peer.outbox.write(outcome_line(effect))
        elif isinstance(effect, ServersReport) and effect.problem:
            peer.outbox.write(effect.problem)
        elif isinstance(effect, StoreReply):
            peer.outbox.write(effect.reply)
        elif isinstance(effect, JobReport):
            peer.outbox.write(fact_lines(job_facts(effect.job)))
        else:
            peer.listing = Listing(effect)
            self.list_on(peer, peer.listing)

    def list_on(self, peer: Peer, listing: Listing) -> None:
        """Write the next lines of a list, and what came up meanwhile behind the last one."""
        outbox = peer.outbox
        report = listing.report
        start = listing.position
        stop = listing.position = start + MAX_LINES
        if isinstance(report, FunctionsReport):
            outbox.write(function_lines(report.rows[start:stop], report.by_priority))
            is_over = stop >= len(report.rows)
        elif isinstance(report, WorkersReport):
            outbox.write(self.worker_lines(report.rows[start:stop]))
            is_over = stop >= len(report.rows)
        elif isinstance(report, JobsReport):
            outbox.write(job_lines(report.jobs[start:stop], report.unique))
            is_over = stop >= len(report.jobs)
        elif isinstance(report, WaitsReport):
            outbox.write(wait_lines(report.rows[start:stop]))
            is_over = stop >= len(report.rows)
        elif isinstance(report, ServersReport):
            outbox.write(server_lines(report.rows[start:stop]))
            is_over = stop >= len(report.rows)
        else:
            raise AssertionError(f"nobody can write {report!r}")
        if is_over:
            outbox.write(END_OF_LIST)
            peer.listing = None
            for effect in listing.behind:
                self.carry_out(effect)

    def worker_lines(self, rows: list[tuple[int, bytes, list[bytes]]]) -> bytes:
        """Return lines of ``workers``, for those who have not left meanwhile."""
        lines: list[bytes] = []
        for session, client_id, functions in rows:
            one = self.peers.get(session)
            if one is not None:
                lines.append(worker_line(one.descriptor, one.address, client_id, functions))
        return b"".join(lines)

    def put_behind(self, peer: Peer, listing: Listing, effect: SessionEffect) -> None:
        """Keep what a peer is to be sent after a list, unless that is too much."""
        listing.behind.append(effect)
        listing.behind_size += _EFFECT_SIZE
        if isinstance(effect, SendReport):
            listing.behind_size += len(effect.workload)
        if listing.behind_size > self.output_limit:
            listing.behind = []
            peer.outbox.overrun = True

    # What the shell collects once per pass.

    def note_written(self, peer: Peer) -> None:
        """Enter a peer among those that have something to be written."""
        if not peer.written:
            peer.written = True
            self.written.append(peer)

    def take_written(self) -> list[Peer]:
        """Return the peers whose outbox is to be written now."""
        written = self.written
        self.written = []
        for peer in written:
            peer.written = False
        return written

    def owes(self, session: int) -> bool:
        """Return whether the session waits for an answer that waits for the store."""
        known = self.broker.sessions.get(session)
        return known is not None and known.held is not None

    def has_store_work(self) -> bool:
        """Return whether there is something for the next commit."""
        return not self.batch.is_empty()

    def has_errands(self) -> bool:
        """Return whether there is anything that few passes leave: questions, something to log."""
        return (
            self.requested != KEEP_RUNNING
            or bool(self.asked or self.store_questions or self.result_questions)
            or bool(self.buried or self.given_up)
        )

    def take_batch(self) -> Batch:
        """Return what goes into the next commit."""
        batch = self.batch
        self.batch = Batch()
        return batch


def result_of(effect: KeepResult) -> Result:
    """Return a result as the store has it."""
    return Result(
        effect.handle,
        effect.number,
        effect.function,
        effect.outcome,
        effect.data,
        effect.ended,
        effect.expires,
    )


__all__ = ["KEEP_RUNNING", "STOP_GRACEFULLY", "STOP_NOW", "Exchange", "PacketPeer", "Peer"]
