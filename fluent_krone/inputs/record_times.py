"""Times of a file's records: which of their fields holds it, and how it is read.

Records name their time in many ways. The usual names come first. Where no record has any of them,
the fields are looked at whose names speak of a time, nested ones too, and the first is taken in
which nearly all records have a time; of the start and the end of the same thing, the one in whose
order the records are written. A date and a clock in two fields are one time. Where there is no such
name, the first field is taken whose numbers are seconds (or milliseconds …) since 1970 that go on
through the file, within two years before the file's own date. Where there is none of these either,
records of each kind may have a time of their own name: the first that a record has.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..reading.date_order import day_comes_first, is_ambiguous
from ..reading.field_names import TIME_NAMES
from ..reading.time_numbers import unix_ns
from ..reading.time_words import BEGINS_AS_TIME, SIZE_OF_TIME, SPEAKS_OF_TIME
from ..reading.times import TimeReader
from .envelopes import OUTER_TIME
from .files import written_ns

_log = logging.getLogger(__name__)
Record = dict[str, Any]
# Names of fields that hold a time, from one object to the next inside it.
_Path = tuple[str, ...]
# The field of a time, or the two of its date and its clock.
_Place = tuple[_Path, ...]
# Microseconds since 1970, as the journal writes them; the first is when the program said it.
_JOURNAL_TIMES = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")
# Names that are rather those of the moment of an event than of one in its life.
_OF_THE_EVENT = re.compile(
    r"(?i:@?(?:.*[\W_])?time_?stamp|event_?time|log_?time|date_?time|time|date)\Z"
)
# The words by which the names of a start and of an end differ, …
_THEN = r"(?=[^a-z]|time|ts|stamp|date|at|\Z)"
_START = re.compile(rf"(?<![a-z])(?:start(?:ed)?|begin|began|creat(?:ed?|ion)|open(?:ed)?){_THEN}")
_END = re.compile(
    rf"(?<![a-z])(?:end(?:ed)?|finish(?:ed)?|stop(?:ped)?|complet(?:ed?|ion)|closed?){_THEN}"
)
# … and what else may be in the name of one of them only.
_OF_A_TIME = re.compile(r"time|ts|stamp|date|at(?![a-z])|[^a-z0-9]")
# The field of the nanoseconds beside that of the seconds, as Log4j, protocol buffers and Google's
# agents write them.
_NANOS_BESIDE = {
    "epochSecond": "nanoOfSecond",
    "seconds": "nanos",
    "timestampSeconds": "timestampNanos",
}
# A clock, or a date, in a field of its own.
_CLOCK_ONLY = re.compile(r"\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm])?\Z")
_DATE_ONLY = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\Z")
# The share of the records that must have a time in a field for it to be theirs.
_MOST = 0.9
# Objects inside one another that are looked into.
_DEEPEST = 5
# Of numbers that are times, at most this share may be smaller than the number before them: what
# several hosts write is not quite in order, …
_BACK_SHARE = 0.2
# … but no number is smaller by more than this, in ns.
_BACK_NS = 3600 * 10**9
# Records that are needed to see that numbers go on with time.
_FEWEST = 20
# What has a start and an end lasts no longer than this, in ns: a longer-lived thing, such as a
# ticket, is not what one record tells of.
_LONGEST_NS = 6 * 3600 * 10**9
# The end of it is the time where records turn back by their start in at least this share of cases,
# and by their end in at most this share of those. So chance does not decide, and a file with the
# newest records first, which turns back by both, is read by the first field.
_BACK_FEW, _IN_ORDER = 0.02, 0.1
# A log is at most so old when its file is written, in ns (two years). An id that grows is rarely
# among the seconds of just these years.
_OLDEST_NS = 2 * 366 * 24 * 3600 * 10**9
# Times of logs lie between these.
_DAY_NS = 24 * 3600 * 10**9
EARLIEST_NS = unix_ns(datetime(1990, 1, 1, tzinfo=UTC))
_LATEST_NS = unix_ns(datetime(2100, 1, 1, tzinfo=UTC))


class RecordTimes:
    """Reads the times of the records of one file, in their order.

    `first` are its first records. `again` reads the file once more, where dates may be read in two
    ways: the order of all of them decides.
    """

    def __init__(
        self,
        path: Path,
        first: list[Record],
        timezone: str | None,
        again: Callable[[], Iterable[Record]],
    ) -> None:
        self._found = _time_places(first, written_ns(path))
        self._beside: _Path | None = None
        if self._found and self._found[0][0][-1] in _NANOS_BESIDE:
            *above, seconds = self._found[0][0]
            self._beside = (*above, _NANOS_BESIDE[seconds])
        self._reader = TimeReader(timezone=timezone)
        if not any(is_ambiguous(text) for text in self._texts(first)):
            return
        # Standard input cannot be read twice.
        records: Iterable[Record] = first
        if path.is_file():
            records = again()
        day_first = day_comes_first(self._texts(records), written_ns(path))
        self._reader = TimeReader(timezone=timezone, day_first=day_first)
        if day_first is not None:
            order = "month/day/year"
            if day_first:
                order = "day/month/year"
            _log.info("dates read as %s, by their order and the file's date file=%s", order, path)

    def time(self, record: Record) -> int | None:
        """The record's own time in ns, else that which stands beside it."""
        value = self._value(record)
        if value is not None:
            time_ns = _read(value, self._reader)
            if time_ns is not None and self._beside is not None:
                nanos = _at(record, self._beside)
                if isinstance(nanos, int):
                    time_ns += nanos
            return time_ns
        for name in _JOURNAL_TIMES:
            value = record.get(name)
            if isinstance(value, str | int) and str(value).isdigit():
                return int(value) * 1000
        if OUTER_TIME in record:
            return _read(record[OUTER_TIME], self._reader)
        return None

    def _value(self, record: Record) -> Any:
        for place in self._found:
            values = [_at(record, path) for path in place]
            if None not in values:
                if len(values) == 1:
                    return values[0]
                return " ".join(map(str, values))
        for name in TIME_NAMES:
            value = record.get(name)
            if value not in (None, ""):
                return value
        return None

    def _texts(self, records: Iterable[Record]) -> Iterator[str]:
        for record in records:
            value = self._value(record)
            if isinstance(value, str):
                yield value


