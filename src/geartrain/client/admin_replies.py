"""
Text commands of the administration protocol, and their replies as values.

A command is a line and a way to read the reply. Names are handed out as text:
UTF-8, with bytes that are none kept as surrogates, so that nothing is lost.
No socket here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from geartrain.client.reports import JobHandle
from geartrain.errors import GeartrainError, ProtocolError, ServerError, UsageError
from geartrain.wire.packet import RESPONSE, TEXT
from geartrain.wire.reader import PacketReader

Result = TypeVar("Result")

# A worker's line grows with the number of its functions.
_LONGEST_LINE: Final = 64 * 1024 * 1024
_END: Final = b"."


class FunctionStatus(NamedTuple):
    """
    A function and its jobs.

    Attributes:
        function: Its name.
        total: Jobs waiting and running.
        running: Jobs that a worker has.
        workers: Workers that can do it.

    """

    function: str
    total: int
    running: int
    workers: int

    @property
    def waiting(self) -> int:
        """Jobs that no worker has yet."""
        return self.total - self.running


class PriorityStatus(NamedTuple):
    """
    A function and its waiting jobs by priority.

    Attributes:
        function: Its name.
        high: Waiting jobs of high priority.
        normal: Waiting jobs of normal priority.
        low: Waiting jobs of low priority.
        workers: Workers that can do it.

    """

    function: str
    high: int
    normal: int
    low: int
    workers: int


class FunctionWait(NamedTuple):
    """
    How long jobs of a function wait.

    Attributes:
        function: Its name.
        waiting: Jobs that stand in line.
        running: Jobs that a worker has.
        seconds: For how long the first in line has waited; 0 where none does.

    """

    function: str
    waiting: int
    running: int
    seconds: float


class ConnectedPeer(NamedTuple):
    """
    A connection to the server; of a worker where it has functions.

    Attributes:
        descriptor: Number of the connection in the server.
        address: IP address it comes from.
        client_id: What it calls itself; ``-`` where it has not said.
        functions: What it can do.

    """

    descriptor: int
    address: str
    client_id: str
    functions: list[str]


class ListedJob(NamedTuple):
    """
    A job the server has.

    Attributes:
        handle: The server's name of it.
        retries: How often it came back without a result.
        ignored: Whether nobody waits for it any more.
        queued: Whether it is kept by the queue store.

    """

    handle: str
    retries: int
    ignored: bool
    queued: bool


class ClusterMember(NamedTuple):
    """
    A server that shares its store with the one that was asked.

    Attributes:
        name: What it is called among the others.
        address: ``HOST:PORT`` at which they reach it; ``-`` for nowhere.
        number: What the store calls it; a server that joins again gets a new one.
        here: Whether it is the one that was asked.
        lease: Seconds until the others take over what it holds, should it be gone; 0 or less
            where that is about to happen, and for a server that shares its store with nobody.
        jobs: How many background jobs it holds.

    """

    name: str
    address: str
    number: int
    here: bool
    lease: float
    jobs: int


class DeadLetter(NamedTuple):
    """
    A job that the server gave up, and kept for a person.

    Attributes:
        handle: The server's name of it.
        number: Its number; later jobs have larger ones.
        function: Name of its function.
        unique: Its unique key, empty for none.
        attempts: How often it was tried.
        died: When it was given up, in whole seconds since 1970.
        reason: Why.

    """

    handle: str
    number: int
    function: str
    unique: str
    attempts: int
    died: int
    reason: str


class Command(Generic[Result]):
    """
    One text command.

    Args:
        line: The line, without its end.
        read: Makes a value of the reply's lines.
        is_list: Whether the reply is a list that ends with a dot, or one line.

    """

    def __init__(
        self, line: bytes, read: Callable[[list[bytes]], Result], is_list: bool = False
    ) -> None:
        self.line = line
        self.read = read
        self.is_list = is_list

    def request(self) -> bytes:
        """Return the bytes to send; gearmand drops a character where the CR is missing."""
        return self.line + b"\r\n"


class Conversation:
    """
    The text side of one connection: one command after the other.

    Attributes:
        fault: Why the server can no longer be understood, or None.

    """

    def __init__(self) -> None:
        self.reader = PacketReader(RESPONSE, max_line=_LONGEST_LINE)
        self.lines: list[bytes] = []
        self.fault: GeartrainError | None = None

    def start(self) -> None:
        """Get ready for the reply to the next command."""
        self.lines = []

    def receive_data(self, data: bytes, command: Command[Result]) -> bool:
        """Take what arrived; return whether the reply to ``command`` is complete."""
        for packet in self.reader.receive_data(data):
            if packet.type != TEXT:
                self.fault = ProtocolError("the server answers text with a binary packet")
                return True
            self.lines.append(packet.args[0])
        if self.reader.fault is not None:
            self.fault = self.reader.fault
            return True
        return bool(self.lines) and (
            not command.is_list or self.lines[-1] == _END or is_error(self.lines[0])
        )

    def result(self, command: Command[Result]) -> Result:
        """
        Return what a complete reply says.

        Raises:
            ServerError: The server answered ``ERR``.
            ProtocolError: The reply can't be understood.

        """
        if self.fault is not None:
            raise self.fault
        if is_error(self.lines[0]):
            raise read_error(self.lines[0])
        lines = self.lines[:-1] if command.is_list else self.lines
        try:
            return command.read(lines)
        except (ValueError, IndexError):
            name = text(command.line)
            raise ProtocolError(f"the reply to {name!r} can't be understood: {lines!r}") from None


def is_error(line: bytes) -> bool:
    """Return whether a line is an error; a row of a list may start with ERR, but has tabs."""
    return line.startswith(b"ERR ") and b"\t" not in line


def read_error(line: bytes) -> ServerError:
    """Return an ``ERR`` line as an exception; most have a code in capitals, some only words."""
    words = text(line).removeprefix("ERR ").replace("+", " ")
    code, _, rest = words.partition(" ")
    return ServerError(code, rest) if code.isupper() else ServerError("ERR", words)


def text(name: bytes) -> str:
    """Return bytes as text, with those that are no UTF-8 kept as surrogates."""
    return name.decode("utf-8", "surrogateescape")


def word(name: str | bytes, what: str) -> bytes:
    """Return a name as one word of a command, or raise `UsageError`."""
    raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    if not raw or any(byte <= 0x20 or byte == 0x7F for byte in raw):
        raise UsageError(f"{what} {name!r} can't be named in a text command: it is not one word")
    return raw


# Commands that list.


def read_status(lines: list[bytes]) -> list[FunctionStatus]:
    rows = [line.split(b"\t") for line in lines]
    return [FunctionStatus(text(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows]


def read_waits(lines: list[bytes]) -> list[FunctionWait]:
    rows = [line.split(b"\t") for line in lines]
    return [
        FunctionWait(
            text(row[0]), int(row[1]), int(row[2]), 0.0 if row[3] == b"-" else float(row[3])
        )
        for row in rows
    ]


def read_priority_status(lines: list[bytes]) -> list[PriorityStatus]:
    rows = [line.split(b"\t") for line in lines]
    return [
        PriorityStatus(text(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]))
        for row in rows
    ]


def read_workers(lines: list[bytes]) -> list[ConnectedPeer]:
    peers = []
    for line in lines:
        descriptor, address, rest = line.split(b" ", 2)
        # The client's own name may hold blanks; functions come after a lone colon.
        client_id, colon, functions = rest.partition(b" :")
        if not colon:
            raise ValueError
        names = [text(name) for name in functions.split(b" ") if name]
        peers.append(ConnectedPeer(int(descriptor), text(address), text(client_id), names))
    return peers


def read_jobs(lines: list[bytes]) -> list[ListedJob]:
    rows = [line.split(b"\t") for line in lines]
    return [ListedJob(text(row[0]), int(row[1]), row[2] != b"0", row[3] != b"0") for row in rows]


def read_members(lines: list[bytes]) -> list[ClusterMember]:
    rows = [line.split(b"\t") for line in lines]
    return [
        ClusterMember(
            *(text(row[0]), text(row[1]), int(row[2]), row[3] == b"here"),
            *(float(row[4]), int(row[5])),
        )
        for row in rows
    ]


def read_names(lines: list[bytes]) -> list[str]:
    return [text(line) for line in lines]


def read_dead_letters(lines: list[bytes]) -> list[DeadLetter]:
    rows = [line.split(b"\t") for line in lines]
    return [
        DeadLetter(
            text(row[0]),
            int(row[1]),
            text(row[2]),
            text(row[3]),
            int(row[4]),
            int(row[5]),
            text(row[6]),
        )
        for row in rows
    ]


def read_facts(lines: list[bytes]) -> dict[str, str]:
    rows = [line.split(b"\t", 1) for line in lines]
    return {text(row[0]): text(row[1]) for row in rows}


STATUS: Final = Command(b"status", read_status, is_list=True)
PRIORITY_STATUS: Final = Command(b"prioritystatus", read_priority_status, is_list=True)
WAITS: Final = Command(b"show waits", read_waits, is_list=True)
WORKERS: Final = Command(b"workers", read_workers, is_list=True)
SHOW_JOBS: Final = Command(b"show jobs", read_jobs, is_list=True)
CLUSTER: Final = Command(b"cluster", read_members, is_list=True)
SHOW_UNIQUE_JOBS: Final = Command(b"show unique jobs", read_names, is_list=True)

# Commands that answer with one line.


def read_ok(lines: list[bytes]) -> None:
    if not lines[0].startswith(b"OK"):
        raise ValueError


def read_word(lines: list[bytes]) -> str:
    # Old servers leave the OK out.
    return text(lines[0]).removeprefix("OK ")


def read_number(lines: list[bytes]) -> int:
    return int(read_word(lines))


VERSION: Final = Command(b"version", read_word)
GETPID: Final = Command(b"getpid", read_number)
VERBOSE: Final = Command(b"verbose", read_word)


def cancel_job(job: JobHandle | str | bytes) -> Command[None]:
    handle = job.handle if isinstance(job, JobHandle) else job
    return Command(b"cancel job " + word(handle, "handle"), read_ok)


def handle_of(job: JobHandle | str | bytes) -> bytes:
    return word(job.handle if isinstance(job, JobHandle) else job, "handle")


def dead_letters(after: int) -> Command[list[DeadLetter]]:
    return Command(b"show dead letters %d" % after, read_dead_letters, is_list=True)


def show_job(job: JobHandle | str | bytes) -> Command[dict[str, str]]:
    return Command(b"show job " + handle_of(job), read_facts, is_list=True)


def retry_job(job: JobHandle | str | bytes) -> Command[None]:
    return Command(b"retry job " + handle_of(job), read_ok)


def remove_job(job: JobHandle | str | bytes) -> Command[None]:
    return Command(b"remove job " + handle_of(job), read_ok)


def create_function(function: str | bytes) -> Command[None]:
    return Command(b"create function " + word(function, "function"), read_ok)


def drop_function(function: str | bytes) -> Command[None]:
    return Command(b"drop function " + word(function, "function"), read_ok)


def maxqueue(
    function: str | bytes, limit: int | tuple[int, int, int] | None = None
) -> Command[None]:
    limits = limit if isinstance(limit, tuple) else () if limit is None else (limit,)
    if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in limits):
        raise UsageError(f"limit {limit!r} is neither a number of jobs nor (high, normal, low)")
    if len(limits) not in (0, 1, 3):
        raise UsageError("give one limit, or three: high, normal, low")
    words = [b"maxqueue", word(function, "function"), *(b"%d" % one for one in limits)]
    return Command(b" ".join(words), read_ok)


def shutdown(graceful: bool) -> Command[None]:
    return Command(b"shutdown graceful" if graceful else b"shutdown", read_ok)


__all__ = [
    "CLUSTER",
    "GETPID",
    "PRIORITY_STATUS",
    "SHOW_JOBS",
    "SHOW_UNIQUE_JOBS",
    "STATUS",
    "VERBOSE",
    "VERSION",
    "WAITS",
    "WORKERS",
    "ClusterMember",
    "Command",
    "ConnectedPeer",
    "Conversation",
    "DeadLetter",
    "FunctionStatus",
    "FunctionWait",
    "ListedJob",
    "PriorityStatus",
    "cancel_job",
    "create_function",
    "dead_letters",
    "drop_function",
    "maxqueue",
    "remove_job",
    "retry_job",
    "show_job",
    "shutdown",
]
