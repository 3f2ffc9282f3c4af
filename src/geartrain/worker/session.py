"""
One connection of a worker to one server, without the socket.

A session is told what the network delivered and how handlers ended, and says
which jobs to start and which bytes to send. It opens no socket, reads no
clock and runs no handler.

A worker has one session per server, and all of them draw on the same `Slots`:
a slot is taken when a job is asked for, not when it arrives, so several
servers can never hand out more jobs together than the worker has room for.

The life of a session::

    announce ----> awake --GRAB_JOB_ALL--> asked --JOB_ASSIGN*--> a job is held
                     ^                       |                        |
                     |                    NO_JOB, and nothing         | WORK_COMPLETE and the
                     |                    else is asked               | next GRAB_JOB_ALL, in
                     |                       v                        | one write
                     +------NOOP-------- asleep                       +----> asked
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter

from geartrain.errors import ProtocolError, ServerError
from geartrain.wire.packet import (
    CAN_DO,
    CAN_DO_TIMEOUT,
    CANT_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GRAB_JOB_ALL,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    REQUEST,
    RESET_ABILITIES,
    RESPONSE,
    SET_CLIENT_ID,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    Packet,
)
from geartrain.wire.reader import MAX_PACKET, PacketReader
from geartrain.wire.writer import pack_request, start_packet

# Option with which our servers say of a job which attempt it is, from the second on, in the place
# of a reducer.
ATTEMPTS: Final = b"attempts"
_ATTEMPT: Final = b"attempt:"
_GRAB: Final = pack_request(GRAB_JOB_ALL, [])
_PRE_SLEEP: Final = pack_request(PRE_SLEEP, [])
_RESET_ABILITIES: Final = pack_request(RESET_ABILITIES, [])
# Pieces from this size on go out as they are instead of being copied into the buffer.
_LARGE: Final = 32 * 1024


class Slots:
    """
    Room for jobs, shared by the sessions of one worker.

    Args:
        capacity: How many jobs may be asked for or held at once.

    Attributes:
        free: Slots that nobody has taken.
        written: Sessions with bytes to send since `take_written`.

    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free = capacity
        self.sessions: list[WorkerSession] = []
        # Index of the session that is asked first when a slot is dealt.
        self.turn = 0
        self.written: list[WorkerSession] = []

    def deal(self) -> None:
        """Give each free slot to the next session, in turn, that has a use for it."""
        refused = 0
        while self.free > 0 and refused < len(self.sessions):
            if self.turn >= len(self.sessions):
                self.turn = 0
            session = self.sessions[self.turn]
            self.turn += 1
            if session.wants_job():
                session.grab()
                refused = 0
            else:
                refused += 1

    def are_taken(self) -> bool:
        """Return whether any slot is in use: then there are answers to wait for, now or later."""
        return self.free < self.capacity

    def take_written(self) -> list[WorkerSession]:
        """Return the sessions that have bytes to send, and forget that they had."""
        written = self.written
        self.written = []
        return written


class Assignment:
    """
    A job as the server assigned it.

    Attributes:
        session: The session it came by; its results go back the same way.
        handle: The server's name of the job.
        function: The function to run.
        unique: The client's key, or empty.
        reducer: The function that a map/reduce job's results go to, or empty.
        workload: The client's data.
        attempt: Which attempt it is, from 1 on; 0 where the server does not say.

    """

    __slots__ = ("attempt", "function", "handle", "reducer", "session", "unique", "workload")

    def __init__(
        self,
        session: WorkerSession,
        handle: bytes,
        function: bytes,
        unique: bytes,
        reducer: bytes,
        workload: bytes,
        attempt: int = 0,
    ) -> None:
        self.session = session
        self.attempt = attempt
        self.handle = handle
        self.function = function
        self.unique = unique
        self.reducer = reducer
        self.workload = workload


