"""`fluent-krone report`: alerts as one HTML page to search and to read, that needs nothing but itself.

Whatever an alert says may have been written by an attacker. It stands in the page as JSON without a `<`, reaches the
screen as text only, and the page's policy lets no script run but its own and nothing be loaded.
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
from typing import IO, Any

from ..errors import ConfigError

MOST_ALERTS = 50_000  # the last ones of a larger file: no browser is quick with more
_MOST_PLAIN = 200  # listed where there is no JavaScript
_SHARED = (
    "evidence",
    "explained",
    "seq",
    "steps",
)  # what alerts of one pattern have alike: told once
_TEMPLATE = Path(__file__).parent / "page.html"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a page came to: `alerts` of it, `repeats` of the same alert in the file, lines that were no alerts."""

    alerts: int
    patterns: int
    repeats: int
    bad_lines: int
    left_out: int

    def __str__(self) -> str:
        rest = (
            (self.repeats, _count(self.repeats, "repeat")),
            (self.left_out, f"{self.left_out:,} earlier left out"),
            (self.bad_lines, f"{_count(self.bad_lines, 'line')} set aside: no alert"),
        )
        words = [
            f"{_count(self.alerts, 'alert')} of {_count(self.patterns, 'pattern')}",
            *(w for n, w in rest if n),
        ]
        return "; ".join(words)


def run(alerts: Path, out: Path) -> int:
    """Write the page and say so in one line; returns the exit code."""
    print(f"{out}: {write_page(alerts, out)}")
    return 0


def write_page(alerts: Path, out: Path) -> Summary:
    """Write the page of a file of alerts: JSON lines, or Fluentd's `time tag json`, perhaps gzipped.

    Raises ConfigError when one can't be read or the other not be written.
    """
    try:
        if out.exists() and out.samefile(alerts):
            raise ConfigError(f"{out}: the page would overwrite its alerts; give -o another name")
        with _open(alerts) as file:
            summary, page = render(file, alerts.name)
        out.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    except (OSError, EOFError) as error:
        raise ConfigError(f"report: {error}") from None
    return summary


def _open(path: Path) -> IO[str]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    file: IO[str] = opener(path, "rt", encoding="utf-8", errors="replace", newline="\n")
    return file


def render(lines: Iterator[str] | IO[str], source: str) -> tuple[Summary, str]:
    """The page of these lines, and what it holds; `source` is what the page calls them."""
    found = _Alerts()
    for line in lines:
        found.add(line)
    kept, summary = found.kept()
    data = f'{{"alerts":[{",".join(alert.json for alert in kept)}],"shared":[{",".join(found.shared)}]}}'
    template = _TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "policy": _policy(template),
        "title": escape(f"{_count(summary.alerts, 'alert')} · {source}"),
        "about": escape(f"{summary}, from {source}"),
        "plain": _plain_list(kept),
        "data": data,
    }
    return summary, re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], template)


@dataclass(frozen=True, slots=True)
class _Alert:
    ended_at: str
    pattern: str
    json: str  # as the page's script reads it
    plain: str  # as HTML, for no script


class _Alerts:
    """Alerts as they come; the last of those with one id stands."""

    def __init__(self) -> None:
        self.shared: dict[str, int] = {}  # JSON → its number
        self._alerts: dict[str, _Alert] = {}
        self._repeats = self._bad_lines = 0

    def add(self, line: str) -> None:
        """Take an alert in; a line that is none is counted, an empty one not."""
        if not line.strip():
            return
        body = line if line.startswith("{") else line.split("\t", 2)[-1]
        try:
            record = json.loads(
                body, parse_constant=str
            )  # a score may be NaN, which no browser reads
            self._take(record)
        except (ValueError, TypeError, KeyError, RecursionError):
            self._bad_lines += 1

    def _take(self, record: dict[str, Any]) -> None:
        alert_id, kind = record["alert_id"], record["kind"]
        if not isinstance(alert_id, str) or not isinstance(kind, str):
            raise TypeError
        plain = _plain(record)
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

    def kept(self) -> tuple[list[_Alert], Summary]:
        """What the page shows, newest first."""
        kept = list(self._alerts.values())[-MOST_ALERTS:]
        kept.sort(key=lambda alert: alert.ended_at, reverse=True)
        patterns = len({alert.pattern for alert in kept})
        left_out = len(self._alerts) - len(kept)
        return kept, Summary(len(kept), patterns, self._repeats, self._bad_lines, left_out)


def _script_json(value: Any) -> str:
    """JSON that can stand in a script element: ASCII, and no `<` that would end it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _policy(template: str) -> str:
    """Nothing is loaded; of scripts and styles only the template's own count, by their hashes."""
    sources = []
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        sources.append(f"{tag}-src 'sha256-{digest}'")
    return f"default-src 'none'; {'; '.join(sources)}; base-uri 'none'; form-action 'none'"


def _plain_list(alerts: list[_Alert]) -> str:
    items = "".join(alert.plain for alert in alerts[:_MOST_PLAIN])
    rest = len(alerts) - _MOST_PLAIN
    more = (
        f"<p>The newest {_MOST_PLAIN}; {rest:,} more are here with JavaScript.</p>"
        if rest > 0
        else ""
    )
    return f"<ul>{items}</ul>{more}" if alerts else "<p>No alerts.</p>"


def _plain(record: Mapping[str, Any]) -> str:
    steps = " → ".join(str(record.get(step) or "?") for step in ("entity", "action", "status"))
    session = record.get("session")
    key = " ".join(map(str, session)) if isinstance(session, list) else str(session)
    words = f"{record.get('ended_at')} · {record.get('tag')} · {key}"
    return f"<li><b>{escape(steps)}</b><br>{escape(str(record.get('explanation')))}<br>{escape(words)}</li>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
