"""Golden runs: a session and a damaged copy of it, in lines that give nothing of the log away.

A bundle is loaded only if these lines still give the findings that they gave at export.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle, Golden, golden_findings, outline
from fluent_krone.errors import RecordError
from fluent_krone.reading.accessor import field_getter, is_path, message_getter, path_steps
from fluent_krone.reading.field_names import LEVEL_FIELDS
from fluent_krone.reading.json_lines import read_json_line
from fluent_krone.reading.line_formats import JSON, formats_in, python_regex
from fluent_krone.reading.records import InputSettings
from fluent_krone.reading.templates import WILDCARD
from fluent_krone.reading.values import as_bytes, as_fields
from fluent_krone.reading.wildcards import Template

# Letters of a hexadecimal id stay hexadecimal, or a session pattern would no longer find it.
_LETTERS = re.compile(r"(?<![\w-])(?=[a-f-]*1)[1a-f-]{8,}(?![\w-])|[^\W\d_]")
# The fields of a record in JSON that say how severe it is.
_SAID_OF_JSON = tuple(map(bytes.decode, LEVEL_FIELDS))
NOVEL_LINE = "this line is part of the golden run and fits no template"


def invent(
    records: Iterable[dict[bytes, Any]], settings: InputSettings, engine: Engine
) -> list[dict[str, Any]]:
    """The records of one session with every value replaced: digits by 1, letters by x."""
    invented = []
    for record in records:
        log_key = engine.matcher.match(engine.reader.read(b"", record)[0])
        fake = _invent_record(record, engine.log_key_text(log_key), settings)
        if _matches(fake, log_key, engine):
            invented.append(fake)
    return invented


def from_templates(
    log_keys: Iterable[int], settings: InputSettings, engine: Engine
) -> list[dict[str, Any]]:
    """Records made of templates alone, for sessions whose lines are not at hand."""
    wanted = [(key, _record_of(engine.log_key_text(key), settings)) for key in log_keys]
    return [record for key, record in wanted if _matches(record, key, engine)]


def _record_of(template: str, settings: InputSettings) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for part in settings.session_key:
        if part != "tag" and not part.startswith("/"):
            _put(record, part, "1")
    return _put(record, settings.message_field, WILDCARD.sub("1", template))


def _put(record: dict[str, Any], field: str, value: str) -> dict[str, Any]:
    """Set a field, or a nested one (`$.a.b`), of a record, and give the record back."""
    outer: list[str] = []
    name = field
    if field.startswith("$."):
        *outer, name = field[2:].split(".")
    holder = record
    for step in outer:
        holder = holder.setdefault(step, {})
    holder[name] = value
    return record


def _matches(record: dict[str, Any], log_key: int, engine: Engine) -> bool:
    try:
        return engine.matcher.match(engine.reader.read(b"", as_fields(record))[0]) == log_key
    except RecordError:
        return False


def _invent_record(
    record: dict[bytes, Any], template: str, settings: InputSettings
) -> dict[str, Any]:
    fake = _invent_fields(record, {settings.message_field, settings.component_field})
    for name in settings.facet_fields:
        value = field_getter(name)(record)
        if value is not None:
            _put(fake, name, _text(value))
    if "," in settings.message_field:
        return _with_composed(fake, record, template, settings)
    line = _text(field_getter(settings.message_field)(record))
    logger = None
    if settings.component_field:
        logger = field_getter(settings.component_field)(record)
    keys = _keys_in(line, settings)
    before = behind = ""
    message = line
    component = _text(logger or b"")
    if settings.line_format:
        found = _match_of(line, settings)
        if JSON in found.groupdict():
            invented = _invent_json(found, template, settings, keys)
            return _put(fake, settings.message_field, invented)
        before, component, behind, message = _cut_line(line, found, settings)
    if component and settings.component_field:
        component, template = _cut_component(component, template, keys)
    if settings.component_field and logger is not None:
        _put(fake, settings.component_field, component.rstrip(": "))
    if settings.line_format is not None:
        before += component
    invented = _invent_message(message, template, keys)
    return _put(fake, settings.message_field, before + behind + invented)


def _cut_component(component: str, template: str, keys: Sequence[str]) -> tuple[str, str]:
    """The component, without the number of its instance, and the template without the component."""
    named, sign, rest = template.partition(": ")
    if not sign or not Template(named).match(component.rstrip(": ").encode()):
        return component, template
    return _invent_message(component, named, keys), rest


def _with_composed(
    fake: dict[str, Any], record: dict[bytes, Any], template: str, settings: InputSettings
) -> dict[str, Any]:
    """A record whose fields make up the invented message: only what the template says stays."""
    names = [part.strip() for part in settings.message_field.split(",") if part.strip()]
    message = _text(message_getter(settings.message_field)(record))
    keys = _keys_in(message, settings)
    if settings.component_field:
        component = _text(field_getter(settings.component_field)(record) or b"")
        component, template = _cut_component(component, template, keys)
        _put(fake, settings.component_field, component)
    facets = (field_getter(name)(record) for name in settings.facet_fields)
    fields = "".join(rf"\[{re.escape(_text(value))}\] " for value in facets if value is not None)
    text = re.sub(rf"\A(?:{fields})?", "", template)
    invented = _invent_message(message, text, keys)
    there = [name for name in names if field_getter(name)(record) is not None]
    labels = [str(path_steps(name)[-1]) if is_path(name) else name for name in there]
    pattern = " ".join(f"{re.escape(label)}=(.*)" for label in labels)
    found = re.fullmatch(pattern, invented, re.DOTALL)
    if found is not None:
        for name, value in zip(there, found.groups(), strict=True):
            if name not in settings.facet_fields:
                _put(fake, name, value)
    return fake


def _invent_fields(
    record: dict[bytes, Any], keep: set[str | None], above: str = ""
) -> dict[str, Any]:
    """All plain fields with their values replaced.

    Those that settings name, as `a` or `$.a.b`, keep their letters.
    """
    fake: dict[str, Any] = {}
    for packed_name, value in record.items():
        name = packed_name.decode("utf-8", "replace")
        path = above + name
        if isinstance(value, dict):
            fake[name] = _invent_fields(value, keep, f"{path if above else '$.' + name}.")
        elif isinstance(value, str | bytes | int):
            fake[name] = _without_digits(_text(value), keep_letters=path in keep)
    return fake


def _match_of(line: str, settings: InputSettings) -> re.Match[str]:
    """How the first of the formats that fit a line reads it."""
    for line_format in formats_in(settings.line_format):
        found = re.match(python_regex(line_format), line.replace("\n", " "))
        if found and (JSON not in found.groupdict() or read_json_line(found[JSON].encode())):
            return found
    raise AssertionError("BUG: a line that was read fits no format")


def _invent_json(
    found: re.Match[str], template: str, settings: InputSettings, keys: Sequence[str]
) -> str:
    """A line of JSON whose message is invented, and has all that stood in fields beside it."""
    record = read_json_line(found[JSON].encode()) or {}
    component = _text(record.get("component", b""))
    if component and settings.component_field:
        component, template = _cut_component(component, template, keys)
        record["component"] = component
    message = _invent_message(str(record["message"]), template, keys)
    return _json_line(found, record, message)


def _json_line(found: re.Match[str], record: dict[str, Any], message: str) -> str:
    """A line of JSON that has only a time, a level, a component and a message."""
    kept = {name: record[name] for name in (*_SAID_OF_JSON, "component") if name in record}
    if "time" in record:
        # Numbers of seconds and of milliseconds differ in their length.
        kept["time"] = json.loads(_without_digits(json.dumps(record["time"]), keep_letters=True))
    before = _without_digits(found.string[: found.start(JSON)], keep_letters=True)
    return before + json.dumps({**kept, "message": message}, ensure_ascii=False)


def _cut_line(
    line: str, found: re.Match[str], settings: InputSettings
) -> tuple[str, str, str, str]:
    """The header of a raw line before its component, the component, the header behind it, message.

    Of the header, only its time, its level and a session key keep their letters: otherwise the
    session would be lost.
    """
    header = line[: found.start("message")]
    plain = ("message", "header", "time", "date", "level", settings.component_field)
    keys = _key_spans(line, settings)
    for name, value in found.groupdict().items():
        at, end = found.span(name)
        is_key = any(start < end and at < stop for start, stop in keys)
        # What is looked up behind the header is a part of the message.
        is_in_header = end <= len(header)
        if value and is_in_header and name not in plain and not is_key:
            header = header[:at] + _without_digits(value) + header[end:]
    header = _without_digits(header, keep_letters=True)
    if "time" in found.groupdict() and not found.re.match(header + found["message"]):
        # This header is known by what a date can be.
        start, end = found.span("time")
        header = header[:start] + line[start:end] + header[end:]
    start = end = 0
    if settings.component_field in found.groupdict():
        start, end = found.span(settings.component_field)
    if start < 0:
        start = end = 0
    return header[:start], line[start:end], header[end:], found["message"]


def _key_spans(line: str, settings: InputSettings) -> list[tuple[int, int]]:
    """Where session keys stand in a line, with all that their regexes take."""
    regexes = (part[1:-1] for part in settings.session_key if part.startswith("/"))
    return [found.span() for regex in regexes for found in re.finditer(python_regex(regex), line)]


def _keys_in(line: str, settings: InputSettings) -> list[str]:
    """The session keys in a line, with all that their regexes take."""
    return [line[start:end] for start, end in _key_spans(line, settings) if start < end]


def _text(value: Any) -> str:
    return as_bytes(value).decode("utf-8", "replace")


def golden_runs(bundle: Bundle, records: Sequence[dict[str, Any]]) -> list[Golden]:
    """The session as it is, and damaged.

    Its second half first, and a line that fits no template.
    """
    if not records:
        return []
    half = len(records) // 2
    field = bundle.input_settings.message_field.split(",")[0].strip()
    message = _text(field_getter(field)(as_fields(records[0])))
    novel = _put(copy.deepcopy(records[0]), field, _novel_message(message, bundle.input_settings))
    runs = (list(records), [*records[half:], novel, *records[:half]])
    return [
        Golden(records=tuple(run), findings=outline(golden_findings(bundle, run))) for run in runs
    ]


def _novel_message(message: str, settings: InputSettings) -> str:
    """A line of no template that keeps its session, where the message holds the key."""
    regexes = [part[1:-1] for part in settings.session_key if part.startswith("/")]
    found = [
        match[0]
        for regex in regexes
        for match in [re.search(python_regex(regex), message)]
        if match
    ]
    novel = " ".join([NOVEL_LINE, *found])
    if not settings.line_format or "," in settings.message_field:
        return novel
    line = _match_of(message, settings)
    if JSON in line.groupdict():
        return _json_line(line, read_json_line(line[JSON].encode()) or {}, novel)
    return "".join(_cut_line(message, line, settings)[:3]) + novel


def _invent_message(message: str, template: str, keys: Sequence[str]) -> str:
    # Every other part of a split is the name of a wildcard.
    pieces = WILDCARD.split(template)[::2]
    match = re.fullmatch("(.+?)".join(map(re.escape, pieces)), message.strip(), re.DOTALL)
    if match is None:
        # There is a header before the message, and its digits may be anybody's.
        return _without_digits(message, keep_letters=True)
    out = [pieces[0]]
    for value, piece in zip(match.groups(), pieces[1:], strict=True):
        out += [_invent_value(value, keys), piece]
    return "".join(out)


def _invent_value(value: str, keys: Sequence[str]) -> str:
    """Letters stay where they are part of a session key, or the session would be lost."""
    for key in keys:
        before, found, behind = value.partition(key)
        if found:
            kept = _without_digits(key, keep_letters=True)
            return _without_digits(before) + kept + _without_digits(behind)
        if value in key:
            return _without_digits(value, keep_letters=True)
    return _without_digits(value)


def _without_digits(text: str, *, keep_letters: bool = False) -> str:
    text = re.sub(r"\d", "1", text)
    if keep_letters:
        return text
    return _LETTERS.sub(_replace_letters, text)


def _replace_letters(found: re.Match[str]) -> str:
    """An `x` for a letter; a hexadecimal id keeps its form, with `a` for every letter."""
    if len(found[0]) > 1:
        return re.sub("[b-f]", "a", found[0])
    return "x"
