"""What an export learns of its input before it mines.

Which settings read it, and how long sessions pause.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from fluent_krone.errors import ExportError, RecordError
from fluent_krone.inputs import Event, Inputs, count_events, find_files, read_events
from fluent_krone.inputs.files import describe
from fluent_krone.reading.accessor import is_path, message_getter
from fluent_krone.reading.records import (
    InputSettings,
    RecordReader,
    SessionKey,
    as_bytes,
    python_regex,
)
from fluent_krone.reading.times import parse_time

from . import facets
from .guess import LineFormat, guess_line_format
from .mask import Masker
from .session_key import option_of, suggest_session_keys
from .stages import Options

# Records in the sample that settings are guessed from, and the part of the log that it is spread
# over.
_SAMPLE = 2_000
_SAMPLED_FROM = 20_000
_MESSAGE_NAMES = (
    "message",
    "msg",
    "log",
    "Content",
    "content",
    "text",
    "body",
    "event",
    "MESSAGE",
    "m_message",
)
_COMPONENT_NAMES = ("component", "logger", "logger_name", "Component")
# A message that occurs so often in the sample, and from so many components, says nothing of them.
_OFTEN = 10
_MANY = 5
# The share of records beyond which it is worth a warning that they can't be read.
_MUCH = 0.05
_NS = 1_000_000_000

Say = Callable[[str], None]


def settle(options: Options, say: Say, warn: Say) -> InputSettings:
    """Settings that read `options.input`: as given, else guessed from a sample and said.

    Raises ExportError where no session key is given, with those that may serve.
    """
    assert options.input
    _check_time_format(options.time_format)
    sample = _sample(options.input)
    message = _message_field(options, sample, say)
    settings = InputSettings(
        session_key=options.session_key or (message,),
        message_field=message,
        component_field=options.component_field,
        time_field=options.time_field,
        time_format=options.time_format,
        timezone=options.timezone,
        line_format=options.line_format or None,
    )
    if options.line_format is None:
        settings = _guessed_header(settings, options, sample, say, warn)
    if settings.component_field is None:
        settings = replace(settings, component_field=_component(sample, say))
    facet_fields = options.facet_fields
    if facet_fields is None:
        facet_fields = _facet_fields(options.input, settings, say)
    settings = replace(settings, facet_fields=facet_fields)
    if not options.session_key:
        raise ExportError(
            "--session-key is missing: it says which records belong to one execution; "
            + suggestion(settings, sample)
        )
    return settings


def _check_time_format(time_format: str | None) -> None:
    if time_format and "%y" not in time_format.lower():
        raise ExportError(
            f"--time-format {time_format!r} has no year: leave --time-format out, and the file's "
            "own date gives the year"
        )


def _message_field(options: Options, sample: list[dict[bytes, Any]], say: Say) -> str:
    """The field that holds the message: the one given, else one by a usual name.

    Records without text have a message that is made of their categorical fields, which is said.
    """
    fields = {name.decode("utf-8", "replace") for record in sample for name in record}
    message = options.message_field
    if message is None:
        message = next((name for name in _MESSAGE_NAMES if _is_text(name, sample)), None)
    if message is None:
        message = next((name for name in _MESSAGE_NAMES if name in fields), None)
        composed = _categorical(sample)
        if composed and (message is None or message in composed):
            message = ",".join(composed)
            example = message_getter(message)(sample[0]) or b""
            say(
                f"no field has a message text, so it is made of {message}, as in "
                f"{example.decode('utf-8', 'replace')!r} (--message-field names others)"
            )
            return message
    message = message or "message"
    if not is_path(message) and "," not in message and message not in fields:
        hint = ""
        if "." in message:
            hint = f"; a nested field is written $.{message}"
        raise ExportError(
            f"{_name(options.input or '')}: no record has a field {message!r}: name one of these "
            f"with --message-field: {_list(fields)}{hint}"
        )
    return message


def _is_text(name: str, sample: list[dict[bytes, Any]]) -> bool:
    """Whether most records have a field of that name, and it holds sentences or lines."""
    values = [record.get(name.encode()) for record in sample]
    texts = [value for value in values if isinstance(value, bytes) and value.strip()]
    if len(texts) < len(sample) / 2:
        return False
    # An event's name, such as `login`, is no text; a line of text has blanks or many forms.
    return any(b" " in text for text in texts) or len(set(texts)) > _FEW_VALUES


# Fields that say what happened, in the order in which a message is made of them.
_EVENT_NAMES = (
    *("event", "event_type", "eventName", "event_name", "action", "msg", "message", "type", "kind"),
    *(
        "operation",
        "op",
        "command",
        "method",
        "http_method",
        "verb",
        "route",
        "endpoint",
        "handler",
    ),
    *("state", "outcome", "result", "status", "status_code", "code", "reason", "error"),
)
# Distinct values of a categorical field; more are data.
_FEW_VALUES = 40


def _categorical(sample: list[dict[bytes, Any]]) -> list[str]:
    """Fields that name what happened and take few values, by their usual names."""
    found = []
    for name in _EVENT_NAMES:
        values = [record[name.encode()] for record in sample if name.encode() in record]
        plain = [value for value in values if isinstance(value, bytes | int | bool)]
        few = 1 <= len(set(plain)) <= min(_FEW_VALUES, max(2, len(sample) // 5))
        if plain and few and len(plain) >= _RARELY * len(sample):
            found.append(name)
    return found


def _facet_fields(inputs: Inputs, settings: InputSettings, say: Say) -> tuple[str, ...]:
    """Fields beside the message, or groups of the header, that divide messages of one form."""
    reader = RecordReader(replace(settings, component_field=None, session_key=("tag",)))
    masker = Masker(None)
    listed: list[tuple[str, dict[str, str]]] = []
    named: set[str] = set()
    for _, record in islice(read_events(inputs), _SAMPLED_FROM):
        try:
            text, _keys = reader.read(b"tag", record)
        except RecordError:
            continue
        plain = _fields_of(reader, record)
        named |= plain.keys()
        listed.append((masker.form(text.decode("utf-8", "replace")), plain))
    made_of = settings.message_field.split(",")
    names = [name for name in _FACET_NAMES if name in named and name not in made_of]
    found = facets.fields_that_divide(listed, names)
    if found:
        say(f"fields that tell steps apart, found: {', '.join(found)}")
    return tuple(found)


def _fields_of(reader: RecordReader, record: dict[bytes, Any]) -> dict[str, str]:
    """The fields that may be facets, of the record and of its line's header."""
    fields = reader.fields(record)
    found = {}
    for name in _FACET_NAMES:
        value = fields.get(name.encode())
        if isinstance(value, bytes | int):
            found[name] = as_bytes(value).decode("utf-8", "replace")
    return found


