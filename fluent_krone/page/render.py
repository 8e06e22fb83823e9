"""`fluent-krone report`: alerts as one self-contained HTML page to search and to read.

Whatever an alert says may have been written by an attacker. In the page it is JSON without a `<`,
it reaches the screen only as text, and the page's policy runs no script but the page's own and
loads nothing.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import IO, Any, TypeGuard

from ..core.hierarchy import step_name
from ..core.listing import numbered
from ..core.matching import alike_runs
from ..errors import ConfigError, reason_of
from . import script, text_of

# Alerts of one page. Browsers become slow beyond that; of a larger file the last ones are shown.
MOST_ALERTS = 50_000
# Alerts listed for browsers without JavaScript, where nothing can be searched or folded.
_MOST_PLAIN = 200
# Fields that are mostly the same in alerts of one signature: the page has each distinct value once.
_SHARED = ("evidence", "explained", "seq", "steps")
# Events that are aligned for an alert of an older version. Today's alerts have at most 200; more
# would make a file of a stranger slow to read.
_MOST_ALIGNED = 400


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What a page holds.

    `repeats` are further copies of an alert in the file, `bad_lines` are lines without an alert,
    and `left_out` are the earlier alerts of a file with more than MOST_ALERTS.
    """

    alerts: int
    patterns: int
    repeats: int
    bad_lines: int
    left_out: int

    def __str__(self) -> str:
        words = [f"{numbered(self.alerts, 'alert')} with {numbered(self.patterns, 'signature')}"]
        if self.repeats:
            words.append(numbered(self.repeats, "repeat"))
        if self.left_out:
            words.append(f"{self.left_out:,} earlier left out")
        if self.bad_lines:
            words.append(f"{numbered(self.bad_lines, 'line')} set aside: no alert")
        return "; ".join(words)


def run(alerts: Path, out: Path) -> int:
    """Write the page and say so in one line; returns the exit code."""
    print(f"{out}: {write_page(alerts, out)}")
    return 0


def write_page(alerts: Path, out: Path) -> PageSummary:
    """Write the page of a file of alerts: JSON lines or Fluentd's `time tag json`, also gzipped.

    Raises ConfigError when the alerts cannot be read or the page cannot be written.
    """
    try:
        if out.exists() and out.samefile(alerts):
            raise ConfigError(f"{out}: the page would overwrite the alerts; give -o another name")
        with _open(alerts) as file:
            summary, page = render(file, alerts.name)
        if summary.bad_lines and not summary.alerts:
            raise ConfigError(
                f"{alerts}: no line of it is an alert: give what `replay --alerts` or Fluentd's "
                "out_file wrote"
            )
        out.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise ConfigError(f"report: {reason_of(error)}") from None
    except EOFError as error:
        raise ConfigError(f"report: {alerts}: {error}") from None
    return summary


def _open(path: Path) -> IO[str]:
    opener: Any = open
    if path.suffix == ".gz":
        opener = gzip.open
    file: IO[str] = opener(path, "rt", encoding="utf-8", errors="replace", newline="\n")
    return file


def render(lines: Iterator[str] | IO[str], source: str) -> tuple[PageSummary, str]:
    """What the page of these lines holds, and the page; `source` is the lines' name in the page."""
    found = _Alerts()
    for line in lines:
        found.add(line)
    kept, summary = found.kept()
    alerts = ",".join(alert.json for alert in kept)
    data = f'{{"alerts":[{alerts}],"shared":[{",".join(found.shared)}]}}'
    style = text_of("page.css")
    code = script("alert.js", "report.js")
    parts = {
        "policy": _policy(code, style),
        "style": style,
        "script": code,
        "title": escape(f"{numbered(summary.alerts, 'alert')} · {source}"),
        "about": escape(f"{summary}, from {source}"),
        "plain": _plain_list(kept),
        "data": data,
    }
    return summary, re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], text_of("page.html"))


@dataclass(frozen=True, slots=True)
class _Alert:
    ended_at: str
    pattern: str
    json: str  # as the page's script reads it
    plain: str  # as HTML, for no script


