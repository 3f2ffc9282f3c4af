"""
Sockets the server listens on: TCP, unix, or handed over by systemd.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Sequence

from geartrain.errors import UsageError

logger = logging.getLogger("geartrain.server")

DEFAULT_PORT = 4730
_FIRST_HANDED_OVER = 3
# Largest TCP segment, in bytes. It tells on the loopback interface only, whose segments hold 64
# KiB: there libgearman, which sends 32 KiB and waits, gets its acknowledgement 40 ms late each
# time, and an 8 MiB workload takes 5 s. With smaller segments it takes 0.3 s.
_SEGMENT_SIZE = 16 * 1024


def parse_listen(text: str) -> tuple[str, int]:
    """
    Return host and port of ``HOST:PORT``, ``[IPV6]:PORT``, ``HOST`` or ``:PORT``.

    An empty host or ``*`` stands for all addresses. Raises UsageError.
    """
    if not text:
        # Of an unset variable, say. All addresses have to be asked for.
        raise UsageError("an empty address; write HOST:PORT, or *:4730 for all addresses")
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError(f"{text!r} is no address; write IPv6 as [::1]:4730")
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"{port!r} in {text!r} is no port; write HOST:PORT, such as 0.0.0.0:4730")
    return ("" if host == "*" else host), int(port)


def open_listeners(addresses: Sequence[str], backlog: int) -> list[socket.socket]:
    """
    Bind a socket for each address, and take those that systemd hands over.

    They accept nothing until they are listened on. Raises UsageError where an
    address can't be used; nothing stays open then.
    """
    listeners = handed_over()
    if listeners:
        logger.debug("listening on %d sockets that were handed over", len(listeners))
        return listeners
    try:
        for text in addresses:
            if text.startswith("unix:"):
                listeners.append(bind_unix(text.removeprefix("unix:")))
            else:
                listeners += bind_tcp(text)
    except UsageError:
        for listener in listeners:
            close_listener(listener)
        raise
    return listeners


class UnixListener(socket.socket):
    """
    A unix socket that this process bound, and whose file it has to remove.

    Attributes:
        path: Where it is.
        identity: Device and inode of its file, which tell it from one that came later.

    """

    path = ""
    identity = (0, 0)


def close_listener(listener: socket.socket) -> None:
    """Close a listening socket; the file of a unix socket goes with it if it is our own."""
    if isinstance(listener, UnixListener):
        with contextlib.suppress(OSError):
            found = os.lstat(listener.path)
            if (found.st_dev, found.st_ino) == listener.identity:
                os.unlink(listener.path)
    listener.close()


def keep_listening(listener: socket.socket) -> int:
    """
    Return another descriptor of a listening socket, and leave its file when this one is closed.

    Who connects waits as long as one of the two is open.
    """
    if isinstance(listener, UnixListener):
        listener.identity = (0, 0)
    return os.dup(listener.fileno())


def close_kept(descriptor: int) -> None:
    """Close what `keep_listening` returned; the file of a unix socket goes with it."""
    with contextlib.suppress(OSError):
        listener = socket.socket(fileno=descriptor)
        with contextlib.suppress(OSError):
            listener = own(listener)
        close_listener(listener)


def own(listener: socket.socket) -> socket.socket:
    """Return a socket that was handed over as one that this process has to remove the file of."""
    if listener.family != socket.AF_UNIX or isinstance(listener, UnixListener):
        return listener
    path = os.path.abspath(os.fsdecode(listener.getsockname()))
    found = os.lstat(path)
    owned = UnixListener(fileno=listener.detach())
    owned.path = path
    owned.identity = (found.st_dev, found.st_ino)
    return owned


def handed_over() -> list[socket.socket]:
    """
    Return the sockets that systemd opened for this process (LISTEN_PID, LISTEN_FDS).

    Raises UsageError where what was handed over is no socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    # So that no child takes them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if not (count.isascii() and count.isdigit()):
        raise UsageError(f"LISTEN_FDS is {count!r}, not a number of sockets")
    sockets: list[socket.socket] = []
    for descriptor in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            sockets.append(socket.socket(fileno=descriptor))
        except OSError as error:
            for one in sockets:
                one.close()
            reason = error.strerror
            raise UsageError(
                f"descriptor {descriptor}, said to be handed over, is no socket: {reason}"
            ) from None
    return sockets


def bind_tcp(text: str) -> list[socket.socket]:
    """Bind every address that a host has; an empty host has IPv4's and IPv6's wildcard."""
    host, port = parse_listen(text)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise UsageError(f"can't listen on {text}: {error.strerror}; check the name") from None
    except ValueError:
        # Labels that are too long or hold what no name may hold.
        raise UsageError(f"can't listen on {text!r}: that is no name of a host") from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if port == 0 and sockets:
            # A free port was taken for the first address; the others get the same.
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            one = socket.socket(family, kind, protocol)
        except OSError:
            continue  # the machine has no IPv6
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_SIZE)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
        except OSError as error:
            one.close()
            if error.errno == errno.EADDRNOTAVAIL and family == socket.AF_INET6 and not host:
                continue  # IPv6 is switched off
            for other in sockets:
                other.close()
            raise UsageError(f"can't listen on {text}: {bind_problem(error)}") from None
        sockets.append(one)
    if not sockets:
        raise UsageError(f"can't listen on {text}: the machine has no such address")
    return sockets


def bind_problem(error: OSError) -> str:
    """Return why an address can't be bound, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the server that has it, or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "not permitted; ports below 1024 need root"
    return error.strerror or str(error)


def bind_unix(path: str) -> UnixListener:
    """Bind a unix socket; one that a dead server left is replaced, any other file is not."""
    if not path or "\0" in path:
        raise UsageError("unix: needs a path, such as unix:/run/geartrain.sock")
    one = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise UsageError(f"can't listen on unix:{path}: there is a file of that name")
            if not is_left_behind(path):
                raise UsageError(f"can't listen on unix:{path}: another program has it")
            os.unlink(path)
        one.bind(path)
        one.path = os.path.abspath(path)
        found = os.lstat(path)
        one.identity = (found.st_dev, found.st_ino)
        os.chmod(path, 0o660)
    except OSError as error:
        one.close()
        reason = error.strerror or str(error)
        raise UsageError(f"can't listen on unix:{path}: {reason}") from None
    except UsageError:
        one.close()
        raise
    return one


def is_left_behind(path: str) -> bool:
    """Return whether a unix socket is certain to have nobody behind it any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A server that is too busy to accept would make a blocking probe wait.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            # Too busy, not for us to ask, or of another kind: somebody's.
            return False
        return False


def is_beyond_loopback(listener: socket.socket) -> bool:
    """Return whether other machines may reach the socket."""
    if listener.family == socket.AF_UNIX:
        return False
    host = listener.getsockname()[0]
    return not (host.startswith("127.") or host == "::1")


def name_of(listener: socket.socket) -> str:
    """Return a listening socket's address as a person writes it."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(address)}".replace("\0", "@")
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
