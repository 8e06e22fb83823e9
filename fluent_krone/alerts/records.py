"""The alert of a finding: its id, its tag, and its record, whose fields docs/alerts.md lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from ..config import Config
from ..core.findings import signature_of
from ..core.hierarchy import UNKNOWN, runs
from ..core.matching import alike_runs
from ..core.sessions import ALERTED, Session
from ..detect.bundle import Bundle
from ..reading.levels import RANK_NAMES
from ..reading.templates import novel_shape, template_id
from ..types import Alert, Deviation, Evidence, Finding, Flow, Verdict
from .changes import (
    change_deviation,
    change_fields,
    flow_deviation,
    flow_fields,
    flow_severity,
    flow_signature,
)
from .comparison import Comparison, comparison_of
from .deviation_fields import DeviationFields
from .digests import digest, digest_of
from .severity import Severity, severity_of
from .tags import TagRule
from .words import explain, with_lines
from .writer import short

# Events of a session that an alert shows, and of the nearest normal one beside it. The record then
# stays below 100 kB, which every receiver takes; of a longer session the part around the named Seq
# is shown.
MOST_STEPS = 200
# Seconds whose text is remembered: the events of a session, and alerts, lie close together.
_MOST_SECONDS = 10_000
# Tags whose alert's tag is remembered.
_MOST_TAGS = 1_000
# Characters of a line of a new kind in a sentence; of a longer one the middle is cut.
_LONGEST_LINE = 300
# Templates of the named Seq, and steps of the nearest normal session, that an alert lists.
_MOST_LISTED = 100


def alert_tag(config: Config, tag: str) -> str:
    """The tag that an alert leaves under, made of its session's tag.

    >>> alert_tag(Config(tag="alerts.${tag_parts[-1]}"), "app.web")
    'alerts.web'
    >>> alert_tag(Config(remove_tag_prefix="raw", add_tag_prefix="krone"), "raw.app")
    'krone.app'
    """
    return TagRule("tag", config.tag, config.add_tag_prefix, config.remove_tag_prefix).of(tag)


def check_tag(config: Config) -> None:
    """Raise ConfigError for a placeholder that would not be replaced in the alert's tag."""
    TagRule("tag", config.tag)