# Fields whose value may be a part of the step.
_FACET_NAMES = (
    *("level", "severity", "lvl", "loglevel", "log_level", "log.level", "PRIORITY", "levelname"),
    *(
        "status",
        "status_code",
        "statusCode",
        "http_status",
        "code",
        "exit_code",
        "result",
        "outcome",
    ),
    *("method", "http_method", "verb", "state", "phase"),
)
# Lines that are shown of a guessed header.
_SHOWN = 3
# A categorical field is in at least this share of the records.
_RARELY = 0.05


def _guessed_header(
    settings: InputSettings, options: Options, sample: list[dict[bytes, Any]], say: Say, warn: Say
) -> InputSettings:
    """The settings with the header that most lines share.

    Plain text without one gives a warning.
    """
    is_text = all(record.keys() == {b"message"} for record in sample)
    guess = guess_line_format(_messages(settings, sample), _pattern(options))
    if guess and guess.has_component and _says_anyone(guess, _messages(settings, sample)):
        guess = replace(guess, has_component=False)
    if guess and (is_text or guess.share > 1 - _MUCH):
        _say_guess(guess, _messages(settings, sample), say)
        return _with(settings, guess)
    if is_text:
        warn(
            "most of the lines have no known header, so the whole line is taken as the message; "
            "--line-format can say otherwise"
        )
    return settings


def _says_anyone(guess: LineFormat, lines: list[str]) -> bool:
    """Whether the same messages come from many components: then these do not say what is going on.

    A proxy logs the same few messages for each program that uses it. Were the program the entity,
    each message would be a template of its own for every program, and a new program would be
    news.
    """
    pattern = re.compile(python_regex(guess.line_format))
    masker = Masker(None)
    components: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for line in lines:
        found = pattern.match(line)
        if found and found["component"]:
            form = masker.form(found["message"])
            components[form].add(found["component"])
            counts[form] += 1
    often = [form for form, count in counts.items() if count >= _OFTEN]
    many = sum(counts[form] for form in often if len(components[form]) >= _MANY)
    return many > counts.total() / 2


