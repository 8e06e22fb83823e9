"""An instance from its start to its stop: what the commands `kafka` and `kafka-key` share."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..config import Config
from ..detect.bundle import Bundle, bundle_files, load_bundle
from ..errors import ConfigError, KroneError
from ..runtime.http import HttpServer
from ..runtime.metrics import Metrics, log_stats
from ..runtime.notify import notify
from ..runtime.wiring import log_blind_spots, tune_gc
from ..timing import Histogram
from .clients import Clients, ensure_judged, ensure_keyed
from .consumer import ConsumerLoop
from .judging import Judging
from .keying import Keying
from .work import InstanceWork

_log = logging.getLogger(__name__)

# Seconds between two log lines with all counters, and between two readings for metrics.
_STATS_S = 300.0
_FIGURES_S = 1.0
# Seconds after which a reading is too old: the loop has not turned since.
_OLD_S = 60.0


def judge(config: Config) -> None:
    """Judge a topic until the process is told to stop."""
    bundle = load_bundle(config.bundle)
    errors: list[Any] = []
    clients = Clients(config, errors.append)
    ensure_judged(clients, config)
    judging = Judging(bundle, config, clients)
    judging.load()
    log_blind_spots(bundle, config)
    tune_gc()
    new_bundles = NewBundles(config, judging)
    signal.signal(signal.SIGHUP, lambda *_: new_bundles.ask())
    _run(config, clients, judging, errors, new_bundles.look)


def give_keys(config: Config) -> None:
    """Write a topic's messages to another one with keys, until the process is told to stop."""
    if not config.output_topic:
        raise ConfigError("output_topic must be given: the topic for keyed messages")
    if config.output_topic == config.topic:
        raise ConfigError("output_topic is the topic that is read: its messages would come back in")
    if config.record_format == "otlp_json":
        raise ConfigError(
            "record_format otlp_json has several records in a message, which can't have one key: "
            "set partition_logs_by_trace_id in the collector instead"
        )
    bundle = load_bundle(config.bundle)
    errors: list[Any] = []
    clients = Clients(config, errors.append)
    ensure_keyed(clients, config)
    tune_gc()
    _run(config, clients, Keying(bundle, config, clients), errors, lambda: None)


def _run(
    config: Config,
    clients: Clients,
    work: InstanceWork,
    errors: list[Any],
    look: Callable[[], None],
) -> None:
    """Run the loop; `look` is called after each turn, `errors` holds what connections reported."""
    loop = ConsumerLoop(config, clients, work)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: loop.stop())
    metrics = MetricsServer(config, loop)
    renewed_at = 0.0
    logged_at = time.monotonic()

    def each_turn() -> None:
        nonlocal renewed_at, logged_at
        while errors:
            loop.on_error(errors.pop())
        look()
        now = time.monotonic()
        if config.metrics and now - renewed_at >= _FIGURES_S:
            renewed_at = now
            metrics.renew()
        if now - logged_at >= _STATS_S:
            logged_at = now
            log_stats(loop.stats())

    _log.info("joining group=%s topic=%s bundle=%s", config.group, config.topic, config.bundle)
    notify("READY=1")
    loop.run(each_turn)
    notify("STOPPING=1")
    log_stats(loop.stats())
    _end()


def _end() -> None:
    """End the process at once: everything is committed, and the group was left.

    Clients whose broker was restarted meanwhile may take minutes to be taken down in order, and
    there is nothing left in them.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class MetricsServer:
    """Shows figures and health of a loop: a thread answers with the last reading of them.

    The main loop is synchronous, so the HTTP server has an event loop of its own, in a thread. It
    never looks at the loop: the loop hands it figures that do not change any more. A loop that
    hangs shows as a reading that is too old. With `metrics` off nothing is served.
    """

    def __init__(self, config: Config, loop: ConsumerLoop) -> None:
        self._loop = loop
        self._stats: Mapping[str, float] = {}
        self._histograms: Mapping[str, Histogram] = {}
        self._troubles: list[str] = ["starting"]
        self._read_at = time.monotonic()
        if config.metrics:
            metrics = Metrics(
                stats=lambda: self._stats,
                histograms=lambda: self._histograms,
                troubles=self._all_troubles,
            )
            server = HttpServer(config.metrics_bind, config.metrics_port, metrics.answer)
            threading.Thread(
                target=asyncio.run, args=(server.run(_log_place),), daemon=True, name="metrics"
            ).start()

    def renew(self) -> None:
        """Read the figures; called by the main loop."""
        self._stats = self._loop.stats()
        self._histograms = copy.deepcopy(self._loop.timings)
        self._troubles = self._loop.troubles()
        self._read_at = time.monotonic()

    def _all_troubles(self) -> list[str]:
        age_s = time.monotonic() - self._read_at
        if age_s <= _OLD_S:
            return self._troubles
        return [f"the loop has not turned for {age_s:.0f} s", *self._troubles]


def _log_place(host: str, port: int) -> None:
    _log.info("metrics at http://%s:%d/metrics", host, port)


class NewBundles:
    """Looks for a bundle that differs from the one in use; the main loop calls `look` often.

    Where a hash was announced to the group (`kafka-share --announce`), an instance changes only to
    that bundle. So it can be copied to all machines first, and then take over everywhere at once.
    """

    def __init__(self, config: Config, judging: Judging) -> None:
        self._name = config.bundle
        self._interval_s = config.reload_interval
        self._judging = judging
        self._seen = bundle_files(self._name)
        self._loaded = self._seen
        # A bundle that is here, and waits until it is announced.
        self._waiting: Bundle | None = None
        self._looked_at = time.monotonic()
        self._is_asked = False

    def ask(self) -> None:
        """Look now: what SIGHUP does."""
        self._is_asked = True

    def look(self) -> None:
        """Change the bundle if that is due. Loading takes a second, in which nothing is fed."""
        is_due = self._interval_s > 0 and time.monotonic() - self._looked_at >= self._interval_s
        if not (is_due or self._is_asked):
            return
        self._looked_at = time.monotonic()
        found = bundle_files(self._name)
        # Files that still change are half a copy.
        if self._is_asked or (found != self._loaded and found == self._seen):
            self._is_asked = False
            self._loaded = found
            self._load()
        self._seen = found
        if self._waiting is not None and self._judging.may_use(self._waiting):
            self._change_to(self._waiting)

    def _load(self) -> None:
        try:
            bundle = load_bundle(self._name)
        except KroneError as error:
            _log.error("new bundle can't be used, the old one stays in use reason=%s", error)
            return
        self._waiting = None
        if bundle.hash == self._judging.bundle.hash:
            _log.info("bundle is unchanged bundle=%s hash=%s", self._name, bundle.hash)
            return
        self._waiting = bundle
        if not self._judging.may_use(bundle):
            _log.warning("new bundle waits until it is announced hash=%s", bundle.hash)

    def _change_to(self, bundle: Bundle) -> None:
        self._waiting = None
        try:
            self._judging.change_to(bundle)
        except KroneError as error:
            _log.error("new bundle can't be used, the old one stays in use reason=%s", error)
            return
        tune_gc()
        _log.info("new bundle in use bundle=%s hash=%s", self._name, bundle.hash)