class AlertMaker:
    """Makes alerts of one bundle's findings under one configuration."""

    def __init__(self, bundle: Bundle, config: Config) -> None:
        check_tag(config)
        self.bundle = bundle
        self._hierarchy = bundle.hierarchy
        self._config = config
        self._template_ids = [*map(template_id, bundle.templates), UNKNOWN]
        self._deviations = DeviationFields(bundle, self._template_ids)
        # A stream has few tags.
        self._tag = lru_cache(_MOST_TAGS)(partial(alert_tag, config))

    def make(self, finding: Finding) -> Alert:
        """The alert of a finding. The same finding gives the same alert, through every input."""
        session_tag = finding.tag.decode("utf-8", "replace")
        pattern = self.pattern(finding)
        compared = None
        if finding.verdict is not None:
            # The sentences quote real lines only where alerts hold lines at all.
            compared = comparison_of(
                finding, self._hierarchy, self.bundle, with_texts=self._config.max_lines > 0
            )
        deviations = self._deviating(finding, pattern, compared)
        p_value = deviations[0]["p_value"]
        alert_id = self._alert_id(finding)
        record: dict[str, Any] = {
            "alert_id": alert_id,
            "pattern": pattern,
            "kind": finding.kind,
            "severity": self._severity(finding, p_value),
            "p_value": p_value,
            "decided": finding.decided,
            "tag": session_tag,
            "bundle": self.bundle.name,
            "bundle_hash": self.bundle.hash,
            "session": [part.decode("utf-8", "replace") for part in finding.session],
            "instance": finding.instance,
            "started_at": iso_time(finding.first_ns),
            "ended_at": iso_time(finding.last_ns),
            "events": finding.events,
            **self._judged(finding, compared),
            "deviations": deviations,
            "lines": [self._cut(line) for line in finding.lines],
            "line_times": [iso_time(time_ns) for time_ns in finding.background.line_times],
            "line_levels": [RANK_NAMES.get(rank) for rank in finding.background.line_levels],
            **_context_of(finding),
        }
        return Alert(alert_id, self._tag(session_tag), finding.last_ns, record)

    def _alert_id(self, finding: Finding) -> str:
        """blake2b-128 over bundle hash, session key, first event's time, kind and ordinal.

        Nothing else goes in: neither tag nor score, so that the same finding has the same id
        through every input. An `unseen_template` alert is about a template, which takes the session
        key's place, and so does a change with its state. A session may have several `deviation`
        alerts, each with another signature.
        """
        about = finding.session
        ordinal = finding.ordinal
        if finding.kind == "deviation":
            about = (*about, signature_of(finding.deviations[0], self._template_ids).encode())
        elif finding.kind == "unseen_template":
            about = (self._novel_name(finding).encode(),)
            ordinal = 0
        elif finding.change is not None:
            about = (finding.change.name.encode(), finding.change.state.encode())
        elif finding.flow is not None:
            about = (self._flow_signature(finding, finding.flow).encode(),)
        return self._id(about, finding.first_ns, finding.kind, ordinal)

    def session_alert_id(self, session: Session) -> str | None:
        """The id of the first alert about a session, as this bundle gives it; None without one.

        A session has one `sequence` alert at most. Where it has one, that is the one.
        """
        about = session.key
        kind = "sequence"
        if session.alerted != ALERTED:
            if not session.told:
                return None
            kind = "deviation"
            about = (*about, session.told[0].encode())
        return self._id(about, session.first_ns, kind, session.ordinal)

    def _id(self, about: Sequence[bytes], first_ns: int, kind: str, ordinal: int) -> str:
        return digest(
            (
                self.bundle.hash.encode(),
                *about,
                str(first_ns).encode(),
                kind.encode(),
                str(ordinal).encode(),
            )
        )

    def pattern(self, finding: Finding) -> str:
        """What identifies sessions that run alike: 32 hex digits.

        It outlives the bundle, as the ids of templates do.
        """
        if finding.kind == "deviation":
            return pattern_id(
                (finding.kind, signature_of(finding.deviations[0], self._template_ids))
            )
        if finding.kind == "unseen_template":
            return pattern_id((finding.kind, self._novel_name(finding)))
        if finding.change is not None:
            return pattern_id((finding.kind, finding.change.name))
        if finding.flow is not None:
            return pattern_id((finding.kind, self._flow_signature(finding, finding.flow)))
        shapes = iter(finding.unmatched)
        names = (self._name(log_key, shapes) for log_key in finding.log_keys)
        return pattern_id(names)

    def _flow_signature(self, finding: Finding, flow: Flow) -> str:
        return flow_signature(finding, flow, self._template_ids[finding.log_keys[0]])

    def _severity(self, finding: Finding, p_value: float | None) -> Severity:
        if finding.flow is not None:
            template = self._template(finding.log_keys[0])
            return flow_severity(finding.deviations[0], finding.flow, template)
        return severity_of(self._sort(finding), self._odd_template(finding), p_value)

    def _name(self, log_key: int, shapes: Iterator[bytes]) -> str:
        """A template's id. Lines without a template have their shapes, or all would be alike."""
        if log_key == self._hierarchy.unknown:
            shape = next(shapes, b"").decode("utf-8", "replace")
            if shape:
                return shape
        return self._template_ids[log_key]

    def _novel_name(self, finding: Finding) -> str:
        log_key = finding.log_keys[0]
        if log_key == self._hierarchy.unknown:
            return novel_shape(finding.lines[0]).decode("utf-8", "replace")
        return self._template_ids[log_key]

    @staticmethod
    def _sort(finding: Finding) -> str:
        """What the severity goes by: the kind, and whether a change goes wrong."""
        if finding.change is not None and finding.change.state in ("abnormal", "shifted"):
            return f"{finding.change.state}_change"
        return finding.kind

    def _odd_template(self, finding: Finding) -> str:
        """The template of the event that the alert calls odd."""
        if finding.verdict is not None:
            return self._template(finding.log_keys[finding.verdict.event])
        if finding.kind == "deviation":
            return self._template(finding.deviations[0].log_key)
        if finding.change is not None:
            return ""
        return finding.lines[0].decode("utf-8", "replace")

    def _deviating(
        self, finding: Finding, pattern: str, compared: Comparison | None
    ) -> list[dict[str, Any]]:
        """The field `deviations`, which is never empty."""
        if finding.change is not None:
            return [change_deviation(finding.change)]
        if finding.flow is not None:
            name = self._template_ids[finding.log_keys[0]]
            return flow_deviation(finding, finding.flow, self._hierarchy, name)
        if finding.kind == "unseen_template":
            name = self._novel_name(finding)
            return self._deviations.of_template(
                finding.log_keys[0], name, self._new_line(self._novel_text(finding))
            )
        return self._deviations.of(finding, pattern, compared)

    def _judged(self, finding: Finding, compared: Comparison | None) -> dict[str, Any]:
        """The fields that differ between the kinds of alerts."""
        if finding.verdict is not None and compared is not None:
            return self._sequence(finding.verdict, finding, compared)
        if finding.kind == "deviation":
            return self._deviation(finding.deviations[0], finding)
        if finding.change is not None:
            return change_fields(finding.change)
        if finding.flow is not None:
            times = iso_time(finding.first_ns), iso_time(finding.last_ns)
            return flow_fields(finding, finding.flow, self._hierarchy, *times)
        return self._unseen(finding)

    def _deviation(self, deviation: Deviation, finding: Finding) -> dict[str, Any]:
        keys = finding.log_keys
        entity, action, status = self._hierarchy.steps(deviation.log_key)
        action_of = self._hierarchy.action_of
        start, end = next(
            (start, end)
            for start, end in runs([action_of[key] for key in keys])
            if start <= deviation.event < end
        )
        return {
            "level": deviation.level,
            "entity": entity,
            "action": action,
            "status": status,
            "detector": deviation.witness,
            "score": deviation.score,
            "threshold": deviation.threshold,
            "explanation": with_lines(deviation, finding, self._template),
            "explained_by": "evidence",
            "evidence": _evidence(Evidence({}, {}, {}, (), ())),
            "seq": {
                "level": "status",
                "start": start,
                "end": end,
                "event": deviation.event,
                "templates": [self._template(key) for key in keys[start:end][:_MOST_LISTED]],
            },
            "steps": self._steps(keys, max(deviation.event - MOST_STEPS // 2, 0), ()),
        }

    def _sequence(self, verdict: Verdict, finding: Finding, compared: Comparison) -> dict[str, Any]:
        seq = verdict.seq
        keys = finding.log_keys
        told = explain(compared)
        entity, action, status = self._hierarchy.steps(told.log_key)
        return {
            "level": verdict.level,
            "entity": entity,
            "action": action,
            "status": status,
            "detector": verdict.detector,
            "score": verdict.score,
            "threshold": verdict.threshold,
            "explanation": told.text,
            "explained_by": "evidence",
            "evidence": _evidence(verdict.evidence),
            "seq": {
                "level": seq.level,
                "start": seq.start,
                "end": seq.end,
                "event": verdict.event,
                "templates": [
                    self._template(key) for key in keys[seq.start : seq.end][:_MOST_LISTED]
                ],
            },
            "steps": self._steps(
                keys, _first_shown(verdict, len(keys)), verdict.evidence.nearest_keys
            ),
        }

    def _unseen(self, finding: Finding) -> dict[str, Any]:
        log_key = finding.log_keys[0]
        entity, action, status = self._hierarchy.steps(log_key)
        text = self._novel_text(finding)
        return {
            "level": "status",
            "entity": entity,
            "action": action,
            "status": status,
            "detector": "template",
            "score": None,
            "threshold": None,
            "explanation": self._new_line(self._shown_line(finding)),
            "explained_by": "evidence",
            "evidence": _evidence(Evidence({}, {}, {}, (text,), ())),
            "seq": {"level": "status", "start": 0, "end": 1, "event": 0, "templates": [text]},
            "steps": self._steps((log_key,), 0, ()),
        }

    def _shown_line(self, finding: Finding) -> str:
        """The line itself, or its template where alerts hold no lines."""
        if self._config.max_lines <= 0 or not finding.lines:
            return self._novel_text(finding)
        return short(finding.lines[0].decode("utf-8", "replace"), _LONGEST_LINE)

    @staticmethod
    def _new_line(line: str) -> str:
        return f"New kind of line: “{line}”. No normal session has it."

    def _novel_text(self, finding: Finding) -> str:
        if finding.log_keys[0] == self._hierarchy.unknown:
            return self._novel_name(finding)
        return self._template(finding.log_keys[0])

    def _steps(self, keys: Sequence[int], first: int, nearest: Sequence[int]) -> dict[str, Any]:
        """The session from event `first` on, beside the nearest normal one.

        Each distinct step is a row of `rows`; sessions are lists of row numbers.
        """
        shown = keys[first : first + MOST_STEPS]
        beside = nearest[max(min(first, len(nearest) - MOST_STEPS), 0) :][:MOST_STEPS]
        row_of = {key: row for row, key in enumerate(dict.fromkeys((*shown, *beside)))}
        session = [row_of[key] for key in shown]
        normal = [row_of[key] for key in beside]
        return {
            "rows": [[*self._hierarchy.steps(key), self._template(key)] for key in row_of],
            "session": session,
            "first": first,
            "nearest": normal,
            # Rows are told apart as log keys are.
            "alike": alike_runs(shown, beside),
        }

    def _template(self, log_key: int) -> str:
        return self._hierarchy.rows[log_key].template or "<unknown>"

    def _cut(self, line: bytes) -> str:
        return line.decode("utf-8", "replace")[: self._config.max_line_length]


def _context_of(finding: Finding) -> dict[str, Any]:
    """Where the session ran; and its odd event, if its record was at hand and says otherwise."""
    first, *others = finding.background.contexts or ((),)
    fields: dict[str, Any] = {"context": dict(first)}
    for odd in others:
        if odd and odd != first:
            fields["context_odd"] = dict(odd)
    return fields


def pattern_id(template_ids: Iterable[str]) -> str:
    """32 hex digits over a session's template ids, in order.

    A line without a template counts by its shape, or as `unknown`. An `unseen_template` alert
    passes its kind and the template's name.
    """
    return digest_of(template_ids)


def _first_shown(verdict: Verdict, events: int) -> int:
    """The first of the events that an alert shows: it shows those around the named Seq.

    Of a Seq that is itself too long, it shows those around the oddest event.
    """
    seq = verdict.seq
    middle = (seq.start + seq.end) // 2
    if seq.end - seq.start > MOST_STEPS:
        middle = verdict.event
    return max(min(middle - MOST_STEPS // 2, events - MOST_STEPS), 0)


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "extra": dict(evidence.extra),
        "missing": dict(evidence.missing),
        "repeated": dict(evidence.repeated),
        "unseen": list(evidence.unseen),
        "nearest": list(evidence.nearest[:_MOST_LISTED]),
    }


def iso_time(time_ns: int) -> str:
    """ISO 8601 UTC: to the millisecond, or to the nanosecond where a time is that exact."""
    seconds, ns = divmod(time_ns, 10**9)
    text = _iso_second(seconds)
    if text is None:
        return f"{seconds}.{ns:09d}"
    if ns % 10**6 == 0:
        return f"{text}.{ns // 10**6:03d}Z"
    return f"{text}.{ns:09d}Z"


@lru_cache(_MOST_SECONDS)
def _iso_second(seconds: int) -> str | None:
    """A second since 1970 as text; None where it is no date."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return None
