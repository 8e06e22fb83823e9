"""What persons and models said of patterns, as rows: in the knowledge file and as JSON lines.

The JSON lines are made for review in Git: one row a line, always written the same way, with
templates and never with log lines. A line that a person edited is checked field by field before
it is taken in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from ..errors import ConfigError
from . import MAX_WORDS, Answer, Case, NoAnswer, Said, checked
from .accepted import MAX_TEMPLATE, Accepted

# How much a mark covers; see `marks.py`.
Scope = Literal["deviation", "pattern", "template", "entity"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Fields that are ISO 8601 times in JSON and milliseconds since 1970, under `…_ms`, in rows.
_TIMES = ("at", "until")
# Characters of a name, such as a person's or a model's; longer ones are cut.
MAX_NAME = 200
# Steps that one answer may rest on. A Seq has at most a few hundred; more is no answer of ours.
_MAX_STEPS = 1000
# The largest number that a row may hold: beyond it JSON readers in other languages lose digits.
_MAX_NUMBER = 2**53
# Characters of a rejected value that an error message shows.
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person said. While `normal` holds, alerts that marks cover as a whole are not sent.

    `pattern` is what the mark is kept under: a session's pattern, the signature of a deviation, or
    the digest of a template or an entity, as `scope` says. `most` is the largest size of a
    deviation that the mark covers; None: any.
    """

    who: ClassVar[str] = "person"

    pattern: str
    verdict: Said
    note: str
    by: str
    at_ms: int
    until_ms: int | None  # None: the mark never expires
    about: str  # entity → action → status of the marked alert, empty where it is not known
    scope: Scope = "pattern"
    most: float | None = None

    def holds(self, now_s: float) -> bool:
        """Whether the mark has not expired."""
        return self.until_ms is None or now_s * 1000 < self.until_ms


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model answered about a pattern.

    `steps` are texts of templates, not their numbers, so that they outlive a bundle's numbering.
    """

    who: ClassVar[str] = "model"

    pattern: str
    verdict: Said
    confidence: float
    summary: str
    cause: str
    check: str
    steps: tuple[str, ...]
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    at_ms: int
    bundle_hash: str  # of the bundle whose Seq the steps were last found in

    @classmethod
    def of(cls, case: Case, answer: Answer, now_s: float) -> Learned:
        """The row of an answer to a case."""
        return cls(
            pattern=case.pattern,
            verdict=answer.verdict,
            confidence=answer.confidence,
            summary=printable(answer.summary),
            cause=printable(answer.cause),
            check=printable(answer.check),
            steps=tuple(case.templates[step] for step in dict.fromkeys(answer.steps)),
            model=printable(answer.model, MAX_NAME),
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=answer.cost_usd,
            at_ms=to_ms(now_s),
            bundle_hash=case.bundle_hash,
        )

    def answer(self, case: Case) -> Answer | None:
        """The same answer to this case, at no cost; None when a step is not in the case's Seq."""
        number = {case.templates[step]: step for step in case.session[case.start : case.end]}
        if not all(step in number for step in self.steps):
            return None
        answer = Answer(
            verdict=self.verdict,
            confidence=self.confidence,
            summary=self.summary,
            cause=self.cause,
            check=self.check,
            steps=tuple(number[step] for step in self.steps),
            model=self.model,
            input_tokens=0,
            output_tokens=0,
            cost_usd=0.0,
        )
        try:
            return checked(answer, case)
        except NoAnswer:
            return None