class _Alerts:
    """Collects alerts; of those with one id the last one is kept."""

    def __init__(self) -> None:
        self.shared: dict[str, int] = {}  # JSON → its number
        self._alerts: dict[str, _Alert] = {}
        self._repeats = 0
        self._bad_lines = 0

    def add(self, line: str) -> None:
        """Take in the alert of a line. A line without an alert is counted, an empty line is not."""
        if not line.strip():
            return
        body = line
        if not line.startswith("{"):
            body = line.split("\t", 2)[-1]
        try:
            # A score may be NaN, which no browser reads as JSON: it becomes a string.
            self._take(json.loads(body, parse_constant=str))
        except (ValueError, TypeError, KeyError, RecursionError):
            self._bad_lines += 1

    def _take(self, record: dict[str, Any]) -> None:
        alert_id = record["alert_id"]
        if not isinstance(alert_id, str) or not isinstance(record["kind"], str):
            raise TypeError
        plain = _plain(record)
        _align(record.get("steps"))
        for name in _SHARED:
            if name in record:
                record[name] = self.shared.setdefault(_script_json(record[name]), len(self.shared))
        alert = _Alert(
            str(record.get("ended_at")),
            str(record.get("pattern", alert_id)),
            _script_json(record),
            plain,
        )
        self._repeats += self._alerts.pop(alert_id, None) is not None
        self._alerts[alert_id] = alert

    def kept(self) -> tuple[list[_Alert], PageSummary]:
        """The alerts that the page shows, newest first, and the page's summary."""
        kept = list(self._alerts.values())[-MOST_ALERTS:]
        kept.sort(key=lambda alert: alert.ended_at, reverse=True)
        patterns = len({alert.pattern for alert in kept})
        left_out = len(self._alerts) - len(kept)
        return kept, PageSummary(len(kept), patterns, self._repeats, self._bad_lines, left_out)


def _align(steps: Any) -> None:
    """Add the alignment to the steps of an alert that was made before alerts had one.

    Steps of an unknown shape stay as they are: the page shows what it can of them.
    """
    if not isinstance(steps, dict) or "alike" in steps:
        return
    rows = steps.get("rows")
    session = steps.get("session")
    nearest = steps.get("nearest")
    if not isinstance(rows, list):
        return
    if _are_places(session, rows) and _are_places(nearest, rows):
        steps["alike"] = alike_runs(session[:_MOST_ALIGNED], nearest[:_MOST_ALIGNED])


def _are_places(value: Any, rows: list[Any]) -> TypeGuard[list[int]]:
    """Whether all numbers are those of rows."""
    return isinstance(value, list) and all(
        isinstance(number, int) and 0 <= number < len(rows) for number in value
    )


def _script_json(value: Any) -> str:
    """JSON that a script element can hold: ASCII, without a `<` that could end the element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _policy(code: str, style: str) -> str:
    """The page's policy: nothing is loaded, and only the page's own script and style count.

    They are named by their hashes, so that no script in an alert could run.
    """
    sources = []
    for kind, text in (("script", code), ("style", style)):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        sources.append(f"{kind}-src 'sha256-{digest}'")
    return f"default-src 'none'; {'; '.join(sources)}; base-uri 'none'; form-action 'none'"


def _plain_list(alerts: list[_Alert]) -> str:
    """The alerts as HTML for browsers without JavaScript."""
    if not alerts:
        return "<p>No alerts.</p>"
    items = "".join(alert.plain for alert in alerts[:_MOST_PLAIN])
    page = f"<ul>{items}</ul>"
    rest = len(alerts) - _MOST_PLAIN
    if rest > 0:
        page += f"<p>The newest {_MOST_PLAIN}; JavaScript shows {rest:,} more.</p>"
    return page


def _plain(record: Mapping[str, Any]) -> str:
    path = (record.get(level) and str(record[level]) for level in ("entity", "action", "status"))
    steps = step_name(*path, left_open="?")
    session = record.get("session")
    key = str(session)
    if isinstance(session, list):
        key = " ".join(map(str, session))
    words = f"{record.get('ended_at')} · {record.get('tag')} · {key}"
    explanation = escape(str(record.get("explanation")))
    return f"<li><b>{escape(steps)}</b><br>{explanation}<br>{escape(words)}</li>"