def _sample(inputs: Inputs) -> list[dict[bytes, Any]]:
    """Records from the first part of the log, spread evenly."""
    read = [record for _, record in islice(read_events(inputs), _SAMPLED_FROM)]
    records = [record for record in read if any(record.values())]
    if not records:
        why = "the file is empty"
        if read[2:]:
            why = f"none of the first {len(read):,} lines can be read"
        raise ExportError(f"{_name(inputs)}: {why}, so there is nothing to learn from")
    return records[:: max(1, len(records) // _SAMPLE)]


def _name(inputs: Inputs) -> str:
    return describe(find_files(inputs))


def _component(sample: list[dict[bytes, Any]], say: Say) -> str | None:
    """A field that all records have by a name that loggers go by."""
    for name in _COMPONENT_NAMES:
        values = {record.get(name.encode()) for record in sample}
        if all(isinstance(value, bytes) and value for value in values) and len(values) < 0.1 * len(
            sample
        ):
            say(f"component field, guessed: {name}")
            return name
    return None


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)[:20])


def _pattern(options: Options) -> str | None:
    return next((part[1:-1] for part in options.session_key if part.startswith("/")), None)


def _messages(settings: InputSettings, sample: list[dict[bytes, Any]]) -> list[str]:
    messages = map(message_getter(settings.message_field), sample)
    return [
        message.decode("utf-8", "replace") for message in messages if isinstance(message, bytes)
    ]


def _with(settings: InputSettings, guess: LineFormat) -> InputSettings:
    component = settings.component_field
    if component is None and guess.has_component:
        component = "component"
    return replace(
        settings,
        line_format=guess.line_format,
        time_format=settings.time_format or guess.time_format,
        component_field=component,
    )


def _say_guess(guess: LineFormat, lines: Sequence[str], say: Say) -> None:
    """Say the header that was guessed, and show what it strips from three lines."""
    say(f"line format, guessed, for {guess.share:.1%} of the lines: {guess.line_format}")
    shown = ", ".join(f"{name} {value[:60]!r}" for name, value in guess.example.items())
    say(f"  so that the first line has {shown}")
    pattern = re.compile(python_regex(guess.line_format))
    matched = [found for line in lines if (found := pattern.match(line))]
    say("  what is stripped, and the message that is left:")
    for found in matched[:: max(1, len(matched) // _SHOWN)][:_SHOWN]:
        header = found[0][: found.start("message")].strip()
        say(f"    {header[:80]!r} | {found['message'][:80]!r}")


def suggestion(settings: InputSettings, sample: list[dict[bytes, Any]]) -> str:
    """Which session keys a sample of records offers, in words."""
    pattern = None
    if settings.line_format:
        pattern = re.compile(python_regex(settings.line_format))
    message_of = message_getter(settings.message_field)
    listed = []
    for record in sample:
        plain = {name: value for name, value in record.items() if not isinstance(value, dict)}
        texts = {
            n.decode("utf-8", "replace"): as_bytes(v).decode("utf-8", "replace")
            for n, v in plain.items()
        }
        texts.pop(settings.message_field, None)
        message = as_bytes(message_of(record) or b"").decode("utf-8", "replace")
        if pattern and (found := pattern.match(message)):
            groups = {name: value for name, value in found.groupdict().items() if value}
            message = groups.pop("message")
            texts |= groups
        listed.append((message, texts))
    return option_of(suggest_session_keys(listed))


@dataclass(slots=True)
class FirstPass:
    """Reads a log once: texts to mine, what could not be read, and the pauses inside sessions."""

    inputs: Inputs
    settings: InputSettings
    # Only records before this time are looked at.
    before_ns: int | None = None
    on_record: Callable[[int], None] = lambda done: None
    records: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    # One message of each reason for setting a record aside.
    example: dict[str, str] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=lambda: Pauses())

    def texts(self) -> Iterator[str]:
        """The text of every record that is an event."""
        reader = RecordReader(self.settings)
        message_of = message_getter(self.settings.message_field)
        for time_ns, record in timed(read_events(self.inputs, self.settings.timezone), reader):
            if self.before_ns is not None and time_ns is not None and time_ns >= self.before_ns:
                continue
            self.records += 1
            if self.records % 1000 == 0:
                self.on_record(self.records)
            try:
                text, keys = reader.read(b"", record)
            except RecordError as error:
                self.set_aside[error.reason] += 1
                self.example.setdefault(
                    error.reason, repr(as_bytes(message_of(record) or b"")[:80])[1:]
                )
                continue
            if time_ns is not None:
                for key in keys:
                    self.pauses.note(key, time_ns)
            yield text.decode("utf-8", "replace")

    def check(self, say: Say) -> None:
        """Raise ExportError where no record is an event; say where many are none."""
        if self.records == self.set_aside.total():
            raise ExportError(self._nothing_read())
        for reason, count in self.set_aside.most_common():
            if count > _MUCH * self.records:
                share = f"{count:,} of {self.records:,} records ({count / self.records:.0%})"
                why = _SET_ASIDE.get(reason, reason)
                say(f"warning: {share} {why} and are left out, for example {self.example[reason]}")

    def _nothing_read(self) -> str:
        reason, count = self.set_aside.most_common(1)[0]
        why = _SET_ASIDE.get(reason, reason)
        hint = "check the settings"
        if reason == "no_session_key":
            why += f" of {','.join(self.settings.session_key)}"
            hint = suggestion(self.settings, _sample(self.inputs))
        return f"{_name(self.inputs)}: all {count:,} records {why}: {hint}"


# Why records are set aside, in words.
_SET_ASIDE = {
    "line_format": "do not match the line format",
    "no_message": "have no message",
    "no_session_key": "belong to no session",
}


def timed(events: Iterator[Event], reader: RecordReader) -> Iterator[Event]:
    """Events with the times that the engine would take: the record's own where it has one."""
    for time_ns, record in events:
        if reader.has_time:
            try:
                yield reader.time(record), record
                continue
            except RecordError:
                pass
        yield time_ns, record


def cut_off(inputs: Inputs, settings: InputSettings, share: float) -> int | None:
    """The time of the event at `share` of the log; None to train on all of it."""
    if share >= 1:
        return None
    total = count_events(inputs) or sum(1 for _ in read_events(inputs))
    events = islice(
        timed(read_events(inputs, settings.timezone), RecordReader(settings)),
        int(share * total),
        None,
    )
    at = next((time_ns for time_ns, _ in events if time_ns is not None), None)
    if at is None:
        raise ExportError(
            f"{_name(inputs)}: --train-fraction {share:g} needs records with times, "
            "and none has one"
        )
    return at


_LADDER = tuple(
    int(n * unit)
    for unit, steps in ((60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12, 18)))
    for n in steps
) + tuple(86_400 * n for n in (1, 2, 3, 7, 14, 30))
# How many times the longest pause the timeout is at least, so that noise does not cut sessions.
_MARGIN = 1.1
# At least this share of the sessions has no longer pause than the suggested timeout …
_COVERED = 0.95
# … and hardly any (`_STRAYS`) has a pause of up to `_REUSED` times as long. A key that comes back
# after a still longer pause is a new session.
_REUSED = 8
_STRAYS = 0.005