Row = Mark | Learned | Accepted
_KINDS: Mapping[str, type[Row]] = {kind.who: kind for kind in (Mark, Learned, Accepted)}


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    `rows` has one row for each pattern and for each of person and model, sorted. `conflicts` has
    the patterns that persons disagree on: the row that was kept, and the row that was not.
    """

    rows: list[Row]
    conflicts: list[tuple[Mark, Mark]]


def merge(rows: Iterable[Row]) -> Merged:
    """The latest row of each pattern, of persons and models apart, in whatever order rows come."""
    kept: dict[tuple[str, str], Row] = {}
    # Rows of the same moment are ranked by their text, so that every machine keeps the same one.
    ranked = sorted(set(rows), key=lambda row: (row.at_ms, line_of(row)))
    for row in ranked:
        kept[sort_key(row)] = row
    marks = {row.pattern: row for row in kept.values() if isinstance(row, Mark)}
    disputed = {
        row.pattern: row
        for row in ranked
        if isinstance(row, Mark) and row.verdict != marks[row.pattern].verdict
    }
    conflicts = [(marks[pattern], disputed[pattern]) for pattern in sorted(disputed)]
    return Merged(sorted(kept.values(), key=sort_key), conflicts)


def sort_key(row: Row) -> tuple[str, str]:
    """Pattern, then who said it: the order of rows in files and listings."""
    return row.pattern, row.who


def line_of(row: Row) -> str:
    """The row as one line of JSON; equal rows give equal lines."""
    values = {_json_name(field.name): getattr(row, field.name) for field in fields(row)}
    for name in _TIMES:
        if values.get(name) is not None:
            values[name] = iso_ms(values[name])
    if values.get("scope") == "pattern":
        # As older programs write it, and read it.
        del values["scope"], values["most"]
    ordered = {"pattern": values.pop("pattern"), "who": row.who, **values}
    line = json.dumps(ordered, ensure_ascii=False)
    # A character that does not print could hide in a diff: it is written as JSON's escape.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def row_of_line(line: str) -> Row:
    """The row of a line of JSON. Raises ValueError that names the wrong field."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON (left over from a merge in Git?)") from None
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    who = values.pop("who", None)
    kind = None
    if isinstance(who, str):
        kind = _KINDS.get(who)
    if kind is None:
        raise ValueError(f"who must be person, model or accepted, got {_short(who)}")
    _check(values, {_json_name(field.name) for field in fields(kind)}, kind.who)
    return kind(**{_field_name(name): _field_value(name, value) for name, value in values.items()})


def read_rows(path: Path) -> list[Row]:
    """The rows of an exported file. Raises ConfigError that names the line and the field."""
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            if line.strip():
                rows.append(row_of_line(line.decode()))
        except UnicodeDecodeError:
            raise ConfigError(f"{path} line {number}: it is not UTF-8") from None
        except ValueError as error:
            raise ConfigError(f"{path} line {number}: {error}") from None
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a file that `read_rows` reads, whole or not at all, with its lines sorted."""
    unfinished = path.with_name(path.name + ".part")
    lines = [line_of(row) + "\n" for row in sorted(rows, key=sort_key)]
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.replace(path)


def checked_mark(mark: Mark) -> Mark:
    """The mark, if it could be imported again. Raises ConfigError that names the wrong field."""
    try:
        row_of_line(line_of(mark))
    except (ValueError, OverflowError) as error:
        raise ConfigError(str(error)) from None
    return mark


def printable(text: str, most: int = MAX_WORDS) -> str:
    """The text with a space in place of each character that does not print, cut to `most`.

    Such a character could move a terminal's cursor, or turn the words around it in a diff.
    """
    text = text[:most]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def iso_ms(ms: int) -> str:
    """ISO 8601 UTC of milliseconds since 1970.

    >>> iso_ms(1_795_338_000_007)
    '2026-11-22T09:00:00.007Z'
    """
    at = _EPOCH + timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ms(seconds: float) -> int:
    """Milliseconds, as rows hold times."""
    return round(seconds * 1000)


# Fields that a row of an older program lacks.
_OPTIONAL = ("scope", "most")


def _json_name(name: str) -> str:
    return name.removesuffix("_ms")


def _field_name(name: str) -> str:
    if name in _TIMES:
        return f"{name}_ms"
    return name


def _field_value(name: str, value: Any) -> Any:
    """A field's value from JSON. Numbers are converted so that equal rows give equal lines."""
    if name in _TIMES:
        if value is None:
            return None
        return (datetime.fromisoformat(value) - _EPOCH) // timedelta(milliseconds=1)
    if name in ("confidence", "cost_usd") or (name == "most" and value is not None):
        # `abs` turns -0.0 into 0.0, which prints otherwise.
        return abs(float(value))
    if name == "steps":
        return tuple(value)
    return value


