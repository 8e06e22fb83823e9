"""`fluent-krone serve`: a Forward server that judges what it receives."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal

from ..config import Config, from_flags
from ..runtime.endpoints import alert_sink, forward_server
from ..runtime.metrics import log_stats
from ..runtime.notify import keep_alive, notify
from . import running
from .parser import Commands

_log = logging.getLogger(__name__)

# Exit code of a stop that left alerts without a confirmation. With a store they are sent after the
# next start; without one they are lost. A supervisor that starts `serve` again may accept it.
UNCONFIRMED = 3
# Seconds. Longer than this a stop does not wait for the receiver of alerts: service managers kill
# a process that takes longer, and with a store nothing is lost then.
_FLUSH_WITHIN_S = 30


def add(commands: Commands) -> None:
    """Declare the command."""
    commands.add(
        "serve",
        run,
        "receive records over the Forward protocol (Fluent Bit, a remote Fluentd)",
        parameters_of="serve",
    )


def run(flags: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code says whether all alerts were confirmed."""
    config = from_flags(flags, "serve")
    running.start_logging(config)
    if asyncio.run(_serve_until_stopped(config)):
        return UNCONFIRMED
    return 0


async def _serve_until_stopped(config: Config) -> int:
    """Returns how many alerts are left that no receiver has confirmed."""
    server = forward_server(config)
    service, watch = running.service_with_watch(config, alert_sink(config))

    def stats() -> dict[str, float]:
        return service.stats() | server.stats.numbers()

    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)

    await service.start()
    await server.start(service)
    where = f"bind={config.bind} port={server.port}"
    if config.unix_path:
        where = f"path={config.unix_path}"
    _log.info("listening %s bundle=%s", where, config.bundle)
    notify(f"READY=1\nSTATUS=listening {where}")
    background = [
        watch,
        asyncio.create_task(running.report(stats)),
        asyncio.create_task(keep_alive()),
        *running.http_tasks(config, service, stats),
    ]

    await running.first_of(stop, service.torn)
    notify("STOPPING=1")
    if not service.torn.is_set():
        _log.info("stopping on_shutdown=%s", config.on_shutdown)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(service.flush(), timeout=_FLUSH_WITHIN_S)
    await server.close()
    await running.cancel(background)
    log_stats(stats())
    await service.close()
    running.fail_on_bug(service)
    return service.unconfirmed
