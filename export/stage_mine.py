"""The stage `mine`: from messages to templates, and the settings that read the log."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from fluent_krone.core.listing import listed
from fluent_krone.errors import ExportError
from fluent_krone.inputs import count_events, read_rows
from fluent_krone.reading.records import InputSettings, SessionKey
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

from . import alike, facet_fields, facets, instances, mine, source
from .first_pass import FirstPass, cut_off, have_no_zone
from .kept_events import KeptEvents, kept_in, texts_of
from .stages import Options, Work
from .work_files import source_of

# Templates as `templates.json` has them.
Rows = Sequence[dict[str, Any]]
# Options that are settings of how a record is read.
INPUT_OPTIONS = tuple(f.name for f in dataclasses.fields(InputSettings))

# Records that templates are compared by. What a word says shows in much fewer.
_COMPARED = 300_000


def run_mine(work: Work) -> None:
    options = work.options
    if options.sessions:
        settings = InputSettings(
            **{name: value for name in INPUT_OPTIONS if (value := getattr(options, name))}
            | {"session_key": options.session_key or ("session",)}
        )
        rows = [{"id": i, "template": text, "count": 0} for i, text in read_templates(options)]
        _write_templates(work, settings, rows, None, None)
        return
    source_of(options)
    assert options.input
    settings = source.settle(options, work.say, work.warn)
    before_ns = cut_off(options.input, settings, options.train_fraction)
    with kept_in(work.path) as kept:
        with work.progress("mine", count_events(options.input)) as bar:
            seen = FirstPass(options.input, settings, before_ns, bar.show)
            events = seen.events()
            if not options.templates:
                events = kept.keep(events)
            mined = _mined_templates(texts_of(events), options, settings)
        seen.check(work.say)
        if options.timezone is None and have_no_zone(options.input, settings):
            work.say("times have no zone, and are taken as UTC; --timezone names another one")
        endless = seen.pauses.endless_words()
        if endless and not (options.max_age or options.window):
            work.warn(endless)
        for warning in mined.warnings:
            work.warn(warning)
        rows = mined.rows()
        if not options.templates:
            rows = _without_values(work, rows, kept, settings, seen.records)
            rows = _with_facets(work, rows, kept, settings, seen.records)
    _write_templates(work, settings, rows, before_ns, seen.pauses.suggest())


def _without_values(
    work: Work, rows: Rows, kept: KeptEvents, settings: InputSettings, records: int
) -> list[dict[str, Any]]:
    """The templates; those that differ only in a value become one, which is printed."""
    matcher = TemplateMatcher([row["template"] for row in rows], wide=[r["wide"] for r in rows])
    sessions: dict[SessionKey, list[tuple[int, int]]] = {}
    with work.progress("compare templates", records) as bar:
        for text, keys, level in islice(kept.again(bar.show), _COMPARED):
            log_key = matcher.match(text.encode())
            if log_key != UNMATCHED:
                for key in keys:
                    sessions.setdefault(key, []).append((log_key, level))
    if settings.component_field:
        rows, number, names = instances.merge_instances(rows, sessions.values())
        for key, steps in sessions.items():
            sessions[key] = [(number[step], level) for step, level in steps]
        for name, instances_of in names.items():
            work.say(f"one component, whichever it is: {name} ({listed(instances_of)})")
    merged = alike.merge_alike(rows, sessions.values(), len(settings.facet_fields))
    before = {row["template"] for row in rows}
    for row in merged:
        if row["template"] not in before:
            work.say(f"one step, whatever the word is: {row['template']!r}")
    return merged


def _with_facets(
    work: Work, rows: Rows, kept: KeptEvents, settings: InputSettings, records: int
) -> list[dict[str, Any]]:
    """The templates, and those of each value of a facet that divides them."""
    rows = facet_fields.with_field_facets(rows, settings.facet_fields)
    with work.progress("find facets", records * 2) as bar:
        return facets.find_facets(rows, lambda: texts_of(kept.again(bar.show)), work.say)


def _mined_templates(
    texts: Iterator[str], options: Options, settings: InputSettings
) -> mine.MinedTemplates:
    if options.templates:
        known = tuple(text for _, text in read_templates(options))
        for _ in texts:
            pass
        return mine.MinedTemplates(known, (0,) * len(known), ("",) * len(known))
    pattern = next((part[1:-1] for part in settings.session_key if part.startswith("/")), None)
    return mine.mine(
        texts,
        session_pattern=pattern,
        keep_prefix=bool(settings.component_field),
        facet_fields=len(settings.facet_fields),
        is_composed="," in settings.message_field,
        by_sessions=True,
    )


def _write_templates(
    work: Work,
    settings: InputSettings,
    rows: Sequence[dict[str, Any]],
    before_ns: int | None,
    idle_timeout: tuple[int, str] | None,
) -> None:
    if len(rows) < 2:
        found = "no template was found"
        if rows:
            found = f"only 1 template was found: {rows[0]['template']!r}"
        raise ExportError(
            f"{found}. The bundle needs at least two kinds of line to tell sessions apart: "
            "check --message-field and --line-format"
        )
    content = {
        "input": dataclasses.asdict(settings),
        "fit_before_ns": before_ns,
        "suggested_idle_timeout": idle_timeout,
        "templates": rows,
    }
    work.write_json("templates.json", content)
    work.say(f"mine: {len(rows)} templates")


def read_templates(options: Options) -> list[tuple[str, str]]:
    """The (EventId, template) pairs of `--templates`. Empty templates are left out."""
    if not options.templates:
        raise ExportError(
            "--sessions also needs --templates FILE.csv, with the columns EventId,EventTemplate"
        )
    found: dict[str, str] = {}
    for number, row in enumerate(read_rows(options.templates), start=1):
        text = str(row.get("EventTemplate") or "").strip()
        if "EventTemplate" not in row or (options.sessions and "EventId" not in row):
            raise ExportError(
                f"--templates {options.templates}: the columns EventId,EventTemplate are needed, "
                f"but the file has {', '.join(row)}"
            )
        if text:
            found[str(row.get("EventId") or f"E{number}")] = text
    return list(found.items())
