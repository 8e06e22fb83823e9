"""What the lines of a file are, decided by looking at the first of them, and how they become
records.

A record keeps the field names that its writer gave it, since these are the names that Fluentd and
Fluent Bit hand on: a bundle fitted on the file then reads the live stream. What is undone is only
what the writer did to the message: lines that the container runtime cut are joined, the journal's
byte arrays become text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..reading.field_names import OWN_MESSAGE_NAMES
from ..reading.time_words import ISO_TIME
from .envelopes import OUTER_TIME, opened
from .files import unreadable
from .journal import (
    is_journal_export,
    is_journal_verbose,
    journal_export_rows,
    journal_verbose_rows,
)
from .markup import cmtrace_rows, element_rows, holds_cmtrace, holds_elements
from .mixed import tell_of_the_same
from .printed import holds_maps_over_lines, is_printed_map, map_over_lines_rows, map_rows
from .tables import (
    csv_rows,
    has_named_fields,
    named_rows,
    names_behind_words,
    names_columns,
    sign_of,
)
from .whole_json import is_whole_json, whole_json_rows
from .windows import event_rows, holds_events, holds_text_events, text_event_rows
from .xes import holds_xes, xes_rows

Record = dict[str, Any]
Rows = Iterator[Record]
# The share of the first lines that must have a kind's form. A log cut in the middle of a line, or
# with a stray line between its records, is still of that kind.
MOST = 0.6
# In a file of plain text, it is reported that some lines are JSON from this share of them on.
_MANY = 0.1
# Lines that are looked at.
SAMPLE = 200
# The journal and the container runtime cut long messages; beyond this many characters the pieces
# are given out as they are, so that a file of another kind can't fill the memory.
_LONGEST = 1 << 20

_CRI = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) "
    r"(?P<stream>stdout|stderr) (?P<logtag>[FP](?::\S*)?) (?P<message>.*)\Z",
    re.DOTALL,
)
# `time⇥tag⇥json`, as Fluentd's out_file and out_secondary_file write it
_OUT_FILE = re.compile(r"(?P<time>[^\t{]*)\t(?P<tag>[^\t{]*)\t(?P<json>\{.*\})\s*\Z")
# … and with another delimiter, `time,tag,json`; a tag has a point then, unlike a level
_OUT_FILE_PARTED = re.compile(
    rf"(?P<time>{ISO_TIME}|\d{{10}})(?P<sign>[ ,])(?P<tag>[\w-]+(?:\.[\w-]+)+)(?P=sign)"
    r"(?P<json>\{.*\})\s*\Z"
)
# `tag: [1700000000.5, {…}]`, as Fluent Bit's file output writes it
_BIT_FILE = re.compile(r"(?P<tag>[^\s:]+): \[(?P<time>\d{9,10}(?:\.\d+)?), (?P<json>\{.*\})\]\s*\Z")
# `[0] tag: [[1700000000.5, {}], {…}]` and `[0] tag: [1700000000.5, {…}]`, Fluent Bit's standard
# output
_BIT_STDOUT = re.compile(
    r"\[\d+\] (?P<tag>\S+): \[\[?(?P<time>\d{9,10}(?:\.\d+)?)(?:, \{.*?\}\])?, "
    r"(?P<json>\{.*\})\]\s*\Z"
)
# `2024-05-01 10:00:00.000000000 +0000 tag: {…}`, as Fluentd's out_stdout writes it
_FLUENTD_STDOUT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4}) (?P<tag>[^\s:]+): "
    r"(?P<json>\{.*\})\s*\Z"
)
# JSON behind what a tool put before it when it showed the log: the name of a container, a pod or a
# log stream, as in `web-1  | `, `[pod/web-1/app] ` and `web-1 app `, and a time.
# A bare name has a digit or a sign, unlike the words of a message.
_BARE_NAME = r"(?=\S*[\d/-])[A-Za-z][\w./-]* +"
_SHOWN = re.compile(
    rf"(?P<tag>\[[\w./-]+\] +|[\w./-]+ +\| +|{_BARE_NAME}(?:[A-Za-z][\w./-]* +)?|)"
    rf"(?:(?P<time>{ISO_TIME}|\d{{10}}(?=\t))[ \t]+)?(?P<rest>(?:{_BARE_NAME})?)"
    r"(?P<json>\{.*\})\s*\Z"
)
# `time:…⇥host:…⇥req:…`, labelled values (LTSV).
_LABELLED = re.compile(r"[A-Za-z_][\w.-]*:[^\t]*(?:\t[A-Za-z_][\w.-]*:[^\t]*){2,}\Z")
# A field or an entry of a list in YAML.
_YAML_FIELD = re.compile(r" *(?:- +)?[A-Za-z_][\w.-]*:(?: |\Z)")
_LEVEL = re.compile(r"(?i:trace|debug|info|notice|warn(?:ing)?|error|err|fatal|critical|panic)\Z")

# How a line of JSON begins, damaged or not, unlike `[main] started`.
_MAY_BE_JSON = re.compile(r"\s*[{\[]+\s*(?:[\"{}\[\]]|\Z)").match


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its name, in words what it is, and how its lines become records."""

    name: str
    words: str
    rows: Callable[[Iterable[str]], Rows]
    # What is to be said of such a file, where its live stream is not read like it.
    note: str = ""


