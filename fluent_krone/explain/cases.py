"""The case of a finding: what an explainer is asked, in templates and in the tree's words."""

from __future__ import annotations

import functools

from ..alerts.comparison import comparison_of
from ..alerts.words import explain
from ..config import Config
from ..core.failures import severity
from ..core.hierarchy import runs
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware
from ..types import Alert, Finding
from . import Case
from .redact import plain, redactor

# Stands for a line that matches no template, since its text is shown only where lines are allowed.
_UNKNOWN = "<a line that matches no template>"


class CaseMaker:
    """Makes the cases of one bundle's findings.

    All texts of a case are redacted here, whole, before anything cuts them. So neither the
    question nor what is kept of the answer can hold a secret that stood in a template. Raw lines
    are in a case only where the operator allows it.
    """

    def __init__(self, bundle: Bundle, config: Config) -> None:
        self._bundle = bundle
        self._config = config
        # The same templates come again and again.
        self._redact = functools.lru_cache(maxsize=4096)(redactor(config.explain_redact or ()))
        self._nested = bundle.nested

    def make(self, finding: Finding, alert: Alert) -> Case | None:
        """The case of a finding and its alert; None for a finding that is not about a session.

        A step that deviates is a case only where it may stand for an incident, whose further alerts
        nobody asks about. Where each alert is sent, that of its session is asked about.
        """
        if finding.verdict is None and not self._may_lead(finding):
            return None
        keys = finding.log_keys
        hierarchy = self._bundle.hierarchy
        normal = self._nearest(finding)
        occurring = [*keys, *(key for other in normal for key in other)]
        number = {key: i for i, key in enumerate(dict.fromkeys(occurring))}
        may_clear = self._config.adjudicate and self.is_doubtful(finding)
        # A model that may clear a session must not read what anyone may have written to its log.
        with_lines = self._config.explain_lines and not may_clear
        lines: tuple[str, ...] = ()
        if with_lines:
            lines = tuple(self._safe(line.decode("utf-8", "replace")) for line in finding.lines)
        start, end, event, evidence = self._place(finding, with_lines)
        return Case(
            pattern=alert.record["pattern"],
            bundle_hash=self._bundle.hash,
            path=hierarchy.steps(keys[event]),
            templates=tuple(self._safe(hierarchy.rows[key].template) or _UNKNOWN for key in number),
            session=tuple(number[key] for key in keys),
            start=start,
            end=end,
            event=event,
            normal=tuple(tuple(number[key] for key in other) for other in normal),
            evidence=evidence,
            lines=lines,
            may_clear=may_clear,
        )

    def _may_lead(self, finding: Finding) -> bool:
        return finding.kind == "deviation" and self._config.alerts == "incident"

    def _place(self, finding: Finding, with_lines: bool) -> tuple[int, int, int, str]:
        """Begin and end of the Seq that a finding is about, its odd event, and the evidence."""
        hierarchy = self._bundle.hierarchy
        verdict = finding.verdict
        if verdict is not None:
            compared = comparison_of(finding, hierarchy, self._bundle, with_texts=with_lines)
            seq = verdict.seq
            return seq.start, seq.end, verdict.event, explain(compared, self._safe).text
        deviation = finding.deviations[0]
        spans = runs([hierarchy.action_of[key] for key in finding.log_keys])
        start, end = next(span for span in spans if span[0] <= deviation.event < span[1])
        return start, end, deviation.event, self._safe(deviation.words)

    def is_doubtful(self, finding: Finding) -> bool:
        """Whether a model may clear the session.

        It may where nothing but a score in the uncertainty band speaks against the session. An
        early verdict is always certain. A step that normal training never had is not
        doubtful if it speaks of errors, nor is a line that matches no template: nobody knows what
        it says.
        """
        verdict = finding.verdict
        nested = self._nested
        if verdict is None or nested is None or finding.decided == "early":
            return False
        if verdict.detector != nested.name:
            return False
        low, high = nested.band
        keys = finding.log_keys
        if not low <= verdict.score <= high or any(map(self._is_bad_news, set(keys))):
            return False
        unseen = any(
            not self._bundle.patterns.is_normal(seq)
            for seq in self._bundle.hierarchy.decompose(keys)
        )
        return not self._bundle.clearing.finds_abnormal(
            unseen, lambda: False, lambda: not nested.has_counts(keys)
        )

    def _safe(self, text: str) -> str:
        return self._redact(plain(text))

    def _is_bad_news(self, key: int) -> bool:
        hierarchy = self._bundle.hierarchy
        if key == hierarchy.unknown:
            return True
        return not self._bundle.counts[key] and severity(hierarchy.rows[key].template) > 0

    def _nearest(self, finding: Finding) -> list[tuple[int, ...]]:
        """The log keys of the nearest normal sessions, the nearest first."""
        nested: NestedAware | None = self._nested
        if nested is None:
            return []
        nearest = nested.density(finding.log_keys, ended=finding.decided == "end").nearest
        return [nested.normal[i] for i in nearest[: self._config.explain_examples]]