class WorkerSession:
    """
    The worker's side of one connection.

    Make it once the connection stands, and call `announce`. When the
    connection is gone call `lose`, and make another for the next one.

    Args:
        slots: Room for jobs, shared with the worker's other sessions.
        client_id: Name of the worker in the server's lists, or empty. The
            text protocol separates by spaces, so it should have none.
        abilities: Function -> milliseconds a job of it may take, 0 for no limit.
        options: Names for OPTION_REQ.
        max_packet: Largest packet taken from the server, in bytes.

    Attributes:
        held: Jobs that were assigned and have not ended.
        asked: Jobs asked for and not yet answered.
        asleep: Whether the server was told to wake this worker when there is work.
        grabs_next: Whether a grab is in the output, which servers answer at once.
        fault: Why the connection has to be closed, or None.

    """

    def __init__(
        self,
        slots: Slots,
        client_id: bytes,
        abilities: dict[bytes, int],
        options: list[bytes],
        max_packet: int = MAX_PACKET,
    ) -> None:
        self.slots = slots
        self.client_id = client_id
        self.abilities = dict(abilities)
        # Functions taken back while jobs of them are held: the server does not know it yet.
        self.withdrawn: list[bytes] = []
        self.options = options
        self.reader = PacketReader(RESPONSE, max_packet)
        # Bytes not taken yet: large pieces apart, the rest in one buffer.
        self.parts: list[bytes] = []
        self.buffer = BytesWriter()
        # Whether it is among the ``written`` of the slots.
        self.has_output = False
        self.grabs_next = False
        self.errors: list[ServerError] = []
        self.fault: ProtocolError | None = None
        self.held: set[Assignment] = set()
        self.asked = 0
        # How many jobs to ask for at once: one after a sleep, doubled by every job that comes.
        # A single job that wakes a worker with many slots then costs two grabs and not all of them.
        self.window = 1
        # The last answer was NO_JOB: ask no further until the grabs under way are answered.
        self.dry = False
        self.open = False
        # Whether the server says which attempt a job is.
        self.tells_attempts = False
        self.asleep = False
        self.stopping = False
        self.echoes_due = 0
        # Echoes still to come until one that was asked after the latest ability.
        self.echoes_to_ready = 0
        # Deliveries of the network, ever, and how many there were when `is_stuck` last saw
        # that an answer was due.
        self.deliveries = 0
        self.deliveries_seen = -1

    # The connection.

    def announce(self) -> None:
        """Tell the server who this worker is and what it can do, and ask for the first jobs."""
        self.open = True
        self.slots.sessions.append(self)
        if self.client_id:
            self.write(pack_request(SET_CLIENT_ID, [self.client_id]))
        for option in self.options:
            self.write(pack_request(OPTION_REQ, [option]))
        for function, milliseconds in self.abilities.items():
            self.write_ability(function, milliseconds)
        self.ask_ready()
        self.slots.deal()

    def can_do(self, function: bytes, milliseconds: int) -> None:
        """Announce one more function, and ask for its jobs."""
        # gearmand counts a function once more each time it is announced.
        if function in self.abilities or self.stopping or not self.open:
            return
        self.abilities[function] = milliseconds
        if function in self.withdrawn:
            # The server still knows it.
            self.withdrawn.remove(function)
            return
        self.write_ability(function, milliseconds)
        self.ask_ready()
        # gearmand leaves a worker asleep that learns a function while jobs for it are waiting.
        self.wake()
        self.slots.deal()

    def cant_do(self, function: bytes) -> None:
        """
        Take one function back; where jobs of it are held, when they have ended.

        A server takes the jobs of a withdrawn function away from their worker. One that was
        assigned meanwhile may still arrive, and is to be given to `finish` alone.
        """
        if function not in self.abilities or self.stopping or not self.open:
            return
        del self.abilities[function]
        self.withdrawn.append(function)
        self.withdraw()

    def withdraw(self) -> None:
        """Tell the server of the withdrawn functions of which no job is held."""
        busy = {job.function for job in self.held}
        for function in list(self.withdrawn):
            if function not in busy:
                self.withdrawn.remove(function)
                self.write(pack_request(CANT_DO, [function]))

    def echo(self) -> None:
        """Ask for a sign of life; `echoes_due` goes back to 0 when it has come."""
        self.echoes_due += 1
        self.write(pack_request(ECHO_REQ, [b"alive"]))

    def is_ready(self) -> bool:
        """Return whether the server has taken note of every ability."""
        return self.open and self.echoes_to_ready == 0

    def awaits_answer(self) -> bool:
        """Return whether the server owes an answer."""
        return self.asked > 0 or self.echoes_due > 0

    def is_stuck(self) -> bool:
        """
        Return whether an answer was due at the last call, and nothing at all came since.

        To be called at long intervals while `awaits_answer`. A server that
        hangs would otherwise keep the slots of its grabs from the others.
        """
        due = self.awaits_answer()
        stuck = due and self.deliveries == self.deliveries_seen
        self.deliveries_seen = self.deliveries if due else -1
        return stuck

    def lose(self) -> None:
        """
        Take note that the connection is gone.

        The server gives the jobs that are held to other workers. Their
        handlers may still run, and keep their slots until `finish`.
        """
        if not self.open:
            return
        self.open = False
        self.asleep = False
        self.take_output()
        self.slots.sessions.remove(self)
        self.slots.free += self.asked
        self.asked = 0
        self.slots.deal()

    def stop(self) -> None:
        """Ask for no more jobs, and take leave of each function once no job of it is held."""
        if not self.stopping:
            self.stopping = True
            self.leave()

    def resign(self) -> None:
        """
        Give all jobs back, also those on their way here, before the connection is closed.

        Servers that count the workers lost with a job then don't count this one.
        """
        if self.open and self.abilities and (self.held or self.asked):
            self.abilities.clear()
            self.write(_RESET_ABILITIES)

    def is_done(self) -> bool:
        """Return whether a stopped session has nothing left to send or to wait for."""
        return not self.held and not self.awaits_answer() and not self.abilities

    def take_output(self) -> list[bytes]:
        """Return the bytes to send, in order, and forget them; all but large ones in one piece."""
        self.seal_buffer()
        parts = self.parts
        self.parts = []
        self.has_output = False
        self.grabs_next = False
        return parts

    def take_errors(self) -> list[ServerError]:
        """
        Return what the server complained about, and forget it.

        JOB_NOT_FOUND means that a result came too late: the job had been
        taken away, and another worker has it. Nothing needs to be done.
        """
        errors = self.errors
        self.errors = []
        return errors

    # Packets from the server.

    def receive_data(self, data: bytes) -> list[Assignment]:
        """Take what the network delivered and return the jobs to start."""
        jobs: list[Assignment] = []
        if not self.open:
            return jobs
        self.deliveries += 1
        for packet in self.reader.receive_data(data):
            kind = packet.type
            if kind in (JOB_ASSIGN_UNIQ, JOB_ASSIGN_ALL, JOB_ASSIGN):
                if self.asked == 0:
                    # There is no room for it; without this connection another worker gets it.
                    self.fault = ProtocolError("the server assigned a job nobody had asked for")
                    return jobs
                jobs.append(self.assign(packet))
            elif kind == NO_JOB:
                self.no_job()
            elif kind == NOOP:
                self.wake()
            else:
                self.receive_other(packet)
        if self.fault is None:
            self.fault = self.reader.fault
        self.slots.deal()
        if self.stopping:
            self.leave()
        return jobs

    def assign(self, packet: Packet) -> Assignment:
        args = packet.args
        unique = reducer = b""
        if packet.type != JOB_ASSIGN:
            unique = args[2]
        if packet.type == JOB_ASSIGN_ALL:
            reducer = args[3]
        attempt = 0
        if self.tells_attempts:
            attempt = 1
            if reducer.startswith(_ATTEMPT) and reducer[len(_ATTEMPT) :].isdigit():
                attempt = int(reducer[len(_ATTEMPT) :])
                reducer = b""
        job = Assignment(self, args[0], args[1], unique, reducer, args[-1], attempt)
        self.asked -= 1
        self.dry = False
        if self.window < self.slots.capacity:
            self.window *= 2
        self.held.add(job)
        return job

    def no_job(self) -> None:
        if self.asked == 0:
            return
        self.asked -= 1
        self.slots.free += 1
        self.dry = True
        self.window = 1
        # A grab would wake this connection again, so sleep waits for the last answer.
        if self.asked == 0 and not self.stopping:
            self.asleep = True
            self.write(_PRE_SLEEP)

    def wake(self) -> None:
        self.asleep = False
        self.dry = False

    def receive_other(self, packet: Packet) -> None:
        """Take note of a packet that is neither a job nor about jobs."""
        kind = packet.type
        if kind == ECHO_RES:
            if self.echoes_due > 0:
                self.echoes_due -= 1
            if self.echoes_to_ready > 0:
                self.echoes_to_ready -= 1
        elif kind == ERROR:
            code, text = packet.args
            self.errors.append(
                ServerError(code.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
            )
        elif kind == OPTION_RES:
            if packet.args[0] == ATTEMPTS:
                self.tells_attempts = True
        else:
            self.fault = ProtocolError(f"the server sent {packet!r} to a worker")

    # What the worker tells the server.

    def wants_job(self) -> bool:
        """Return whether there may be a job that nobody has asked for yet."""
        return (
            self.asked < self.window
            and not self.asleep
            and not self.dry
            and not self.stopping
            and len(self.abilities) > 0
        )

    def grab(self) -> None:
        """Take a slot and ask for a job."""
        self.slots.free -= 1
        self.asked += 1
        self.grabs_next = True
        self.write(_GRAB)

    def status(self, job: Assignment, numerator: int, denominator: int) -> None:
        """Report how far a job has come."""
        if self.owns(job):
            counts = [b"%d" % numerator, b"%d" % denominator]
            self.write(pack_request(WORK_STATUS, [job.handle, *counts]))

    def data(self, job: Assignment, data: bytes) -> None:
        """Send a part of the result ahead of its end."""
        if self.owns(job):
            self.write(pack_request(WORK_DATA, [job.handle, data]))

    def warning(self, job: Assignment, data: bytes) -> None:
        """Send a warning; the job goes on."""
        if self.owns(job):
            self.write(pack_request(WORK_WARNING, [job.handle, data]))

    def complete(self, job: Assignment, result: bytes) -> bool:
        """End a job well. Returns what `finish` returns."""
        if self.owns(job):
            handle = job.handle
            size = len(handle) + 1 + len(result)
            buffer = self.buffer
            start_packet(buffer, REQUEST, WORK_COMPLETE, size)
            buffer.write(handle)
            buffer.append(0)
            self.write(result)
        return self.finish(job)

    def fail(self, job: Assignment) -> bool:
        """End a job with WORK_FAIL. Returns what `finish` returns."""
        if self.owns(job):
            self.write(pack_request(WORK_FAIL, [job.handle]))
        return self.finish(job)

    def exception(self, job: Assignment, data: bytes) -> bool:
        """
        End a job with WORK_EXCEPTION. Returns what `finish` returns.

        No WORK_FAIL follows: the exception is the end of the job, and servers
        answer a second end with an error.
        """
        if self.owns(job):
            self.write(pack_request(WORK_EXCEPTION, [job.handle, data]))
        return self.finish(job)

    def end(self, job: Assignment, kind: int, data: bytes) -> bool:
        """
        End a job the way its handler ended. Returns what `finish` returns.

        Args:
            job: The job.
            kind: WORK_COMPLETE, WORK_FAIL or WORK_EXCEPTION.
            data: The result or the exception; nothing with WORK_FAIL.

        """
        if kind == WORK_COMPLETE:
            return self.complete(job, data)
        if kind == WORK_EXCEPTION:
            return self.exception(job, data)
        return self.fail(job)

    def finish(self, job: Assignment) -> bool:
        """
        Give the job's slot back, and use it for the next job.

        Every job returned by `receive_data` is finished exactly once, by this
        method alone when there is nothing to tell the server.

        Returns:
            Whether the connection the job came by still stands. If not, the
            result was dropped: the server has given the job to another worker.

        """
        self.held.remove(job)
        self.slots.free += 1
        if self.withdrawn and self.open:
            self.withdraw()
        self.slots.deal()
        if self.stopping:
            self.leave()
        return self.open

    # Ways to write.

    def owns(self, job: Assignment) -> bool:
        """Return whether the server still takes this session's word on the job, as far as known."""
        return self.open and job in self.held

    def write(self, piece: bytes) -> None:
        if not self.has_output:
            self.has_output = True
            self.slots.written.append(self)
        if len(piece) < _LARGE:
            self.buffer.write(piece)
        else:
            self.seal_buffer()
            self.parts.append(piece)

    def seal_buffer(self) -> None:
        """Close the current piece of the output."""
        if len(self.buffer):
            self.parts.append(self.buffer.getvalue())
            self.buffer.truncate(0)

    def write_ability(self, function: bytes, milliseconds: int) -> None:
        if milliseconds > 0:
            self.write(pack_request(CAN_DO_TIMEOUT, [function, b"%d" % milliseconds]))
        else:
            self.write(pack_request(CAN_DO, [function]))

    def ask_ready(self) -> None:
        self.echo()
        self.echoes_to_ready = self.echoes_due

    def leave(self) -> None:
        """
        Withdraw the functions of which no job is held.

        Not sooner: a server takes the jobs of a withdrawn function away from
        their worker. And not before every grab is answered, since the answer
        may be a job.
        """
        if not self.open or self.asked > 0 or not self.abilities:
            return
        if not self.held:
            self.abilities.clear()
            self.write(_RESET_ABILITIES)
            # Its answer proves that the server has taken every result.
            self.echo()
            return
        busy = {job.function for job in self.held}
        for function in list(self.abilities):
            if function not in busy:
                del self.abilities[function]
                self.write(pack_request(CANT_DO, [function]))


__all__ = ["ATTEMPTS", "Assignment", "Slots", "WorkerSession"]
