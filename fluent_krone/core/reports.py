"""What is told of a change: its steps, since when, under which versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from ..reading.templates import template_id
from ..types import ChangeReport, NewTemplate
from .newsteps import Change, NewStep
from .places import Places
from .replacing import ADDED
from .versions import Versions

# Versions from before a change that are told.
_BEFORE_TOLD = 5


def report_of(
    change: Change,
    state: Literal["open", "abnormal", "settled"],
    at_ns: int,
    steps: Iterable[NewStep],
    texts: Mapping[int, str],
    places: Places,
    versions: Versions,
) -> ChangeReport:
    """The report of a change at a stream time; `texts` are the templates of its `steps`."""
    meant = places.meanings()
    templates = []
    first_ns = at_ns
    for step in steps:
        log_key = meant.get(step.number, ADDED)
        if step.state == "renamed":
            log_key = step.log_keys[0]
        replaces = None
        if log_key >= 0:
            replaces = places.names[log_key]
        text = texts[step.number]
        templates.append(NewTemplate(template_id(text), text, replaces))
        if step.first is not None:
            first_ns = min(first_ns, step.first.time_ns)
    before = versions.before(change.since_ns, _BEFORE_TOLD)
    return ChangeReport(
        name=change.name,
        state=state,
        tag=change.tag,
        first_ns=first_ns,
        at_ns=at_ns,
        templates=tuple(templates),
        sessions=change.sessions,
        abnormal=change.abnormal,
        field=versions.found,
        values=tuple(value for value, _ in change.values.most_common()),
        before=tuple(value for value in before if value not in change.values),
    )
