"""`fluent-krone demo`: a simulated cluster's log through the real Forward server, and what came
of it.

The shipped bundle `demo` was fitted to simulated normal sessions (`export/simulated.py`); here
come others, some with a fault whose place is known. What is printed as truth beside each alert is
the simulator's knowledge; the detector never sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from ..alerts.records import AlertMaker
from ..commands.replay import write_alert
from ..config import Config
from ..core.hierarchy import step_name
from ..detect.bundle import Bundle, load_bundle
from ..errors import ConfigError, ProtocolError
from ..runtime.service import Service
from ..transport.forward import ack_bytes, encode_events
from ..transport.server import ForwardServer, ServerSettings
from ..types import Alert, Packed
from .simulator import SimulatedSession, simulate, stream, with_moments
from .tally import OF_SESSIONS, Tally

_TAG = "cluster.storage"
# Events in a chunk, about what Fluentd sends for a busy log with `flush_interval 1`.
_CHUNK_EVENTS = 250
# Columns: text is never narrower, and no wider than what is comfortable to read.
_NARROWEST = 72
_WIDEST = 110
# The column at which the truth stands beside an alert that takes one line.
_TRUTH_COLUMN = 58
# Alerts that are shown in one line each; later ones are only counted.
_MOST_LINES = 35
# Missed sessions that are listed; further ones are only counted.
_MOST_MISSED = 15
# outcome → mark, colour, meaning
_MARKS = {
    "step": ("✓", "32", "to the step"),
    "seq": ("~", "33", "within the Seq it names"),
    "elsewhere": ("-", "33", "elsewhere in the session"),
    "false": ("✗", "31", "false alarm"),
    "new": ("+", "36", "new line"),
    "stream": ("✓", "36", "the stream as a whole"),
}
_COLUMNS = {
    "injected": "injected",
    "found": "found",
    "in_seq": "in its Seq",
    "to_the_step": "to the step",
    "missed": "missed",
}

Show = Callable[[Alert], None]


def run(*, sessions: int, seed: int, alerts: Path | None, as_json: bool) -> int:
    """Simulate, send, print.

    Returns the exit code. With `as_json` one line of figures is all that is printed.
    """
    if sessions < 1:
        raise ConfigError(f"sessions must be at least 1, got {sessions}")
    started = time.perf_counter()
    live, moments = with_moments(simulate(sessions, seed), seed)
    tally = Tally({session.block: session for session in live}, moments)
    with contextlib.ExitStack() as stack:
        shows: list[Show] = []
        if alerts is not None:
            shows.append(write_alert(stack.enter_context(alerts.open("w", encoding="utf-8"))))
        screen = None
        if not as_json:
            screen = _Screen(sys.stdout, tally)
            shows.append(screen.alert)
            screen.opening()
        asyncio.run(_serve_and_send(load_bundle("demo"), live, tally, shows))
    seconds = time.perf_counter() - started
    if screen:
        screen.closing(seconds)
    else:
        print(json.dumps({"seed": seed, **tally.figures(), "seconds": round(seconds, 2)}))
    return 0


async def _serve_and_send(
    bundle: Bundle, live: Sequence[SimulatedSession], tally: Tally, shows: Sequence[Show]
) -> None:
    """Serve as `fluent-krone serve` does, and be the client too.

    Alerts are shown as they come in.
    """
    # Each session is compared with what the simulator knows of it, so each is sent.
    # Lines that are new are faults here, and no deploy comes.
    config = Config(on_shutdown="judge", alerts="session", change_settle=0.0)
    arrived = _Arrived()
    service = Service(bundle.engine(config), AlertMaker(bundle, config), arrived, config)
    server = ForwardServer(ServerSettings(port=0))
    await service.start()
    try:
        await server.start(service)
        async for _ in _send(server.port, stream(live)):
            _show(arrived, tally, shows)
        await service.flush()
        _show(arrived, tally, shows)
    finally:
        await server.close()
        await service.close()


async def _send(port: int, events: Sequence[tuple[int, Mapping[str, Any]]]) -> AsyncIterator[None]:
    """Send events in chunks as Fluentd would, each with an id whose ack is awaited.

    Yields after every ack.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for start in range(0, len(events), _CHUNK_EVENTS):
            chunk_id = f"demo-{start}"
            writer.write(encode_events(_TAG, events[start : start + _CHUNK_EVENTS], chunk_id))
            await writer.drain()
            ack = ack_bytes(chunk_id)
            if await reader.readexactly(len(ack)) != ack:
                raise ProtocolError("BUG: the ack of another chunk")
            yield
    finally:
        writer.close()


