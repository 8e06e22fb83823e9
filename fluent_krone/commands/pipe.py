"""`fluent-krone pipe`: the child process of `@type krone`."""

from __future__ import annotations

import argparse
import asyncio
import logging

from .. import __version__
from ..config import Config, from_flags
from ..errors import ProtocolError
from ..runtime.metrics import log_stats
from ..transport.pipe import PipeEndpoint, claim_standard_streams
from . import running
from .check_config import checked
from .parser import Commands

_log = logging.getLogger(__name__)


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "pipe",
        run,
        "used by `@type krone`: records and alerts over standard input and output",
        parameters_of="pipe",
    )
    command.add_argument(
        "--check",
        action="store_true",
        help="only say whether parameters and bundle are right, as Fluentd asks before it starts",
    )


def run(flags: argparse.Namespace) -> int:
    """Judge what comes over standard input until it ends."""
    if flags.check:
        print(f"ok: {checked(from_flags(flags, 'pipe'))}")
        return 0
    stdin, stdout = claim_standard_streams()
    config = from_flags(flags, "pipe")
    running.start_logging(config)
    endpoint = PipeEndpoint(
        stdin,
        stdout,
        version=__version__,
        max_frame_bytes=config.max_frame_size,
        max_inflated_bytes=config.max_inflated_size,
    )
    try:
        asyncio.run(_run_until_closed(endpoint, config))
    except ProtocolError as error:
        _log.error("the data from Fluentd is damaged reason=%s", error)
        return 1
    return 0


async def _run_until_closed(endpoint: PipeEndpoint, config: Config) -> None:
    service, watch = running.service_with_watch(config, endpoint)
    await endpoint.open()
    await service.start()
    background = [
        watch,
        asyncio.create_task(running.report(service.stats, endpoint.report)),
        *running.http_tasks(config, service, service.stats),
    ]
    doing = asyncio.create_task(endpoint.run(service))
    torn = asyncio.create_task(service.torn.wait())
    await asyncio.wait({doing, torn}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if doing.done():
            # Raises what ended the endpoint, if it did not end by itself.
            doing.result()
    finally:
        await running.cancel([doing, torn, *background])
        log_stats(service.stats())
        await service.close()
    running.fail_on_bug(service)
