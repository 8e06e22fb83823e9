"""Events of files: each record with its time, those of several files in the order of their times.

Tables that LogLead writes (columns `m_message`, `m_timestamp`) are read as `message` and `time`.
"""

from __future__ import annotations

import contextlib
import csv
import heapq
import itertools
import logging
import lzma
import sys
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..reading.colours import bare_text
from ..reading.field_names import OWN_MESSAGE_NAMES
from ..reading.values import as_fields
from . import kinds
from .envelopes import OUTER_TIME
from .file_order import oldest_first
from .files import Inputs, Source, bare_suffix, find_files, unreadable
from .mixed import tell_of_the_same
from .over_lines import joined
from .record_times import RecordTimes
from .spooled import is_spool, spooled_events
from .stamps import Stamps
from .windows import event_in

_log = logging.getLogger(__name__)
Event = tuple[int | None, dict[bytes, Any]]
_LOGLEAD = {"m_message": "message", "m_timestamp": "time"}
# Names under which a container's or a shipper's record has the line that the program wrote.
_WRAPPED = ("log", "message", "MESSAGE")
_UNWRAPPED = (
    "the field %s holds whole records, and is read as their fields: the stream must hand on the "
    "same fields (in Fluentd <filter> with @type parser, in Fluent Bit a parser filter) file=%s"
)
_NOT_UNWRAPPED = (
    "plain lines name the ids of the records in JSON between which they stand, so all are read as "
    "text field=%s"
)
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, csv.Error)
_AS_TEXT = (
    "plain lines of other files name the ids of its records, so its lines are read as text too; "
    "the stream must hand on all lines as they are file=%s"
)
# The share of events without a time beyond which a file has none.
_MOSTLY = 0.5
# Events before the first one with a time that are read to learn where a file stands among others.
_UNTIMED = 2_000


def read_events(inputs: Inputs, timezone: str | None = None) -> Iterator[Event]:
    """Yield `(time_ns, record)` in order; time is None where the record has no time of its own.

    Several files are merged by time; within a file its own order is kept, but for one that begins
    with its newest record. The files of a spool are one stream, in the order of arrival. A line
    that can't be read comes as a record without message, so that it is counted and set aside. A
    line of plain text that begins with a stamp has that time. A time without an offset is in
    `timezone` (an IANA name; None is UTC). Raises ConfigError when a file can't be read, with the
    cause.
    """
    files = find_files(inputs)
    if len(files) == 1:
        return _file_events(files[0], timezone)
    if all(map(is_spool, files)):
        return itertools.chain.from_iterable(map(spooled_events, files))
    return _merged(files, timezone)


def no_time_in(untimed: int, events: int) -> str | None:
    """That most events of a file have no time, what follows, and the remedy, in one line.

    None where most of them have one.
    """
    if untimed <= _MOSTLY * events:
        return None
    return (
        f"no time was found in {untimed:,} of {events:,} events: sessions end with the file only, "
        "and pauses are not judged; name the field of the time (time_field), or the form of the "
        "lines (line_format with a group time, and time_format)"
    )


def count_events(inputs: Inputs) -> int | None:
    """How many events the files hold, where that is known without reading them."""
    total = 0
    for path in find_files(inputs):
        if not path.is_file() or is_spool(path):
            return None
        with closing(Source(path)) as source:
            if not source.is_parquet:
                return None
        total += int(_parquet(path).metadata.num_rows)
    return total