class Pauses:
    """The pauses between events of one session key, and how long keys live."""

    def __init__(self) -> None:
        self._first: dict[SessionKey, int] = {}
        self._last: dict[SessionKey, int] = {}
        self._longest: dict[SessionKey, int] = {}
        self._all: Counter[int] = Counter()  # by rung of the ladder

    def note(self, key: SessionKey, time_ns: int) -> None:
        last = self._last.get(key)
        if last is None:
            self._first[key] = self._last[key] = time_ns
            return
        pause = time_ns - last
        if pause > 0:
            self._last[key] = time_ns
            self._all[_rung(pause / _NS)] += 1
            if pause > self._longest.get(key, 0):
                self._longest[key] = pause

    def suggest(self) -> tuple[int, str] | None:
        """An idle timeout in seconds, and why.

        None where nothing was seen twice at different times.
        """
        if not self._longest:
            return None
        log_s = (max(self._last.values()) - min(self._first.values())) / _NS
        lives = sorted((self._last[key] - self._first[key]) / _NS for key in self._longest)
        if log_s > 2 * _LADDER[0] and lives[len(lives) // 2] > log_s / 2:
            seen = 0
            most = 0.99 * self._all.total()
            for rung in sorted(self._all):
                if (seen := seen + self._all[rung]) >= most:
                    break
            why = "session keys occur during the whole log, so a long pause ends a session"
            return min(rung, 3600), why
        longest = sorted(pause / _NS for pause in self._longest.values())
        for rung in _LADDER:
            below = bisect(longest, rung / _MARGIN)
            above = bisect(longest, rung * _REUSED) - below
            if below >= _COVERED * len(longest) and above <= _STRAYS * len(longest):
                break
        return rung, f"{below / len(longest):.1%} of the sessions never pause longer"


def _rung(seconds: float) -> int:
    return next((rung for rung in _LADDER if rung >= seconds), _LADDER[-1])


def duration(seconds: float) -> str:
    """As an operator writes it: 90 → `90s`, 3600 → `1h`."""
    for unit, n in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= n and seconds % n == 0:
            return f"{int(seconds // n)}{unit}"
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{seconds:g}"


def row_time(value: Any) -> int | None:
    """The time of a session that was cut elsewhere; None where it has none."""
    try:
        if value in (None, ""):
            return None
        return parse_time(str(value))
    except (RecordError, OverflowError):
        return None
