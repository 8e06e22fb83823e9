"""Whether a bundle and its settings fit the stream, judged by counters.

A stream that does not fit looks healthy from outside: records come and are acked. Yet nothing is
judged, or everything is called new. So each kind of misfit has one line that says what to do.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Protocol

from ..core.listing import listed
from ..core.stream.offsets import FAR_BEHIND_NS
from ..inputs.own_times import OwnTimes
from ..reading.accessor import is_path
from ..reading.records import InputSettings, RecordReader

_log = logging.getLogger(__name__)

# Records after which it is said that not one of them can be read. A quiet stream takes hours to
# send ten times as many, and none of them is judged.
FIRST_RECORDS = 100
# Records after which it is said that most of them cannot be read, as after a deploy.
SOME_RECORDS = 300
# Records after which it is decided whether the settings fit. Fewer could all come from one unusual
# source; many more would delay the warning.
ENOUGH_RECORDS = 1_000
# Events after which it is decided whether the bundle's templates fit. It takes more of them,
# since a new version of a program may log new lines at its start.
ENOUGH_EVENTS = 10_000
# Events without any level after which a warning says so. Only steps whose level matters are looked
# at.
_ENOUGH_LEVELS = 100
# Records after which counting begins anew: a stream that was put right is not held to its past.
_SPAN = 50_000
# Gaps that could not be judged after which a warning says that times lack their fractions. Of times
# that have them, one pair in a million is whole seconds.
_ENOUGH_UNCERTAIN = 20
# No zone is further away from UTC than 14 hours.
_MOST_OFFSET_S = 14 * 3600
_EXAMPLES = {"ahead of": "Europe/Berlin", "behind": "America/New_York"}
# From this share on, something is wrong with the whole stream and not with some of its sources.
_MOST = 0.5
# A share that no new version of a program reaches, since some of its lines stay.
_ALL = 0.99
# Field names that a remedy lists, and the most characters of one: a sender of records can make
# them as many and as long as it likes.
_MOST_NAMES = 12
_LONGEST_NAME = 40
# Reasons for which no record of any part of a log is set aside, where the settings fit.
_UNREADABLE = {"not_a_map", "no_message", "line_format"}


class Counted(Protocol):
    """What is looked at: an engine, or several engines with one reader."""

    @property
    def counters(self) -> Counter[str]:
        """What the engine counts."""

    @property
    def set_aside(self) -> Counter[str]:
        """Records that became no event, by reason."""

    @property
    def reader(self) -> RecordReader:
        """The reader of records."""

    @property
    def time_offset_s(self) -> int | None:
        """By how much all times are ahead of the wall clock, or behind it, where it is negative;
        None where they are not.
        """


class Misfit:
    """What does not fit since this was made; `engine` is the one that is fed.

    `enough_records` and `enough_events` are how many must have come before anything is said. What
    is not `live` is a file, whose times are behind the clock as they should be. `own_times` looks
    at the events that pass.
    """

    def __init__(
        self,
        engine: Counted,
        *,
        enough_records: int = ENOUGH_RECORDS,
        enough_events: int = ENOUGH_EVENTS,
        live: bool = True,
        own_times: OwnTimes | None = None,
    ) -> None:
        self._engine = engine
        self._enough_records = enough_records
        self._enough_events = enough_events
        self._live = live
        self._own_times = own_times or OwnTimes()
        # What was amiss in the span before, which stands until the present one tells more.
        self._last: str | None = None
        self._before = self._counts()
        # What was logged last, without its figures.
        self._logged: str | None = None

    def warn(self) -> None:
        """Log what is amiss, each kind of it once until it is gone.

        The figures in it change all the time.
        """
        trouble = self.trouble()
        kind = None
        if trouble is not None:
            kind = re.sub(r"\d+", "", trouble)
            if kind != self._logged:
                _log.warning("%s", trouble)
        self._logged = kind

    def trouble(self) -> str | None:
        """One line that names what does not fit and the remedy.

        None as long as nothing is amiss.
        """
        offset_s = self._engine.time_offset_s
        if offset_s is not None and (offset_s > 0 or self._is_late(offset_s)):
            return _offset(offset_s, live=self._live)
        counts = self._counts()
        counts.subtract(self._before)
        reader = self._engine.reader
        settings = reader.settings
        if counts["records"] < self._enough_records:
            first, some = (FIRST_RECORDS, SOME_RECORDS) if self._live else (1, 1)
            return self._last or _at_first(counts, reader, first, some)
        found = (
            _set_aside(counts, reader)
            or _component(counts, settings)
            or _level(counts, settings)
            or _times(counts, settings)
            or self._own_times.trouble()
            or _fractions(counts)
            or self._templates(counts)
            or self._version()
            or _long_ago(offset_s, settings)
        )
        if counts["records"] >= _SPAN:
            self._last = found
            self._before = self._counts()
            self._own_times.begin()
        return found

    def _is_late(self, offset_s: int) -> bool:
        """Whether times are behind the clock, and yet times of today's logs."""
        return self._live and offset_s * 10**9 > -FAR_BEHIND_NS

    def _templates(self, counts: Counter[str]) -> str | None:
        events = counts["events"]
        unmatched = counts["unmatched"]
        if events < self._enough_events and unmatched < _ALL * events:
            return None
        if events < self._enough_records or unmatched <= _MOST * events:
            return None
        return (
            f"bundle does not fit this stream: {unmatched} of {events} events match no template; "
            "export one for it"
        )

    def _version(self) -> str | None:
        """A label of the version that tells nothing."""
        if not self._engine.counters["version_label_useless"]:
            return None
        return (
            "the label of the version is another one in most sessions, so it names no version and "
            "is ignored: name the field of the version in version_field"
        )

    def _counts(self) -> Counter[str]:
        """The engine's counters, and those of its reader under names of their own."""
        engine = self._engine
        counts = engine.counters.copy()
        for reason, count in engine.set_aside.items():
            counts[f"aside {reason}"] = count
        counts["components_missing"] = engine.reader.components_missing
        counts["levels_asked"] = engine.reader.levels.total()
        counts["levels_missing"] = engine.reader.levels[False]
        return counts


