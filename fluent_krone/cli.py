"""The command `fluent-krone`. Exit codes: 0 done, 1 a failure told in one line, 2 wrong usage."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import itertools
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .alerts.records import check_tag
from .commands.knowledge import add_commands as add_knowledge_commands
from .commands.replay import describe, replay, summary, write_alert
from .config import Config, add_flags, from_flags, suggestion
from .detect.bundle import load_bundle
from .errors import KroneError, ProtocolError
from .inputs import read_labels
from .page import render as page
from .runtime.doors import alert_sink, check_explainer, forward_server
from .runtime.metrics import Metrics
from .runtime.reload import BundleWatch
from .runtime.service import Service, log_stats, open_service, tune_gc
from .sink import Sink
from .transport.pipe import PipeDoor, claim_standard_streams

_log = logging.getLogger(__name__)
_STATS_INTERVAL_S = 10.0
_STATS_LOG_EVERY = 30  # reports to one log line


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal that lacks an arrow is no reason to stop
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["export"]:
        return _export(arguments[1:])
    parser = _parser()
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [f"--{name.replace('_', '-')}" for name in vars(flags)]
        parser.error(f"unknown argument {unknown[0]}{suggestion(unknown[0].split('=')[0], known)}")
    command: Callable[[argparse.Namespace], int] = flags.command
    try:
        code = command(flags)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `… | head` has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KroneError, OSError) as error:
        print(f"fluent-krone: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fluent-krone", description="Finds the executions that went wrong in a log stream."
    )
    parser.add_argument("--version", action="version", version=f"fluent-krone {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], int], summary: str, door: str | None = None
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.set_defaults(command=run)
        if door:
            add_flags(command, door)
        return command

    add(
        "serve",
        _serve,
        "take records over the Forward protocol (Fluent Bit, a remote Fluentd)",
        "serve",
    )
    add(
        "pipe",
        _pipe,
        "what `@type krone` starts: records and alerts over standard input and output",
        "pipe",
    )
    command = add(
        "replay", _replay, "judge a file of log events: parquet, csv, jsonl, text", "replay"
    )
    command.add_argument(
        "--input", required=True, metavar="FILE", type=Path, help="the events, in log order"
    )
    command.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="session, anomaly: adds precision, recall and F1",
    )
    command.add_argument("--alerts", metavar="OUT.jsonl", type=Path, help="write the alerts here")
    command.add_argument(
        "--all", action="store_true", help="score sessions that the bundle was fitted on too"
    )
    command.add_argument(
        "--json", action="store_true", help="print the summary as one line of JSON"
    )
    command.add_argument(
        "--input-tag", default="replay", metavar="TAG", help="tag of the events (default replay)"
    )
    command = add(
        "demo",
        _demo,
        "a simulated cluster with injected faults, found live over the Forward protocol",
    )
    command.add_argument(
        "--sessions", type=int, default=600, help="write pipelines to simulate (default 600)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the simulation (default 0)")
    command.add_argument("--alerts", metavar="OUT.jsonl", type=Path, help="write the alerts here")
    command.add_argument(
        "--json", action="store_true", help="print the summary as one line of JSON"
    )
    add(
        "check-config",
        _check_config,
        "validate parameters and the bundle, golden lines included",
        "serve",
    )
    add(
        "plugin-dir",
        _plugin_dir,
        'print where the Fluentd plugin lies: fluentd -p "$(fluent-krone plugin-dir)"',
    )
    command = add("report", _report_page, "alerts as a page that needs nothing but a browser")
    command.add_argument(
        "alerts", metavar="ALERTS.jsonl", type=Path, help="alerts, one JSON object a line"
    )
    command.add_argument(
        "-o", "--output", metavar="PAGE.html", type=Path, required=True, help="write the page here"
    )
    add_knowledge_commands(commands.add_parser)
    commands.add_parser(
        "export", help="fit a model bundle to a log file (see `fluent-krone export --help`)"
    )
    return parser


def _serve(flags: argparse.Namespace) -> int:
    config = from_flags(flags, "serve")
    _start_logging(config)
    asyncio.run(_serve_until_stopped(config))
    return 0


async def _serve_until_stopped(config: Config) -> None:
    server = forward_server(config)
    service, watch = _service(config, alert_sink(config))

    def stats() -> dict[str, float]:
        return service.stats() | server.stats.numbers()

    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await service.start()
    await server.start(service)
    where = (
        f"path={config.unix_path}" if config.unix_path else f"bind={config.bind} port={server.port}"
    )
    _log.info("listening %s bundle=%s", where, config.bundle)
    background = [watch, asyncio.create_task(_report(stats)), *_metrics(config, service, stats)]
    await _first_of(stop, service.torn)
    if not service.torn.is_set():
        _log.info("stopping on_shutdown=%s", config.on_shutdown)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(service.flush(), timeout=30)
    await server.close()
    await _cancel(background)
    log_stats(stats())
    await service.close()
    _fail_on_bug(service)


def _pipe(flags: argparse.Namespace) -> int:
    stdin, stdout = claim_standard_streams()
    config = from_flags(flags, "pipe")
    _start_logging(config)
    door = PipeDoor(
        stdin,
        stdout,
        version=__version__,
        max_frame_bytes=config.max_frame_size,
        max_inflated_bytes=config.max_inflated_size,
    )
    try:
        asyncio.run(_pipe_until_closed(door, config))
    except ProtocolError as error:
        _log.error("the pipe from Fluentd is garbled reason=%s", error)
        return 1
    return 0


async def _pipe_until_closed(door: PipeDoor, config: Config) -> None:
    service, watch = _service(config, door)
    await door.open()
    await service.start()
    reports = asyncio.create_task(_report(service.stats, door.report))
    background = [watch, reports, *_metrics(config, service, service.stats)]
    running = asyncio.create_task(door.run(service))
    torn = asyncio.create_task(service.torn.wait())
    await asyncio.wait({running, torn}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if running.done():
            running.result()
    finally:
        await _cancel([running, torn, *background])
        log_stats(service.stats())
        await service.close()
    _fail_on_bug(service)


def _fail_on_bug(service: Service) -> None:
    if service.has_bug:
        raise KroneError(
            "BUG: see the log above; what was not acked comes again, to the next process"
        )


def _service(config: Config, sink: Sink) -> tuple[Service, asyncio.Task[None]]:
    """A service, and the task that gives it a new bundle on SIGHUP or when the bundle's files change."""
    bundle = load_bundle(config.bundle)
    service = open_service(bundle, sink, config)
    tune_gc()
    watch = BundleWatch(config.bundle, bundle, service.reload, config.reload_interval)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watch.ask)
    return service, asyncio.create_task(watch.run())


