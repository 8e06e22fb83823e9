"""What every implementation of `reading.seam.Reading` must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fluent_krone.errors import RecordError
from fluent_krone.reading.events import EventReader
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.seam import Note, Reading
from fluent_krone.reading.slots import SlotReader
from fluent_krone.reading.templates import TemplateMatcher

TEMPLATES = ["web: served <id> in <num> ms", "served <id> in <num> ms", "code 404 of <id>", "bye"]
SETTINGS = [
    InputSettings(session_key=("/req-[0-9a-f]+/",), component_field="unit"),
    InputSettings(session_key=("/req-[0-9a-f]+/",)),
    InputSettings(session_key=("host", "tag"), facet_fields=("level",)),
    InputSettings(session_key=("/req-[0-9]+/",), facet_fields=("level", "unit")),
    InputSettings(session_key=("host",), facet_fields=("code",), component_field="unit"),
    InputSettings(session_key=("host",), message_field="$.log.text"),
    InputSettings(session_key=("/req-[0-9]+/",), line_format="^(?<level>[A-Z]+) (?<message>.*)$"),
    InputSettings(
        session_key=("/req-[0-9]+/",),
        line_format="^(?<level>[A-Z]+) (?<component>[a-z]+): (?<message>.*)$",
        component_field="component",
    ),
    InputSettings(
        session_key=("/req-[0-9]+/",),
        line_format="^(?<header>[A-Z]+ [(]req-[0-9]+[)] )(?<message>.*)$\n^(?<message>served.*)$",
    ),
    InputSettings(
        session_key=("host",),
        line_format="^(?<level>[A-Z]+) (?<message>.*)$",
        message_field="$.log.text",
        facet_fields=("level",),
    ),
]
MESSAGES = [
    b"served req-17 in 3 ms",
    b"served req-99 in 8 ms",
    b"served req-18 in 4 ms",
    b"served req-beef in 45 ms",
    b"code 404 of req-17",
    b"code 405 of req-17",
    b"INFO served req-7 in 5 ms",
    b"INFO served req-8 in 6 ms",
    b"INFO web: served req-7 in 5 ms",
    b"WARN web: served req-9 in 6 ms",
    b"WARN (req-7) served req-8 in 6 ms",
    b"WARN (req-8) served req-9 in 7 ms",
    b"INFO two\nlines of req-8",
    b"\x1b[31mserved req-1 in 2 ms\x1b[0m ",
    b"req-1 and req-2",
    b"nothing",
    b"",
]
RECORDS: list[Any] = [
    {b"message": m, b"log": {b"text": m}, b"unit": unit, b"host": b"a", b"level": b"INFO"}
    for unit in (b"web", b"", 7)
    for m in MESSAGES
]
RECORDS += [
    {b"message": b"served req-5 in 6 ms", b"host": b"a", b"unit": b"web", b"code": code}
    for code in (200, 1, True, 1.0, b"1", None, [1], {b"a": 1}, "1", b"x" * 50, b"[")
]
RECORDS += [None, 5, [b"message"], {}, {b"message": 17, b"host": b"a"}, {b"message": [b"x"]}]


def python(settings: InputSettings, note: Note) -> Reading:
    return EventReader(RecordReader(settings), TemplateMatcher(TEMPLATES), note=note)


# An implementation that is added is added here.
IMPLEMENTATIONS: list[Callable[[InputSettings, Note], Reading]] = [python]


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RecordError as error:
        return error.reason


@pytest.mark.parametrize("make", IMPLEMENTATIONS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: one.session_key[0])
def test_records_are_read_as_the_definition_says(
    make: Callable[[InputSettings, Note], Reading], settings: InputSettings
) -> None:
    reader = RecordReader(settings)
    matcher = TemplateMatcher(TEMPLATES)
    slots = SlotReader(TEMPLATES)
    noted = 0

    def note(log_key: int, text: bytes, record: Any) -> Sequence[Any]:
        return [log_key, *slots.spans(log_key, text)] if log_key >= 0 else [log_key]

    reading = make(settings, note)
    # Three times, so that whatever is remembered is used.
    for record in RECORDS * 3:
        expected = outcome(lambda one=record: reader.read(b"app", one))
        found = outcome(lambda one=record: reading.read(b"app", one))
        if isinstance(expected, str):
            assert found == expected
            continue
        text, keys = expected
        log_key = matcher.match(text)
        assert (found[0], found[1], list(found[2])) == (log_key, text, keys)
        if found[3] is not None:
            noted += 1
            assert list(found[3]) == list(note(log_key, text, record))
    if settings.session_key[0].startswith("/"):
        assert noted, "no shape was remembered, so nothing was shown of notes"