def _offset(offset_s: int, *, live: bool) -> str:
    """Times that all differ from the clock by the same: local ones, read as UTC.

    Of a file, these are its last ones, which are believed in any case.
    """
    side, times, until = "ahead of", "all event times are", ""
    if offset_s < 0:
        side = "behind"
    if not live:
        times = "the last event times are"
    elif offset_s > 0:
        until = "until then sessions end by arrival"
    if abs(offset_s) > _MOST_OFFSET_S:
        words = (
            f"{times} {abs(offset_s) / 86400:.1f} days {side} the clock: check the clock of the "
            "source, and time_field and time_format"
        )
        return f"{words}; {until}" if until else words
    shown = f"alerts show times that are {side.removesuffix(' of')}"
    return (
        f"{times} {abs(offset_s) / 3600:g} h {side} the clock, as local times without an offset "
        f"are; name their zone with timezone, for example timezone {_EXAMPLES[side]}; "
        + (f"{until}, and {shown}" if until else f"until then {shown}")
    )


def _long_ago(offset_s: int | None, settings: InputSettings) -> str | None:
    """Numbers that are not dates: they would be from years in which this log was not written."""
    if offset_s is None or offset_s * 10**9 > -FAR_BEHIND_NS:
        return None
    source = "the time that the sender gives"
    if settings.time_field:
        source = f"time_field {settings.time_field!r}"
    return (
        f"all event times are {-offset_s / 86400 / 365:.0f} years behind the clock: what is read "
        f"from {source} is not a date, but for example seconds since a start; name a field that "
        "has a date, or leave time_field out, or check time_format"
    )


def _set_aside(counts: Counter[str], reader: RecordReader) -> str | None:
    asides = Counter({name: n for name, n in counts.items() if name.startswith("aside ")})
    # Lines of stack traces belong to the lines before them, however many there are.
    continued = asides.pop("aside continuation", 0)
    if not asides or asides.total() <= _MOST * (counts["records"] - continued):
        return None
    reason = asides.most_common(1)[0][0].removeprefix("aside ")
    share = f"{asides.total()} of {counts['records']} records are set aside ({reason})"
    return f"{share}: {_REMEDIES.get(reason, _remedy_of_record)(reader)}"


