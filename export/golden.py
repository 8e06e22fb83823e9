"""Golden runs: a session and a damaged copy of it, in lines that give nothing of the log away.

A bundle is loaded only if these lines still give the findings that they gave at export.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.core.records import InputSettings, as_bytes
from fluent_krone.core.templates import WILDCARD
from fluent_krone.detect.bundle import Bundle, Golden, golden_findings, outline

NOVEL_LINE = "this line is part of the golden run and fits no template"


def invent(records: Iterable[dict[bytes, Any]], settings: InputSettings, engine: Engine) -> list[dict[str, str]]:
    """The records of one session with every value replaced: digits by 1, letters by x."""
    keep = {settings.message_field, settings.component_field}
    invented = []
    for record in records:
        text, _ = engine.reader.read(b"", record)
        log_key = engine.matcher.match(text)
        fake = {
            name.decode(): _without_digits(
                as_bytes(value).decode("utf-8", "replace"), keep_letters=name.decode() in keep
            )
            for name, value in record.items()
            if isinstance(value, str | bytes | int)
        }
        message = as_bytes(record[settings.message_field.encode()]).decode("utf-8", "replace")
        component = (
            text[: -len(message.strip().encode())].decode("utf-8", "replace") if settings.component_field else ""
        )
        if settings.component_field:
            fake[settings.component_field] = component.rstrip(": ")
        template = engine.log_key_text(log_key).removeprefix(component)
        fake[settings.message_field] = _invent_message(message, template, settings)
        packed = {name.encode(): value.encode() for name, value in fake.items()}
        if engine.matcher.match(engine.reader.read(b"", packed)[0]) == log_key:
            invented.append(fake)
    return invented


def golden_runs(bundle: Bundle, records: Sequence[dict[str, str]]) -> list[Golden]:
    """The session as it is, and damaged: its second half first, and a line that fits no template."""
    if not records:
        return []
    half = len(records) // 2
    message = bundle.input_settings.message_field
    novel = {**records[0], message: _novel_message(records[0][message], bundle.input_settings)}
    runs = (list(records), [*records[half:], novel, *records[:half]])
    return [Golden(records=tuple(run), findings=outline(golden_findings(bundle, run))) for run in runs]


def _novel_message(message: str, settings: InputSettings) -> str:
    """A line of no template that keeps its session, where the message holds the key."""
    regexes = [part[1:-1] for part in settings.session_key if part.startswith("/")]
    found = [match[0] for regex in regexes for match in [re.search(regex, message)] if match]
    return " ".join([NOVEL_LINE, *found])


def _invent_message(message: str, template: str, settings: InputSettings) -> str:
    pieces = WILDCARD.split(template)
    match = re.fullmatch("(.+?)".join(map(re.escape, pieces)), message.strip(), re.DOTALL)
    if match is None:  # a header before it (line_format): its digits go
        return _without_digits(message, keep_letters=True)
    out = [pieces[0]]
    for value, piece in zip(match.groups(), pieces[1:], strict=True):
        out += [_invent_value(value, settings), piece]
    return "".join(out)


def _invent_value(value: str, settings: InputSettings) -> str:
    """Letters stay where they are part of a session key, or the session would be lost."""
    for part in settings.session_key:
        if part.startswith("/") and (match := re.search(part[1:-1], value)):
            key = _without_digits(match[0], keep_letters=True)
            return _without_digits(value[: match.start()]) + key + _without_digits(value[match.end() :])
    return _without_digits(value)


def _without_digits(text: str, *, keep_letters: bool = False) -> str:
    text = re.sub(r"\d", "1", text)
    return text if keep_letters else re.sub(r"[^\W\d_]", "x", text)
