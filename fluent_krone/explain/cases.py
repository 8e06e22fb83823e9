"""Finding → case: what an explainer is asked about a flagged session, in templates and the tree's words."""

from __future__ import annotations

from ..alerts.words import explain
from ..config import Config
from ..core.localise import severity
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware
from ..types import Alert, Finding
from . import Case
from .redact import plain, redactor

_UNKNOWN = "<a line that fits no template>"


class CaseMaker:
    """Makes cases of one bundle's findings. Raw lines are in them only where the operator shows them, redacted."""

    def __init__(self, bundle: Bundle, config: Config) -> None:
        self._bundle = bundle
        self._config = config
        self._redact = redactor(config.explain_redact or ())
        self._nested = bundle.nested

    def make(self, finding: Finding, alert: Alert) -> Case | None:
        """The case of a finding, beside its alert; None where there is nothing to ask: no session went wrong."""
        verdict, keys = finding.verdict, finding.log_keys
        if verdict is None:
            return None
        normal = self._nearest(finding)
        bundle, shown = self._bundle, self._config.explain_lines
        words = bundle.hierarchy.words("status", bundle.hierarchy.status_of[keys[verdict.event]])
        number = {
            key: i
            for i, key in enumerate(
                dict.fromkeys([*keys, *(key for other in normal for key in other)])
            )
        }
        return Case(
            pattern=alert.record["pattern"],
            bundle_hash=bundle.hash,
            path=bundle.hierarchy.steps(keys[verdict.event]),
            templates=tuple(bundle.hierarchy.rows[key].template or _UNKNOWN for key in number),
            session=tuple(number[key] for key in keys),
            start=verdict.seq.start,
            end=verdict.seq.end,
            event=verdict.event,
            normal=tuple(tuple(number[key] for key in other) for other in normal),
            evidence=explain(verdict, words, self._redacted(finding.line) if shown else ""),
            lines=tuple(map(self._redacted, finding.lines)) if shown else (),
            may_clear=self._config.adjudicate and self.is_doubtful(finding),
        )

    def is_doubtful(self, finding: Finding) -> bool:
        """Whether a model may clear the session: its score, in the uncertainty band, is all there is against it.

        An early verdict is certain by its nature. A step that normal training never had is not doubtful where it
        speaks of errors, nor is a line that fits no template: nobody knows what it says.
        """
        verdict, nested = finding.verdict, self._nested
        if (
            verdict is None
            or nested is None
            or finding.decided == "early"
            or verdict.detector != nested.name
        ):
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

    def _redacted(self, line: bytes) -> str:
        """Of the whole line: a cut would hide a secret's form."""
        return self._redact(plain(line.decode("utf-8", "replace")))

    def _is_bad_news(self, key: int) -> bool:
        hierarchy = self._bundle.hierarchy
        return key == hierarchy.unknown or (
            not self._bundle.counts[key] and severity(hierarchy.rows[key].template) > 0
        )

    def _nearest(self, finding: Finding) -> list[tuple[int, ...]]:
        """Log keys of the nearest normal sessions, nearest first."""
        nested: NestedAware | None = self._nested
        if nested is None:
            return []
        nearest = nested.density(finding.log_keys, ended=finding.decided == "end").nearest
        return [nested.normal[i] for i in nearest[: self._config.explain_examples]]
