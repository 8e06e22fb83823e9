"""Sockets to listen on, TCP and Unix, and what the kernel has to be asked for."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

# Connections that the kernel keeps until we accept them. A restart of many clients at once fits in.
_BACKLOG = 256
# Whether the kernel can be asked to ack at once; only Linux can.
_HAS_QUICK_ACK = hasattr(socket, "TCP_QUICKACK")


def listen_on(host: str, port: int) -> socket.socket:
    """Listen on an address; `::` takes IPv4 clients too. Raises OSError."""
    try:
        if ":" not in host:
            return socket.create_server((host, port), backlog=_BACKLOG)
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        # Python adds the address once more, in its own form.
        why = str(error.strerror or error).partition(" (while")[0]
        if error.errno == errno.EADDRINUSE:
            why += "; set another port, or stop what listens there"
        raise OSError(error.errno, f"cannot listen on bind={host} port={port}: {why}") from None


def listen_at(path: Path, permissions: int) -> socket.socket:
    """Listen on a Unix socket that has its permissions from the first moment. Raises OSError.

    The socket file that a dead server left behind is replaced; that of a live one is not.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~permissions)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_served(path):
            path.unlink()
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"unix socket {path}: {error.strerror or error}") from None
    finally:
        os.umask(umask)
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def quick_ack(sock: socket.socket) -> None:
    """Have the kernel ack at once what was read. It forgets the request, so call this after a read.

    Fluentd writes a chunk in pieces under Nagle's algorithm, and each piece would wait 40 ms for
    our delayed TCP ack. Our own small writes do not wait: asyncio sets TCP_NODELAY.
    """
    if not _HAS_QUICK_ACK or sock.family == socket.AF_UNIX:
        return
    # Not by `contextlib.suppress`, which would cost as much as the call: this follows each read.
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    except OSError:
        return