def kind_of(head: Sequence[str], suffix: str = "") -> FileKind:
    """The kind of a file whose first lines are `head`; plain text where nothing else fits."""
    lines = head[:SAMPLE]
    objects, others = json_objects(lines)
    if lines and len(objects) >= MOST * len(lines):
        return _json_kind(objects, others)
    for kind, fits in _BY_FORM:
        if lines and sum(map(fits, lines)) >= MOST * len(lines):
            if kind is SHOWN and _tell_of_shown(lines):
                return MIXED
            return kind
    for kind, holds in _BY_LINES:
        if lines and holds(lines):
            return kind
    sign = sign_of(lines)
    if sign is not None:
        return FileKind("csv", "a table", csv_rows(sign))
    if suffix == ".csv" and lines and names_columns(lines[0]):
        return CSV
    if names := names_behind_words(lines):
        first, sign = names
        return FileKind("csv", "a table", csv_rows(sign, first))
    if _is_yaml(lines):
        return YAML
    # Most lines are damaged, or all are blank: then its name says what it is.
    if suffix in (".json", ".jsonl", ".ndjson") and _may_be_json(lines):
        return JSON
    if len(objects) >= _MANY * len(lines) > 0:
        return MIXED
    return TEXT


def json_objects(lines: Iterable[str]) -> tuple[list[Record], list[str]]:
    """The records that lines of JSON are, and the lines that are none."""
    objects = []
    others = []
    for line in lines:
        record = json_object(line)
        if record is None:
            others.append(line)
        else:
            objects.append(record)
    return objects, others


def json_object(line: str) -> Record | None:
    """The record that a line of JSON is, or None."""
    line = _bare(line)
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return record


def _may_be_json(lines: Iterable[str]) -> bool:
    """Whether a line begins as JSON, or all are blank."""
    bare = [*filter(None, map(_bare, lines))]
    return not bare or any(map(_MAY_BE_JSON, bare))


def _bare(line: str) -> str:
    """A line without what may stand before the JSON in it."""
    # A sequence of JSON texts (RFC 7464) has a record separator before each.
    line = line.lstrip("\ufeff\x1e \t\r\n")
    # Events that a server sends are named so, and records in lines of syslog.
    return line.removeprefix("data:").removeprefix("@cee:").lstrip(" ")


def _json_kind(objects: Sequence[Record], others: Sequence[str]) -> FileKind:
    """Which writer's JSON lines these are; `others` are plain lines between them."""
    if tell_of_the_same(others, objects):
        return MIXED

    def most_have(*names: str) -> bool:
        return sum(all(name in one for name in names) for one in objects) >= MOST * len(objects)

    # A shipper has taken the ends of lines away, and nothing tells what goes on.
    whole = any(str(one.get("log", "")).endswith("\n") for one in objects)
    if most_have("log", "stream", "time") and whole:
        return DOCKER
    if most_have("__REALTIME_TIMESTAMP") and any("MESSAGE" in one for one in objects):
        return JOURNAL
    return JSON


def _text_rows(lines: Iterable[str]) -> Rows:
    for line in lines:
        yield {"message": line.rstrip("\r\n")}


def _json_rows(lines: Iterable[str]) -> Rows:
    for line in lines:
        record = json_object(line)
        if record:
            yield from opened(record)
        elif line.strip():
            yield unreadable(line)