# What each field may hold: a test, and the words for it in an error message.
_FieldCheck = tuple[Callable[[Any], bool], str]


def _check(values: Mapping[str, Any], names: set[str], who: str) -> None:
    for name in values:
        if name not in names:
            raise ValueError(f"{_short(name)} is not a field of a {who}'s row")
    for name, (is_right, wanted) in _FIELDS.items():
        if name in _OPTIONAL and name not in values:
            continue
        if name in names and name not in values:
            raise ValueError(f"{name} is missing")
        if name in names and not is_right(values[name]):
            raise ValueError(f"{name} must be {wanted}, got {_short(values[name])}")


def _text(least: int, most: int) -> _FieldCheck:
    def is_right(value: Any) -> bool:
        return isinstance(value, str) and least <= len(value) <= most and value.isprintable()

    return is_right, f"{least} to {most} printable characters"


def _number(most: float) -> _FieldCheck:
    def is_right(value: Any) -> bool:
        # `type`, not `isinstance`: True is an int in Python, and no number in JSON.
        return type(value) in (int, float) and 0 <= value <= most

    return is_right, f"a number from 0 to {most:g}"


def _whole_number(most: float) -> _FieldCheck:
    def is_right(value: Any) -> bool:
        return type(value) is int and 0 <= value <= most

    return is_right, f"a whole number from 0 to {most:g}"


def _is_pattern(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{32}", value))


def _is_verdict(value: Any) -> bool:
    return value in ("normal", "abnormal")


def _is_time(value: Any) -> bool:
    try:
        at = datetime.fromisoformat(value)
        return at.utcoffset() is not None and at >= _EPOCH
    except (TypeError, ValueError, OverflowError):
        return False


def _is_time_or_null(value: Any) -> bool:
    return value is None or _is_time(value)


def _is_scope(value: Any) -> bool:
    return value in SCOPES


def _is_number_or_null(value: Any) -> bool:
    return value is None or _number(_MAX_NUMBER)[0](value)


def _are_steps(value: Any) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_STEPS:
        return False
    return all(isinstance(step, str) for step in value)


def _short(value: Any) -> str:
    text = ascii(value)
    if len(text) <= _MAX_SHOWN:
        return text
    return text[: _MAX_SHOWN - 3] + "…"


_FIELDS: dict[str, _FieldCheck] = {
    "pattern": (_is_pattern, "32 hex digits"),
    "verdict": (_is_verdict, "normal or abnormal"),
    "note": _text(0, MAX_WORDS),
    "by": _text(1, MAX_NAME),
    "confidence": _number(1),
    "summary": _text(1, MAX_WORDS),
    "cause": _text(1, MAX_WORDS),
    "check": _text(0, MAX_WORDS),
    "steps": (_are_steps, "a list of templates"),
    "model": _text(1, MAX_NAME),
    "input_tokens": _whole_number(_MAX_NUMBER),
    "output_tokens": _whole_number(_MAX_NUMBER),
    "cost_usd": _number(_MAX_NUMBER),
    "at": (_is_time, "an ISO 8601 time with its offset"),
    "until": (_is_time_or_null, "an ISO 8601 time with its offset, or null"),
    "about": _text(0, MAX_NAME),
    "template": _text(1, MAX_TEMPLATE),
    "replaces": _text(0, MAX_TEMPLATE),
    "change": _text(0, MAX_NAME),
    "bundle_hash": _text(1, MAX_NAME),
    "scope": (_is_scope, f"one of {', '.join(SCOPES)}"),
    "most": (_is_number_or_null, "a number that is not negative, or null"),
}
