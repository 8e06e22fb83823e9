"""Messages to systemd from a service of `Type=notify`; nothing happens under anything else.

systemd names a datagram socket in `NOTIFY_SOCKET` and reads lines of `NAME=value` from it (see
sd_notify(3)). This takes a few lines, so no library is needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)

# The watchdog is told this many times in the interval after which systemd would kill the service,
# so that one late message does no harm.
_SIGNS_OF_LIFE = 3
_MICROSECONDS = 1_000_000


def notify(message: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send `message`, such as `READY=1`, to the service manager if there is one.

    A message that can't be sent is logged and never stops the service.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        # An abstract socket, whose name begins with a zero byte.
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            # A service manager that does not read must not stop the event loop.
            out.setblocking(False)
            out.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("the service manager was not reached reason=%s", error)


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds after which systemd kills a silent service; None when it does not watch us.

    systemd sets WATCHDOG_PID, so that a child that inherits the environment does not answer for
    its parent.
    """
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0:
        return None
    return int(text) / _MICROSECONDS


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Tell the watchdog that the event loop turns, until cancelled."""
    interval_s = watchdog_interval_s(environment)
    if interval_s is None:
        return
    while True:
        notify("WATCHDOG=1", environment)
        await asyncio.sleep(interval_s / _SIGNS_OF_LIFE)