def _time_places(first: list[Record], written: int | None) -> tuple[_Place, ...]:
    """Where records hold their time, the first that a record has; none for the usual names.

    `written` is the date of the file.
    """
    reader = TimeReader()
    if not first or _have_usual_times(first, reader):
        return ()
    paths = list(dict.fromkeys(path for record in first for path in _leaves(record)))
    named = [path for path in paths if any(map(SPEAKS_OF_TIME.search, path[-2:]))]
    dates = [path for path in named if _share(first, path, _is_date) >= _MOST]
    clocks = [path for path in named if _share(first, path, _is_clock) >= _MOST]
    if dates and clocks:
        return ((dates[0], clocks[0]),)

    def is_time(value: Any) -> bool:
        return _is_time(value, reader)

    named.sort(key=lambda path: (not _OF_THE_EVENT.match(path[-1]), len(path)))
    timed = [path for path in named if _share(first, path, is_time) >= _MOST]
    if timed:
        return ((_more_in_order(first, timed, reader),),)
    return _time_of_no_name(first, paths, reader, written) or _by_turns(first, named, is_time)


def _more_in_order(records: list[Record], timed: list[_Path], reader: TimeReader) -> _Path:
    """The first field; of a start and an end, the one by which the records are more in order.

    Records are written in the order of one of their times: spans, when they end. No other fields
    are compared, since one that hardly moves, such as the start of a process, is always in order.
    """
    first = timed[0]
    for other in timed[1:]:
        is_start = _is_start_and_end(other, first)
        if not is_start and not _is_start_and_end(first, other):
            continue
        both = [
            (one_ns, other_ns)
            for record in records
            if (one_ns := _read(_at(record, first), reader)) is not None
            and (other_ns := _read(_at(record, other), reader)) is not None
        ]
        lasted = [other_ns - first_ns for first_ns, other_ns in both]
        if is_start:
            lasted = [-ns for ns in lasted]
        ones, others = zip(*both, strict=True)
        turned_back = _turned_back(ones)
        if (
            sum(0 <= ns <= _LONGEST_NS for ns in lasted) >= _MOST * len(records)
            and len(set(others)) >= _MOST * len(set(ones))
            and turned_back > _BACK_FEW * len(ones)
            and _turned_back(others) <= _IN_ORDER * turned_back
        ):
            return other
    return first


def _turned_back(times: Sequence[int]) -> int:
    """How often a time lies before the one before it."""
    return sum(after < before for before, after in pairwise(times))


