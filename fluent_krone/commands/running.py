"""What `serve` and `pipe` have in common: a service with its bundle watch, metrics and reports."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..config import Config
from ..console.console import PREFIX, LivePage
from ..detect.bundle import Bundle, bundle_files, load_bundle
from ..errors import KroneError
from ..learning.bundles import blank_bundle
from ..learning.learning import Learning, open_learning
from ..learning.refit import Refitting, open_refitting
from ..runtime.http import HttpServer, Request, Response
from ..runtime.metrics import Metrics, log_stats
from ..runtime.service import Service
from ..runtime.wiring import is_taken_over, log_blind_spots, open_service, tune_gc
from ..sink import Sink

_log = logging.getLogger(__name__)

Stats = Callable[[], dict[str, float]]

# Seconds between two reports of the counters to Fluentd, whose own statistics repeat them.
_STATS_INTERVAL_S = 10.0
# One report in this many also goes to the log: one line in five minutes.
_STATS_LOG_EVERY = 30


def start_logging(config: Config) -> None:
    """Write log lines to standard error; standard output is data."""
    logging.basicConfig(
        stream=sys.stderr,
        level=config.log_level.upper().replace("WARN", "WARNING"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def service_with_watch(config: Config, sink: Sink) -> tuple[Service, asyncio.Task[None]]:
    """A service, and the task that gives it a new bundle on SIGHUP or when the bundle changes.

    Where there is no bundle yet, the service learns one first.
    """
    learning = open_learning(config)
    if learning is not None and is_taken_over(learning, config):
        learning.end()
        learning.folder.release()
        learning = None
    refitting = None
    if learning is None:
        bundle = load_bundle(config.bundle)
        refitting = open_refitting(config)
        service = open_service(bundle, sink, config)
    else:
        service = open_service(blank_bundle(), sink, config, learning=learning)
    # Without a handler the signal would end the process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)
    return service, asyncio.create_task(_live(config, service, learning, refitting))


async def _live(
    config: Config, service: Service, learning: Learning | None, refitting: Refitting | None
) -> None:
    """Watch the bundle from the moment on at which it is in use, and have the next ones fitted."""
    bundle = await service.bundle()
    log_blind_spots(bundle, config)
    tune_gc()
    watch = BundleWatch(config.bundle, bundle, service.reload, config.reload_interval)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watch.ask)
    if learning is not None:
        refitting = open_refitting(config, learning.folder)
    if refitting is None:
        await watch.run()
        return
    service.refit_by(refitting)
    await asyncio.gather(watch.run(), refitting.run(watch.ask))


class BundleWatch:
    """Loads `name` again when asked or when its files have changed, and hands it to `reload`.

    A bundle that can't be loaded is reported, and the one at work stays. Changed files are loaded
    only once they have stayed the same between two looks: a bundle is copied file by file, and half
    a copy must not be loaded. `interval_s` 0 loads only when asked.
    """

    def __init__(
        self,
        name: str,
        loaded: Bundle,
        reload: Callable[[Bundle], Awaitable[None]],
        interval_s: float,
    ) -> None:
        self._name = name
        self._hash = loaded.hash
        self._reload = reload
        self._interval_s = interval_s
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Look now: what SIGHUP does."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        loaded = last = bundle_files(self._name)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval_s or None)
            found = bundle_files(self._name)
            is_settled_change = found != loaded and found == last
            if self._asked.is_set() or is_settled_change:
                self._asked.clear()
                loaded = found
                await self._load()
            last = found

    async def _load(self) -> None:
        try:
            # In a thread, because records come in meanwhile.
            bundle = await asyncio.to_thread(load_bundle, self._name)
            if bundle.hash == self._hash:
                _log.info("bundle is unchanged bundle=%s hash=%s", self._name, bundle.hash)
                return
            await self._reload(bundle)
        except KroneError as error:
            _log.error(
                "new bundle can't be used, the old one stays in use hash=%s reason=%s",
                self._hash,
                error,
            )
            return
        self._hash = bundle.hash
        tune_gc()
        _log.info("new bundle in use bundle=%s hash=%s", self._name, bundle.hash)


def http_tasks(config: Config, service: Service, stats: Stats) -> list[asyncio.Task[None]]:
    """The tasks that serve metrics, health and the live page, where they are switched on."""
    if not (config.metrics or config.console):
        return []
    live: LivePage | None = None
    if config.console:
        live = LivePage(config, service, stats)

    def all_stats() -> dict[str, float]:
        if live is None:
            return stats()
        return stats() | live.numbers()

    metrics = Metrics(
        stats=all_stats,
        histograms=service.histograms,
        troubles=service.troubles,
        notes=service.notes,
    )

    async def answer(request: Request) -> Response:
        if live is not None and request.path in ("/", PREFIX.rstrip("/")):
            # Relative, as a proxy may serve all of this below a path of its own.
            page = PREFIX.removeprefix("/")
            return Response(
                302, f"the live page is at {page}\n".encode(), headers=(("Location", page),)
            )
        if live is not None and request.path.startswith(PREFIX):
            return await live.answer(request)
        return await metrics.answer(request)

    def listens(host: str, port: int) -> None:
        _log.info("metrics at http://%s:%d/metrics", host, port)
        if live is not None:
            _log.info("live page at %s", live.address(host, port))

    server = HttpServer(config.metrics_bind, config.metrics_port, answer)
    tasks = [asyncio.create_task(server.run(listens))]
    if live is not None:
        tasks.append(asyncio.create_task(live.run()))
    return tasks


async def report(stats: Stats, show: Callable[[dict[str, float]], None] | None = None) -> None:
    """Show the counters at each interval, and log them now and then, until cancelled."""
    for number in itertools.count(1):
        await asyncio.sleep(_STATS_INTERVAL_S)
        if show is not None:
            show(stats())
        if number % _STATS_LOG_EVERY == 0:
            log_stats(stats())


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def fail_on_bug(service: Service) -> None:
    """Raise KroneError if a bug stopped the service, so that the command exits with 1."""
    if service.has_bug:
        raise KroneError(
            "BUG: see the log above; records that were not acknowledged are sent again "
            "to the next process"
        )
