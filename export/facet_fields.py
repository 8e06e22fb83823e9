"""Facets that are fields of records: those that divide messages of one form into a few kinds.

Their values stand in brackets before the message, so each is a part of its template.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from fluent_krone.errors import RecordError
from fluent_krone.inputs import Inputs, read_events
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.values import as_bytes

from .event_names import numbered_events
from .facets import FEW, GROWTH, MAX_VALUES, MIN_COUNT, REST, is_stable
from .first_pass import SAMPLED_FROM
from .message_fields import is_outcome
from .nested_fields import last_name

# Records after which it is known which fields there are.
_ENOUGH = 500
# Fields whose value may be a part of the step.
_FACET_NAMES = (
    *("level", "severity", "sev", "lvl", "loglevel", "log_level", "log.level", "PRIORITY"),
    *("levelname", "status", "status_code", "statusCode", "http_status", "code", "exit_code"),
    *("result", "outcome", "method", "http_method", "verb", "state", "phase"),
)
# Further fields that say how a step went.
_OUTCOMES = ("rc", "reply", "response", "decision", "reason", "cause")
_BRACKETS = re.compile(r"(?P<component>(?:[^\s\[\]][^\[\]]*?: )?)(?P<values>(?:\[[^\[\]]*\] )+)")


def with_field_facets(
    rows: Sequence[dict[str, Any]], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows whose text begins with the values of `fields`, each with its plain template behind.

    The plain template takes any level, status or method there: what falls to it is an unseen leaf.
    It does not take another word of a field that names the step, since that is another step.
    """
    if not fields:
        return list(rows)
    cut = [_Brackets.of(row["template"], len(fields)) for row in rows]
    words = _words_of(fields, [brackets.values for brackets in cut if brackets is not None])
    out: list[dict[str, Any]] = []
    plain: dict[str, dict[str, Any]] = {}
    for row, brackets in zip(rows, cut, strict=True):
        if brackets is None:
            out.append(row)
            continue
        any_of = _any_values(brackets.values, fields, words)
        of = brackets.component + any_of + brackets.rest
        text = brackets.component + brackets.rest
        if of == row["template"]:
            out.append({**row, "facets": brackets.values, "plain": text})
            continue
        out.append({**row, "of": of, "facets": brackets.values, "plain": text})
        wide = [place + any_of.count("<*>") for place in row.get("wide", ())]
        other = {"template": of, "count": 0, "example": "", "wide": wide}
        plain.setdefault(of, {**other, "facets": [REST], "plain": text})
    return out + list(plain.values())


class _Brackets(NamedTuple):
    """A template in parts: its component, the values of fields in brackets, and the message."""

    component: str
    values: list[str]
    rest: str

    @classmethod
    def of(cls, template: str, fields: int) -> _Brackets | None:
        """The parts of a template that begins with the values of at most so many fields."""
        found = _BRACKETS.match(template)
        if found is None:
            return None
        component = found["component"]
        values = re.findall(r"\[([^\[\]]*)\] ", found["values"])[:fields]
        head = "".join(f"[{value}] " for value in values)
        return cls(component, values, template[len(component) + len(head) :])


