"""Facets that are fields of records: those that divide messages of one form into a few kinds.

Their values stand in brackets before the message, so each is a part of its template.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .facets import FEW, GROWTH, MAX_VALUES, MIN_COUNT, REST, is_stable

_BRACKETS = re.compile(r"(?P<component>(?:[^\s\[\]][^\[\]]*?: )?)(?P<values>(?:\[[^\[\]]*\] )+)")


def with_field_facets(rows: Sequence[dict[str, Any]], fields: int) -> list[dict[str, Any]]:
    """Rows whose text begins with the values of `fields` fields, each with its plain template
    behind.

    The plain template takes any value there: what falls to it is an unseen leaf.
    """
    if not fields:
        return list(rows)
    out: list[dict[str, Any]] = []
    plain: dict[str, dict[str, Any]] = {}
    for row in rows:
        found = _BRACKETS.match(row["template"])
        if found is None:
            out.append(row)
            continue
        values = re.findall(r"\[([^\[\]]*)\] ", found["values"])[:fields]
        head = "".join(f"[{value}] " for value in values)
        rest = row["template"][len(found["component"]) + len(head) :]
        of = found["component"] + "[<*>] " * len(values) + rest
        text = found["component"] + rest
        out.append({**row, "of": of, "facets": values, "plain": text})
        wide = [place + len(values) for place in row.get("wide", ())]
        other = {"template": of, "count": 0, "example": "", "wide": wide}
        plain.setdefault(of, {**other, "facets": [REST], "plain": text})
    return out + list(plain.values())


def fields_that_divide(
    records: Sequence[tuple[str, dict[str, str]]], names: Sequence[str]
) -> list[str]:
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
