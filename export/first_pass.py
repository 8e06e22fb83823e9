"""The first reading of a log: the session keys that it offers, its texts, the pauses inside its
sessions, and what is no event.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from fluent_krone.errors import ConfigError, ExportError, RecordError
from fluent_krone.inputs import Event, Inputs, count_events, find_files, no_time_in, read_events
from fluent_krone.inputs.files import UNREADABLE, describe
from fluent_krone.reading.accessor import message_getter
from fluent_krone.reading.levels import levels_of
from fluent_krone.reading.line_formats import are_several
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.values import as_bytes
from fluent_krone.reading.wildcards import as_text

from .header_forms import OF_TIME
from .kept_events import ReadEvent
from .nested_fields import plain_fields
from .pauses import Pauses
from .session_key import Candidate, labelled_key, option_of, suggest_session_keys

# The part of the log that samples are spread over.
SAMPLED_FROM = 20_000
# The share of records beyond which it is worth a warning that they can't be read.
MUCH = 0.05
# A zone in which a time without an offset is another one than in UTC, and events among which one
# has a time.
_ELSEWHERE = "Etc/GMT+1"
_FIRST = 1_000
# Bytes of a record that is shown as an example of those.
_SHOWN = 80
UNREADABLE_FIELD = UNREADABLE.encode()


def name_of(inputs: Inputs) -> str:
    return describe(find_files(inputs))


def suggestion(settings: InputSettings, inputs: Inputs) -> str:
    """Which session keys the first part of a log offers, in words.

    A name that was asked for, and that is no field but a label in the messages, comes first.
    """
    sample = _first_part(settings, inputs)
    names = [name for name in settings.session_key if name != settings.message_field]
    messages = [message for message, _ in sample]
    asked = (labelled_key(name, messages) for name in names)
    found = [
        *filter(None, asked),
        *suggest_session_keys(sample, are_lines=are_several(settings.line_format)),
    ]
    return option_of(list(dict.fromkeys(found)))


def session_keys(
    settings: InputSettings, inputs: Inputs, *, are_whole: bool = False
) -> list[Candidate]:
    """Which session keys the first part of a log offers, the best one first.

    Where they `are_whole`, ids are looked for in the headers of the lines as well.
    """
    records = _first_part(settings, inputs, are_whole=are_whole)
    are_lines = are_whole or are_several(settings.line_format)
    found = suggest_session_keys(records, are_lines=are_lines)
    if not are_whole:
        return found
    # They will be looked for in lines that have their times.
    times = {fields.get(part, "") for _, fields in records for part in OF_TIME}
    return [
        one
        for one in found
        if not one.option.startswith("/") or not any(re.search(one.option[1:-1], t) for t in times)
    ]


def _first_part(
    settings: InputSettings, inputs: Inputs, *, are_whole: bool = False
) -> list[tuple[str, dict[str, str]]]:
    """The message and the other fields of every record of the first part that can be read: how
    many records there are to a session is told by neighbours.

    Where they `are_whole`, the line without its time stands for the message.
    """
    sample = [record for _, record in islice(read_events(inputs), SAMPLED_FROM) if record]
    reader = RecordReader(settings)
    message_fields = [settings.message_field]
    if settings.line_format:
        message_fields.append("message")
    message_of = message_getter(message_fields[-1])
    line_of = message_getter(settings.message_field)
    listed = []
    for record in sample:
        with contextlib.suppress(RecordError):
            fields = reader.fields(record)
            message = as_bytes(message_of(fields) or b"")
            if reader.key_is_in_line(record):
                message = as_bytes(line_of(record))
            elif are_whole:
                message = as_bytes(line_of(record))
                for part in map(str.encode, OF_TIME):
                    message = message.replace(as_bytes(fields.get(part) or b""), b" ", 1)
            texts = {name: as_text(as_bytes(value)) for name, value in plain_fields(fields)}
            for name in message_fields:
                texts.pop(name, None)
            listed.append((as_text(message), texts))
    return listed


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
    # Events without a time.
    untimed: int = 0
    # One message of each reason for setting a record aside.
    example: dict[str, str] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=lambda: Pauses())

    def events(self) -> Iterator[ReadEvent]:
        """The text, the session keys and the rank of the level of every record that is an event."""
        reader = RecordReader(self.settings)
        levels = levels_of(reader)
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
                reason: str = error.reason
                shown = message_of(record)
                if UNREADABLE_FIELD in record:
                    reason = UNREADABLE
                    shown = record[UNREADABLE_FIELD]
                self.set_aside[reason] += 1
                if not self.example.get(reason, "").strip():
                    self.example[reason] = as_text(as_bytes(shown or b"")[:_SHOWN])
                continue
            if time_ns is None:
                self.untimed += 1
            else:
                for key in keys:
                    self.pauses.note(key, time_ns)
            yield as_text(text), tuple(keys), levels.rank(record)

    def check(self, say: Callable[[str], None]) -> None:
        """Raise ExportError where no record is an event; say where many are none, or untimed."""
        if self.records == self.set_aside.total():
            raise ExportError(self._nothing_read())
        events = self.records - self.set_aside.total()
        if no_time := no_time_in(self.untimed, events):
            say(f"warning: {no_time}")
        for reason, count in self.set_aside.most_common():
            if count > MUCH * self.records:
                share = f"{count:,} of {self.records:,} records ({count / self.records:.0%})"
                why = _SET_ASIDE.get(reason, reason)
                note = ""
                if reason == "continuation":
                    note = " (they go on from the lines before them, as in stack traces)"
                said = f"{why} and are left out, for example {self.example[reason]!r}{note}"
                say(f"warning: {share} {said}")

    def _nothing_read(self) -> str:
        reason, count = self.set_aside.most_common(1)[0]
        why = _SET_ASIDE.get(reason, reason)
        hint = "check the settings"
        if reason == "no_session_key":
            why += f" {','.join(self.settings.session_key)}"
            hint = suggestion(self.settings, self.inputs)
        return f"{name_of(self.inputs)}: all {count:,} records {why}: {hint}"


# Why records are set aside, in words.
_SET_ASIDE = {
    "line_format": "do not match the line format",
    "continuation": "do not match the line format",
    "no_message": "have no message",
    "no_session_key": "have no session key",
    UNREADABLE: "are not built like the others",
}


def timed(events: Iterator[Event], reader: RecordReader) -> Iterator[Event]:
    """Events with the times that the engine would take: the record's own where it has one."""
    for time_ns, record in events:
        own_ns = None
        if reader.has_time:
            with contextlib.suppress(RecordError):
                own_ns = reader.time(record)
        yield time_ns if own_ns is None else own_ns, record


def have_no_zone(inputs: Inputs, settings: InputSettings) -> bool:
    """Whether the first time of a log would be another one if the log came from another zone."""
    try:
        elsewhere_ns = _first_time(inputs, replace(settings, timezone=_ELSEWHERE))
    except ConfigError:
        # The machine has no table of zones.
        return False
    return elsewhere_ns != _first_time(inputs, settings)


def _first_time(inputs: Inputs, settings: InputSettings) -> int | None:
    events = timed(read_events(inputs, settings.timezone), RecordReader(settings))
    return next((ns for ns, _ in islice(events, _FIRST) if ns is not None), None)


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
            f"{name_of(inputs)}: --train-fraction {share:g} needs records with times, "
            "and none has one"
        )
    return at