def _words_of(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> list[set[str]]:
    """The values of each field, by those templates that have all fields."""
    whole = [values for values in rows if len(values) == len(fields)]
    return [{values[place] for values in whole} for place in range(len(fields))]


def _any_values(values: Sequence[str], fields: Sequence[str], words: Sequence[set[str]]) -> str:
    """What stands for the values of a record in its plain template, each in its brackets.

    The word of a step stays, and whatever says how a step went may be any. A record may lack some
    of the fields: it has those whose `words` its values are.
    """
    places: list[int] = []
    for value in values:
        behind = range(places[-1] + 1 if places else 0, len(fields))
        place = next((place for place in behind if value in words[place]), None)
        if place is None:
            return "[<*>] " * len(values)
        places.append(place)
    return "".join(
        f"[{value}] " if _names_a_step(fields[place], value) else "[<*>] "
        for value, place in zip(values, places, strict=True)
    )


def _names_a_step(field: str, value: str) -> bool:
    """Whether another value of a field is another step, and no other outcome of the same step."""
    if last_name(field) in (*_FACET_NAMES, *_OUTCOMES) or is_outcome(field):
        return False
    return re.search(r"[^\W\d_]", re.sub(r"<[*a-z]+>", "", value)) is not None


def find_facet_fields(
    inputs: Inputs,
    settings: InputSettings,
    sample: list[dict[bytes, Any]],
    steps: Sequence[str],
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Fields beside the message, or groups of the header, that divide messages of one form; those
    of which the message is made that name what happened by a number; and those `steps` whose word
    says which step of a session a record is, where the message has not been made of them.
    """
    made_of = list(dict.fromkeys(settings.message_field.split(",")))
    numbered = numbered_events(made_of, made_of[0], settings.session_key, sample)
    beside = _beside_the_message(inputs, settings)
    known = (*numbered, *beside, *made_of, settings.component_field, settings.level_field)
    found = (*numbered, *(name for name in steps if name not in known), *beside)
    if found:
        say(f"fields that tell steps apart, found: {', '.join(found)}")
    return found


def _beside_the_message(inputs: Inputs, settings: InputSettings) -> list[str]:
    reader = RecordReader(replace(settings, component_field=None, session_key=("tag",)))
    masker = Masker(None)
    listed: list[tuple[str, dict[str, str]]] = []
    named: set[str] = set()
    for _, record in islice(read_events(inputs), SAMPLED_FROM):
        try:
            text, _keys = reader.read(b"tag", record)
        except RecordError:
            continue
        plain = _fields_of(reader, record)
        named |= plain.keys()
        if len(listed) == _ENOUGH and not named:
            # There is no such field, and masking the rest would be in vain.
            return []
        listed.append((masker.form(text.decode("utf-8", "replace")), plain))
    made_of = settings.message_field.split(",")
    names = [name for name in _FACET_NAMES if name in named and name not in made_of]
    return _that_divide(listed, names)


def _fields_of(reader: RecordReader, record: dict[bytes, Any]) -> dict[str, str]:
    """The fields that may be facets, of the record and of its line's header."""
    fields = reader.fields(record)
    found = {}
    for name in _FACET_NAMES:
        value = fields.get(name.encode())
        if isinstance(value, bytes | int):
            found[name] = as_bytes(value).decode("utf-8", "replace")
    return found


def _that_divide(records: Sequence[tuple[str, dict[str, str]]], names: Sequence[str]) -> list[str]:
    """Of the fields `names`, those that divide the messages of one form stably into a few kinds.

    `records` are (masked message, fields) in the log's order.
    """
    found = []
    for name in names:
        values = Counter(fields[name] for _, fields in records if fields.get(name))
        if not 2 <= len(values) <= MAX_VALUES or values.total() < len(records) / 2:
            continue
        if _divides(records, name):
            found.append(name)
    return found


def _divides(records: Sequence[tuple[str, dict[str, str]]], name: str) -> bool:
    """Whether some form has several values of a field, in both halves, and not many forms too
    many.
    """
    totals = Counter(form for form, _ in records)
    seen: Counter[str] = Counter()
    by_form: dict[str, dict[bytes, list[int]]] = {}
    for form, fields in records:
        half = int(seen[form] >= totals[form] / 2)
        seen[form] += 1
        value = fields.get(name, "").encode()
        by_form.setdefault(form, {}).setdefault(value, [0, 0])[half] += 1
    divided = [
        form
        for form, values in by_form.items()
        if totals[form] >= MIN_COUNT and len(values) > 1 and is_stable(values)
    ]
    kinds = sum(len(values) for values in by_form.values())
    return bool(divided) and kinds <= (1 + GROWTH) * len(by_form) + FEW