def _docker_rows(lines: Iterable[str]) -> Rows:
    """Docker cuts a line after 16 kB; all pieces but the last lack the newline."""
    open_pieces: dict[str, list[Record]] = {}
    for record in _json_rows(lines):
        log = record.get("log")
        if not isinstance(log, str):
            yield record
            continue
        stream = str(record.get("stream"))
        pieces = open_pieces.setdefault(stream, [])
        pieces.append(record)
        size = sum(len(piece["log"]) for piece in pieces)
        if log.endswith("\n") or size > _LONGEST:
            yield _joined(open_pieces.pop(stream), "log")
    for pieces in open_pieces.values():
        yield _joined(pieces, "log")


def _cri_rows(lines: Iterable[str]) -> Rows:
    """containerd and CRI-O mark a line that goes on with P, the last piece of one with F."""
    open_pieces: dict[str, list[Record]] = {}
    for line in lines:
        found = _CRI.match(line.rstrip("\r\n"))
        if found is None:
            yield unreadable(line)
            continue
        record: Record = found.groupdict()
        pieces = open_pieces.setdefault(record["stream"], [])
        pieces.append(record)
        is_partial = record["logtag"].startswith("P")
        if not is_partial or sum(len(piece["message"]) for piece in pieces) > _LONGEST:
            yield _joined(open_pieces.pop(record["stream"]), "message")
    for pieces in open_pieces.values():
        yield _joined(pieces, "message")


def _joined(pieces: Sequence[Record], field: str) -> Record:
    """One record of its pieces: the first one's time, the text of all, the last one's mark."""
    text = "".join(piece[field] for piece in pieces)
    return {**pieces[-1], "time": pieces[0].get("time"), field: text.rstrip("\r\n")}


def _journal_rows(lines: Iterable[str]) -> Rows:
    """journalctl writes what is no UTF-8, or holds control characters, as an array of bytes."""
    for record in _json_rows(lines):
        for name, value in record.items():
            if _is_bytes(value):
                record[name] = bytes(value).decode("utf-8", "surrogateescape")
        yield record


def _is_bytes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(item) is int and 0 <= item < 256 for item in value)
    )


def _framed_rows(form: re.Pattern[str]) -> Callable[[Iterable[str]], Rows]:
    """Rows of lines that are a time, a tag and a record in JSON."""

    def rows(lines: Iterable[str]) -> Rows:
        for line in lines:
            found = form.match(line)
            record = None
            if found:
                # Fluent Bit's standard output has its own sign between names and values.
                record = json_object(found["json"]) or json_object(
                    found["json"].replace('"=>', '":')
                )
            if found is None or record is None:
                yield unreadable(line)
            else:
                yield {**record, OUTER_TIME: found["time"]}

    return rows


def _has_form(form: re.Pattern[str]) -> Callable[[str], bool]:
    def fits(line: str) -> bool:
        found = form.match(line)
        if found is None:
            return False
        # zap's console lines end in JSON too, but behind a level.
        return "json" not in form.groupindex or not _LEVEL.match(found["tag"])

    return fits


def _is_shown(line: str) -> bool:
    """Whether a tool put a name or a time before a record in JSON that has a message itself.

    A record behind a sentence has none: the sentence is its message.
    """
    found = _SHOWN.match(line)
    if found is None or any(map(_LEVEL.match, (found["tag"] + found["rest"]).split())):
        return False
    record = json_object(found["json"])
    return record is not None and not record.keys().isdisjoint(OWN_MESSAGE_NAMES)


def _tell_of_shown(lines: Sequence[str]) -> bool:
    """Whether lines without JSON behind a name tell of the same executions as the others."""
    plain = [line for line in lines if not _is_shown(line)]
    found = filter(None, map(_SHOWN.match, lines))
    return tell_of_the_same(plain, filter(None, (json_object(one["json"]) for one in found)))


def _is_labelled(line: str) -> bool:
    return _LABELLED.match(line.rstrip("\r\n")) is not None


def _labelled_rows(lines: Iterable[str]) -> Rows:
    for line in lines:
        pairs = (pair.partition(":") for pair in line.rstrip("\r\n").split("\t"))
        yield {name: value for name, sign, value in pairs if sign}