def _metrics(
    config: Config, service: Service, stats: Callable[[], dict[str, float]]
) -> list[asyncio.Task[None]]:
    if not config.metrics:
        return []
    metrics = Metrics(
        config.metrics_bind,
        config.metrics_port,
        stats=stats,
        histograms=service.histograms,
        troubles=service.troubles,
    )
    return [asyncio.create_task(metrics.run())]


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _report(
    stats: Callable[[], dict[str, float]],
    show: Callable[[dict[str, float]], None] = lambda stats: None,
) -> None:
    for number in itertools.count(1):
        await asyncio.sleep(_STATS_INTERVAL_S)
        show(stats())
        if number % _STATS_LOG_EVERY == 0:
            log_stats(stats())


def _replay(flags: argparse.Namespace) -> int:
    config = from_flags(flags, "replay")
    _start_logging(config)
    bundle = load_bundle(config.bundle)
    labels = read_labels(flags.labels) if flags.labels else None
    with contextlib.ExitStack() as stack:
        options = {}
        if flags.alerts:
            file = stack.enter_context(flags.alerts.open("w", encoding="utf-8"))
            options["on_alert"] = write_alert(file)
        outcome = replay(
            bundle, config, flags.input, tag=flags.input_tag, progress=sys.stderr, **options
        )
    result = summary(outcome, bundle, labels, keep_fitted=flags.all)
    print(json.dumps(result) if flags.json else describe(result, bundle))
    return 0


def _demo(flags: argparse.Namespace) -> int:
    demo = importlib.import_module(".demo.live", __package__)
    return int(
        demo.run(sessions=flags.sessions, seed=flags.seed, alerts=flags.alerts, as_json=flags.json)
    )


def _check_config(flags: argparse.Namespace) -> int:
    config = from_flags(flags, "serve")
    check_tag(config)
    forward_server(config)
    alert_sink(config)
    check_explainer(config)
    bundle = load_bundle(config.bundle)
    engine = bundle.engine(config)
    print(
        f"ok: bundle {bundle.name} ({bundle.hash}), {len(bundle.templates)} templates, "
        f"{len(bundle.golden)} golden runs hold, idle_timeout {engine.session_settings.idle_timeout:g} s"
    )
    return 0


def _report_page(flags: argparse.Namespace) -> int:
    return page.run(flags.alerts, flags.output)


def _plugin_dir(flags: argparse.Namespace) -> int:
    print(Path(__file__).parent / "fluentd")
    return 0


def _export(arguments: list[str]) -> int:
    """The offline export lies beside the package in a checkout, and inside it when installed."""
    try:
        command = importlib.import_module("fluent_krone.export.cli")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("fluent_krone.export"):
            raise
        sys.path.insert(0, str(Path(__file__).parent.parent))
        command = importlib.import_module("export.cli")
    return int(command.main(arguments, prog="fluent-krone export"))


def _start_logging(config: Config) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=config.log_level.upper().replace("WARN", "WARNING"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