def read_rows(path: Path, *, as_text: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of a file as they stand in it, a line of text as its `message`; `as_text` takes all
    lines for such.

    Raises ConfigError as `read_events`.
    """
    try:
        with closing(Source(path)) as source:
            if source.is_parquet or path.suffix.lower() == ".parquet":
                yield from _parquet_rows(path)
                return
            # The record reader cuts a long message, and counts it.
            csv.field_size_limit(sys.maxsize)
            kind = kinds.TEXT
            if not as_text:
                kind = kinds.kind_of(source.head_lines(), bare_suffix(path))
            if kind.note:
                _log.info("%s file=%s", kind.note, path)
            newline = source.line_end
            if kind.name == "csv":
                newline = ""
            with source.text(newline) as lines:
                if kind is kinds.JOURNAL_EXPORT:
                    # What is cut out of a line would be missing in the sizes of fields.
                    yield from kind.rows(lines)
                else:
                    yield from kind.rows(map(bare_text, lines))
    except _UNREADABLE as error:
        raise ConfigError(f"{path}: {error}") from None


def _file_events(
    path: Path, timezone: str | None, as_text: Collection[Path] = ()
) -> Iterator[Event]:
    if is_spool(path):
        yield from spooled_events(path)
    else:
        yield from oldest_first(_as_it_stands(path, timezone, path in as_text), path)


def _as_it_stands(path: Path, timezone: str | None, as_text: bool) -> Iterator[Event]:
    rows = iter(read_rows(path, as_text=as_text))
    first = list(itertools.islice(rows, kinds.SAMPLE))
    wrapped = _wrapped_in(first)
    stamps = Stamps(path, timezone, lambda: (str(row.get("message")) for row in _rows_again(path)))
    if wrapped:
        _log.info(_UNWRAPPED, wrapped, path)
        first = [_unwrapped(record, wrapped) for record in first]
    times = RecordTimes(path, first, timezone, lambda: _rows_again(path))
    rest = rows
    if wrapped:
        rest = (_unwrapped(record, wrapped) for record in rows)
    for record in joined(itertools.chain(first, rest), first, path):
        try:
            if record.keys() == {"message"} and isinstance(record["message"], str):
                time_ns = stamps.time(record["message"])
            else:
                time_ns = times.time(record)
            record.pop(OUTER_TIME, None)
            yield time_ns, as_fields({n: _clean(v) for n, v in record.items() if v is not None})
        # The record is nested too deep.
        except RecursionError:
            yield None, {}


def _rows_again(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file once more; none of a pipe, whose other lines would be lost."""
    return read_rows(path) if path.is_file() else iter(())


def _clean(value: Any) -> Any:
    """A field without a terminal's colours, which JSON writes as `\\u001b[31m`."""
    return bare_text(value) if isinstance(value, str) else value


def _wrapped_in(records: list[dict[str, Any]]) -> str | None:
    """The field that holds a whole record: as JSON, as a program's line in a container's log may,
    or as an event of Windows in XML.
    """
    if not records:
        return None
    names = (name for name in records[0] if all(_is_event(one.get(name)) for one in records))
    if (found := next(names, None)) is not None:
        return found
    if len(records[0]) < 2:
        return None
    for name in _WRAPPED:
        texts = [record[name] for record in records if isinstance(record.get(name), str)]
        inner, plain = kinds.json_objects(texts)
        objects = list(filter(None, inner))
        # As with the lines of a file: a program also writes a banner, or a stack trace.
        if texts and len(objects) >= kinds.MOST * len(texts):
            return _unless_mixed(name, plain, objects)
    # Under any other name it is the message only where nothing else is.
    if not records[0].keys().isdisjoint(OWN_MESSAGE_NAMES):
        return None
    for name in records[0]:
        values = [record.get(name) for record in records]
        if all(isinstance(value, str) and _is_object(value) for value in values):
            return name
    return None


def _unless_mixed(name: str, plain: Sequence[str], objects: Sequence[dict[str, Any]]) -> str | None:
    """The field that has records and plain texts, unless both tell of the same executions."""
    if not tell_of_the_same(plain, objects):
        return name
    _log.info(_NOT_UNWRAPPED, name)
    return None


def _is_object(text: str) -> bool:
    return kinds.json_object(text) is not None


def _is_event(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("<Event") and bool(event_in(value))


def _unwrapped(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields of the inner record, with those around it that it does not have itself.

    A text that is none, as a line between those of JSON, is not of the kind of its file.
    """
    text = record.get(name)
    if not isinstance(text, str):
        return record
    inner = kinds.json_object(text)
    if inner is None:
        inner = event_in(text)
    if inner is None:
        return unreadable(text)
    around = {key: value for key, value in record.items() if key != name}
    return {**around, **inner}


def _merged(files: list[Path], timezone: str | None) -> Iterator[Event]:
    """Events of several files by time; each file's own order is kept.

    A file stands where the largest time that was read of it stands, so a line out of order never
    overtakes one before it. Files without any time are read one after the other, before the others.
    A file is open only while it is its turn, or it would take one descriptor a file.
    """
    waiting: list[tuple[int, int]] = []
    as_text = _told_of_in_others(files)
    for number, path in enumerate(files):
        events = _file_events(path, timezone, as_text)
        first = next((t for t, _ in itertools.islice(events, _UNTIMED) if t), None)
        waiting.append((first or 0, number))
    heapq.heapify(waiting)
    opened: dict[int, Iterator[Event]] = {}
    held: dict[int, Event] = {}
    while waiting:
        at, number = heapq.heappop(waiting)
        if number not in opened:
            opened[number] = _file_events(files[number], timezone, as_text)
        if number in held:
            yield held.pop(number)
        until = waiting[0][0] if waiting else None
        for event in opened[number]:
            at = max(at, event[0] or 0)
            if until is not None and at > until:
                held[number] = event
                heapq.heappush(waiting, (at, number))
                break
            yield event
        else:
            del opened[number]


def _told_of_in_others(files: Sequence[Path]) -> frozenset[Path]:
    """The files of JSON whose ids plain lines of other files name: all are one stream of lines."""
    records: dict[Path, list[dict[str, Any]]] = {}
    plain: list[str] = []
    for path in filter(Path.is_file, files):
        # What can't be read is reported when it is read.
        with contextlib.suppress(ConfigError, *_UNREADABLE), closing(Source(path)) as source:
            if source.is_parquet:
                continue
            lines = source.head_lines()[: kinds.SAMPLE]
            kind = kinds.kind_of(lines, bare_suffix(path))
            if kind is kinds.JSON:
                records[path] = kinds.json_objects(lines)[0]
            elif kind in (kinds.TEXT, kinds.MIXED):
                plain += lines
    if not records or not tell_of_the_same(plain, itertools.chain(*records.values())):
        return frozenset()
    for path in records:
        _log.info(_AS_TEXT, path)
    return frozenset(records)


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            f"{path}: parquet needs the package pyarrow: pip install pyarrow"
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in _parquet(path).iter_batches():
        names = [_LOGLEAD.get(name, name) for name in batch.schema.names]
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            record = dict(zip(names, row, strict=True))
            if "m_timestamp" in batch.schema.names:
                record["time"] = row[batch.schema.names.index("m_timestamp")]
            yield record