def _is_yaml(lines: Sequence[str]) -> bool:
    """Whether the lines are documents of YAML, which begin with three dashes."""
    begins = sum(line.rstrip() == "---" for line in lines)
    fields = sum(map(bool, map(_YAML_FIELD.match, lines)))
    return begins > 1 and fields + begins >= MOST * len(lines)


TEXT = FileKind("text", "plain text", _text_rows)
YAML = FileKind(
    "text",
    "documents of YAML",
    _text_rows,
    "the lines look like documents of YAML, of which each line is read as a record of its own: "
    "write one document on a line, as JSON (yq -o json -I 0)",
)
MIXED = FileKind(
    "text",
    "plain text with lines of JSON",
    _text_rows,
    "some lines are JSON and others are not, so the stream is taken for one of plain lines",
)
CSV = FileKind("csv", "a table", csv_rows(","))
NAMED = FileKind("named", "a table whose comments name its columns", named_rows)
JOURNAL_EXPORT = FileKind("journal", "the journal's export format", journal_export_rows)
JOURNAL_VERBOSE = FileKind("journal", "the journal's verbose format", journal_verbose_rows)
JSON = FileKind("json", "JSON lines", _json_rows)
JSON_WHOLE = FileKind("json", "JSON objects", whole_json_rows)
DOCKER = FileKind("docker", "Docker's JSON lines", _docker_rows)
JOURNAL = FileKind("journal", "the journal's JSON lines", _journal_rows)
WINDOWS = FileKind("windows", "events of Windows as XML", event_rows)
_MARKUP_NOTE = (
    "the records are {words}, and are read as fields: the stream must hand on the same fields, for "
    "which it is best to write JSON"
)
_EVENTS = "events of Windows as text"
WINDOWS_TEXT = FileKind("windows", _EVENTS, text_event_rows, _MARKUP_NOTE.format(words=_EVENTS))
_ELEMENTS = "elements of XML"
ELEMENTS = FileKind("xml", _ELEMENTS, element_rows, _MARKUP_NOTE.format(words=_ELEMENTS))
_XES = "events of processes in XES"
XES = FileKind("xes", _XES, xes_rows, _MARKUP_NOTE.format(words=_XES))
_CMTRACE = "records of CMTrace"
CMTRACE = FileKind("cmtrace", _CMTRACE, cmtrace_rows, _MARKUP_NOTE.format(words=_CMTRACE))
_MAPS_NOTE = (
    "the records are maps as a program prints them (Python, Ruby, JavaScript, Java), and are read "
    "as fields: the stream must hand on the same fields, for which it is best to write JSON"
)
MAPS = FileKind("maps", "maps as programs print them", map_rows, _MAPS_NOTE)
MAPS_OVER_LINES = FileKind("maps", "maps over several lines", map_over_lines_rows, _MAPS_NOTE)
SHOWN = FileKind("json", "JSON behind names and times", _framed_rows(_SHOWN))
CRI = FileKind("cri", "lines of a container runtime (CRI)", _cri_rows)
_BY_FORM: tuple[tuple[FileKind, Callable[[str], bool]], ...] = (
    (CRI, _has_form(_CRI)),
    *(
        (FileKind("fluent", words, _framed_rows(form)), _has_form(form))
        for form, words in (
            (_OUT_FILE, "lines of Fluentd's out_file"),
            (_OUT_FILE_PARTED, "lines of Fluentd's out_file"),
            (_FLUENTD_STDOUT, "lines of Fluentd's out_stdout"),
            (_BIT_FILE, "lines of Fluent Bit's file output"),
            (_BIT_STDOUT, "lines of Fluent Bit's standard output"),
        )
    ),
    (SHOWN, _is_shown),
    (MAPS, is_printed_map),
    (FileKind("ltsv", "labelled values", _labelled_rows), _is_labelled),
)
# Kinds that show in how lines follow one another.
_BY_LINES: tuple[tuple[FileKind, Callable[[Sequence[str]], bool]], ...] = (
    (WINDOWS, holds_events),
    (WINDOWS_TEXT, holds_text_events),
    (XES, holds_xes),
    (ELEMENTS, holds_elements),
    (CMTRACE, holds_cmtrace),
    (MAPS_OVER_LINES, holds_maps_over_lines),
    (JSON_WHOLE, is_whole_json),
    (NAMED, has_named_fields),
    (JOURNAL_EXPORT, is_journal_export),
    (JOURNAL_VERBOSE, is_journal_verbose),
)