def _is_start_and_end(one: _Path, other: _Path) -> bool:
    """Whether two fields are the start and the end of the same thing.

    >>> _is_start_and_end(("startTime",), ("endTime",))
    True
    >>> _is_start_and_end(("service_started_at",), ("finished_at",))
    False
    """
    start, end = (
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ".".join(path)).lower() for path in (one, other)
    )
    if not _START.search(start) or not _END.search(end):
        return False
    start_of, end_of = _START.sub("", start), _END.sub("", end)
    return _OF_A_TIME.sub("", start_of) == _OF_A_TIME.sub("", end_of)


def _by_turns(
    records: list[Record], named: list[_Path], is_time: Callable[[Any], bool]
) -> tuple[_Place, ...]:
    """Fields of which nearly all records have one, as records of several kinds have them; the usual
    names first. None where a time stands beside a record, which is better than that of some.
    """
    if any(OUTER_TIME in record for record in records):
        return ()
    found = []
    left = records
    for path in sorted(named, key=lambda path: path[-1] not in TIME_NAMES):
        without = [record for record in left if not is_time(_at(record, path))]
        if len(without) < len(left):
            found.append((path,))
        left = without
    if len(records) - len(left) < _MOST * len(records):
        return ()
    return tuple(found)


def _time_of_no_name(
    first: list[Record], paths: list[_Path], reader: TimeReader, written: int | None
) -> tuple[_Place, ...]:
    """The first field whose values themselves tell that they are times."""
    timed = [path for path in paths if _share(first, path, _is_whole_time) >= _MOST]
    if not timed:
        timed = [path for path in paths if _goes_on(first, path, reader, written)]
    return tuple((path,) for path in timed[:1])


def _goes_on(first: list[Record], path: _Path, reader: TimeReader, written: int | None) -> bool:
    """Whether a field of an unknown name has numbers that are times: see the module's words."""
    values = [_at(record, path) for record in first]
    numbers = [value for value in values if _is_number(value)]
    if len(numbers) < max(_FEWEST, _MOST * len(first)):
        return False
    times = [time_ns for number in numbers if (time_ns := _read(number, reader)) is not None]
    # A day more is allowed, since times may be local ones.
    latest_ns = _LATEST_NS
    earliest_ns = EARLIEST_NS
    if written is not None:
        latest_ns = min(written + _DAY_NS, _LATEST_NS)
        earliest_ns = written - _OLDEST_NS
    if len(times) < len(numbers) or not earliest_ns < min(times) < max(times) < latest_ns:
        return False
    back = [before - after for before, after in pairwise(times) if after < before]
    return len(back) <= _BACK_SHARE * len(times) and max(back, default=0) <= _BACK_NS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and SIZE_OF_TIME.match(value) is not None
    )


def _have_usual_times(records: list[Record], reader: TimeReader) -> bool:
    """Whether nearly all have a time under one of the usual names, or are the journal's."""
    if any(name in records[0] for name in _JOURNAL_TIMES):
        return True
    read = 0
    for record in records:
        name = next((name for name in TIME_NAMES if record.get(name)), None)
        read += name is not None and _read(record[name], reader) is not None
    return read >= _MOST * len(records)


def _leaves(record: Record, above: _Path = ()) -> Iterator[_Path]:
    for name, value in record.items():
        if not isinstance(value, dict):
            yield (*above, name)
        elif len(above) < _DEEPEST:
            yield from _leaves(value, (*above, name))


def _at(record: Record, path: _Path) -> Any:
    value: Any = record
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _share(records: list[Record], path: _Path, fits: Callable[[Any], bool]) -> float:
    return sum(fits(_at(record, path)) for record in records) / len(records)


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and _DATE_ONLY.match(value) is not None


def _is_whole_time(value: Any) -> bool:
    """Whether a text is a date with a clock, so that it tells of itself that it is a time."""
    return isinstance(value, str) and BEGINS_AS_TIME.match(value) is not None


def _is_clock(value: Any) -> bool:
    return isinstance(value, str) and _CLOCK_ONLY.match(value) is not None


def _is_time(value: Any, reader: TimeReader) -> bool:
    time_ns = _read(value, reader)
    return time_ns is not None and EARLIEST_NS < time_ns < _LATEST_NS


def _read(value: Any, reader: TimeReader) -> int | None:
    if value is None or isinstance(value, bool | dict):
        return None
    try:
        time_ns = reader.read(value)
    except RecordError:
        return None
    # 0 is what a program writes that has no time.
    if time_ns <= 0:
        return None
    return time_ns