def _show(arrived: _Arrived, tally: Tally, shows: Sequence[Show]) -> None:
    for alert in arrived.take():
        tally.count(alert)
        for show in shows:
            show(alert)


class _Arrived:
    """A sink that only keeps alerts.

    Printing within the service's own task would hide a closed standard output.
    """

    def __init__(self) -> None:
        self._alerts: list[Alert] = []

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self._alerts += alerts

    async def deliver_packed(self, packed: Packed) -> None:
        """Nothing is kept in the demo."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def take(self) -> list[Alert]:
        alerts = self._alerts
        self._alerts = []
        return alerts


class _Screen:
    """What a person reads.

    The first alert of each sort comes in full, later ones in a line each.
    """

    def __init__(self, out: TextIO, tally: Tally) -> None:
        self._out = out
        self._tally = tally
        # Sorts of alerts, by kind and level: the first of each is shown in full.
        self._shown: set[tuple[str, str]] = set()
        self._in_lines = 0
        # Whether the next line starts a new paragraph.
        self._apart = True
        self._width = min(max(shutil.get_terminal_size((100, 24)).columns, _NARROWEST), _WIDEST)
        self._colours = (
            out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def opening(self) -> None:
        figures = self._tally.figures()
        self._print(
            self._paint("1", "A storage cluster that exists only here, watched by fluent-krone.")
        )
        self._wrapped(
            f"{figures['sessions']:,} sessions, one per block, write {figures['events']:,} "
            f"interleaved log lines; {figures['injected']:,} of them go wrong. The lines go "
            "over the Forward protocol to a server on 127.0.0.1 that has learnt from other, normal "
            "sessions (models/demo). Its alerts follow, each beside the truth, which only the "
            "simulator knows:"
        )
        self._print(
            "   ".join(
                f"{self._paint(colour, mark)} {meaning}"
                for mark, colour, meaning in _MARKS.values()
            )
        )

    def alert(self, alert: Alert) -> None:
        record = alert.record
        sort = (record["kind"], record["level"])
        if sort not in self._shown:
            self._shown.add(sort)
            self._in_full(alert)
            return
        self._in_lines += 1
        if self._in_lines <= _MOST_LINES:
            self._in_a_line(record)
        elif self._in_lines == _MOST_LINES + 1:
            self._print("… and more (--alerts FILE has them all)")

    def closing(self, seconds: float) -> None:
        figures = self._tally.figures()
        self._table(figures)
        if (share := figures["mean_seq_share"]) is not None:
            self._wrapped(
                f"In its Seq: the Seq that the alert names (on average {100 * share:.0f} % of the "
                "session) holds the fault. To the step: the event that it "
                "calls odd is the fault's, or next to it."
            )
        normal = figures["normal"]
        false = figures["false_alarms"]
        rate = ""
        if normal:
            rate = f" ({100 * false / normal:.1f} %)"
        self._print(f"False alarms: {false:,} of {normal:,} normal sessions{rate}.")
        self._missed(self._tally.missed())
        self._print(
            f"\n{seconds:.1f} s. To learn from a log of your own: fluent-krone export --help"
        )

    def _in_full(self, alert: Alert) -> None:
        record = alert.record
        mark, colour, meaning = self._mark(record)
        what = meaning
        if record["kind"] in OF_SESSIONS:
            what = _arrows(record)
        about = record["session"][0]
        self._print(f"\n{self._paint(colour, mark)} {self._paint('1', f'{about}  {what}')}")
        self._wrapped(record["explanation"], indent=4)
        for odd, line in self._lines(alert):
            if odd:
                self._print(self._paint("1", self._cut(f"    ▸ {line}")))
            else:
                self._print(self._paint("2", self._cut(f"      {line}")))
        self._print(f"    truth: {self._truth(record)}")
        self._apart = True

    def _in_a_line(self, record: Mapping[str, Any]) -> None:
        mark, colour, meaning = self._mark(record)
        if record["kind"] not in OF_SESSIONS:
            text = f"{meaning:<16}  {record['explanation']}"
        else:
            alarm = f"{record['session'][0]}  {_arrows(record)}"
            text = f"{alarm:<{_TRUTH_COLUMN}}  {self._truth(record)}"
        if self._apart:
            self._print()
        self._apart = False
        self._print(f"{self._paint(colour, mark)} {self._cut(text, 2)}")

    def _truth(self, record: Mapping[str, Any]) -> str:
        if record["kind"] == "flow":
            moment = self._tally.moment_of(_ns_of(record["ended_at"]))
            return "nothing has happened" if moment is None else moment.what
        return _truth_of(self._tally.sessions[record["session"][0]])

    def _mark(self, record: Mapping[str, Any]) -> tuple[str, str, str]:
        block = record["session"][0]
        if record["kind"] == "flow":
            if self._tally.moment_of(_ns_of(record["ended_at"])) is None:
                return _MARKS["false"]
            return _MARKS["stream"]
        if record["kind"] == "unseen_template":
            return _MARKS["new"]
        if self._tally.sessions[block].fault is None:
            return _MARKS["false"]
        if self._tally.is_to_the_step(block):
            return _MARKS["step"]
        if self._tally.is_in_seq(block):
            return _MARKS["seq"]
        return _MARKS["elsewhere"]

    def _lines(self, alert: Alert) -> list[tuple[bool, str]]:
        """The alert's lines, each with whether it is the odd one."""
        lines = alert.record["lines"]
        if alert.record["kind"] == "flow":
            return []
        session = self._tally.sessions[alert.record["session"][0]]
        odd = None
        if alert.record["kind"] != "unseen_template":
            odd = alert.record["seq"]["event"]
        texts = [session.text(event) for event in range(len(session.events))]
        starts = (at for at in range(len(texts)) if texts[at : at + len(lines)] == lines)
        first = next((at for at in starts if odd is not None and at <= odd < at + len(lines)), None)
        return [(first is not None and first + i == odd, line) for i, line in enumerate(lines)]

    def _table(self, figures: Mapping[str, Any]) -> None:
        heads = "".join(f"{head:>13}" for head in _COLUMNS.values())
        self._print("\n" + self._paint("1", f"{'fault':<18}{heads}"))
        for kind, row in [*figures["kinds"].items(), ("all", figures)]:
            text = f"{kind:<18}" + "".join(f"{row[name] or '·':>13}" for name in _COLUMNS)
            if kind == "all":
                text = self._paint("1", text)
            self._print(text)

    def _missed(self, sessions: Sequence[SimulatedSession]) -> None:
        if sessions:
            self._print("Missed:")
        for session in sessions[:_MOST_MISSED]:
            self._print(
                self._cut(f"  {session.block}  {_truth_of(session)}: {session.steps_touched}")
            )
        if len(sessions) > _MOST_MISSED:
            self._print(f"  … and {len(sessions) - _MOST_MISSED} more")

    def _wrapped(self, text: str, indent: int = 0) -> None:
        self._print(
            textwrap.fill(
                text, self._width, initial_indent=" " * indent, subsequent_indent=" " * indent
            )
        )

    def _cut(self, text: str, taken: int = 0) -> str:
        room = self._width - taken
        if len(text) <= room:
            return text
        return text[: room - 1] + "…"

    def _paint(self, colour: str, text: str) -> str:
        if not self._colours:
            return text
        return f"\x1b[{colour}m{text}\x1b[0m"

    def _print(self, text: str = "") -> None:
        print(text, file=self._out)


def _arrows(record: Mapping[str, Any]) -> str:
    return step_name(record["entity"], record["action"], record["status"], left_open="?")


def _ns_of(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e9)


def _truth_of(session: SimulatedSession) -> str:
    fault = session.fault
    if fault is None:
        return "nothing is wrong"
    return f"{fault.kind}, {fault.where} of {len(session.moves)}"