def _at_first(counts: Counter[str], reader: RecordReader, first: int, some: int) -> str | None:
    """What is said of few records already.

    After `first`: all are set aside, where none should be, or none has the component. After `some`:
    most are set aside, where none should be.
    """
    records = counts["records"]
    unreadable = sum(counts[f"aside {reason}"] for reason in _UNREADABLE)
    if records >= first and records <= unreadable:
        return _set_aside(counts, reader)
    if records >= some and unreadable > _MOST * records:
        return _set_aside(counts, reader)
    if counts["events"] >= first:
        return _component(counts, reader.settings)
    return None


def _remedy_of_record(reader: RecordReader) -> str:
    return "the records are not maps of fields; check what the source sends"


def _remedy_of_message(reader: RecordReader) -> str:
    name = reader.settings.message_field
    hint = ""
    if "." in name and not is_path(name):
        hint = f"; a nested field is written $.{name}"
    return (
        f"they have no text in message_field {name!r}; name the field that has the message{hint}"
        f"{_fields_of(reader, 'no_message')}"
    )


def _remedy_of_key(reader: RecordReader) -> str:
    key = ",".join(reader.settings.session_key)
    return (
        f"session_key {key} finds nothing in them; name fields or a /regex/ that these have"
        f"{_fields_of(reader, 'no_session_key')}"
    )


def _fields_of(reader: RecordReader, reason: str) -> str:
    """Which fields the records have that are set aside for a reason."""
    fields = reader.fields_aside.get(reason, ())
    names = [ascii(name.decode(errors="replace"))[:_LONGEST_NAME] for name in fields]
    if not names:
        return ""
    return f" (one of them has {listed(names, _MOST_NAMES)})"


def _remedy_of_line(reader: RecordReader) -> str:
    return (
        "their lines do not have the form of line_format; if the sender cuts off what stands "
        'before the message, as in_syslog and most parsers do, set line_format ""; if a record '
        "goes over several lines, have them joined (multiline); otherwise export a bundle from "
        "this stream"
    )


_REMEDIES = {
    "no_message": _remedy_of_message,
    "no_session_key": _remedy_of_key,
    "line_format": _remedy_of_line,
}


def _component(counts: Counter[str], settings: InputSettings) -> str | None:
    """A component that never is there: all templates that begin with one fail to match."""
    events = counts["events"]
    missing = counts["components_missing"]
    if settings.component_field is None or not events or missing < events:
        return None
    return (
        f"component_field {settings.component_field!r} is in none of {events} events; name the "
        "field that has the logger, or leave component_field out"
    )


def _level(counts: Counter[str], settings: InputSettings) -> str | None:
    """A field of the level that never has one: no event is found to be too severe then."""
    asked = counts["levels_asked"]
    if settings.level_field is None or asked < _ENOUGH_LEVELS or counts["levels_missing"] < asked:
        return None
    return (
        f"level_field {settings.level_field!r} has a level in none of {asked} events; name the "
        "field that has the level, or leave level_field out"
    )


def _times(counts: Counter[str], settings: InputSettings) -> str | None:
    events = counts["events"]
    unreadable = counts["time_unreadable"]
    if unreadable > _MOST * events:
        source = "line_format"
        if settings.time_field:
            source = f"time_field {settings.time_field!r}"
        return (
            f"the time of {unreadable} of {events} events cannot be read from {source}; check it "
            "and time_format"
        )
    disbelieved = counts["time_in_future"] + counts["time_leap"]
    if disbelieved <= _MOST * events:
        return None
    return (
        f"the times of {disbelieved} of {events} events are ahead of the clock and not believed; "
        "check the clock and the time zone of the source (timezone, time_format), or max_future"
    )


def _fractions(counts: Counter[str]) -> str | None:
    """Times that are whole seconds, where training had fractions."""
    uncertain = counts["gaps_uncertain"]
    if uncertain < _ENOUGH_UNCERTAIN:
        return None
    return (
        f"event times are whole seconds, and those of training had fractions: {uncertain} gaps "
        "could not be judged; send fractions (no time_as_integer, a time_format with %N or %L), or "
        "export a bundle from this stream"
    )
