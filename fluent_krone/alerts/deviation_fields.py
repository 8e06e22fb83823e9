"""The field `deviations` of an alert: what differs, where, in which direction, and its signature.

A *signature* says the same of every session, every bundle and every machine: 32 hex digits over
witness, direction, the step and the step before it. It leaves out numbers, p-values and words. A
person marks signatures (`explain/marks.py`), and alerts with like signatures are one incident
(`alerts/incidents.py`). What a signature leaves out of how *much* something deviates is the field
`size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..core.cascade import COUNTS
from ..core.hierarchy import Hierarchy
from ..detect.budget import Budget
from ..types import Deviation, Finding, Verdict
from .deviations import Difference, differences_of, evidence_parts, is_complete, words_of
from .digests import digest_of
from .scene import Scene

# Stands in a signature where no step comes before, …
_BEGINNING = "^"
# … between the parts of different lengths, …
_THEN = "|"
# … and for a line that matches no template and whose text is not kept.
_UNKNOWN = "unknown"
# Digits that a size keeps.
_DECIMALS = 3


class DeviationFields:
    """Makes the field of one bundle's findings. `ids` are the templates' ids by log key."""

    def __init__(self, hierarchy: Hierarchy, budget: Budget | None, ids: Sequence[str]) -> None:
        self._hierarchy = hierarchy
        self._budget = budget
        self._ids = ids

    def of(self, finding: Finding, pattern: str, scene: Scene | None) -> list[dict[str, Any]]:
        """What each witness finds odd, the one that decided first.

        `scene` is there for a finding with a verdict; `pattern` tells apart what nothing else does.
        """
        names = self._names(finding, pattern)
        found = [self._of_step(deviation, finding, names) for deviation in finding.deviations]
        if finding.verdict is None or scene is None:
            return found
        return [*self._of_session(finding.verdict, scene, names, pattern), *found]

    def of_template(self, log_key: int, name: str, words: str) -> list[dict[str, Any]]:
        """The deviation of a template that training did not have; `name` is its id or shape."""
        signature = digest_of(("template", "new", name))
        step = self._step("template", "new", log_key)
        return [{**step, "p_value": None, "words": words, **_marked(signature, 1, (name,))}]

    def _of_step(
        self, deviation: Deviation, finding: Finding, names: Sequence[str]
    ) -> dict[str, Any]:
        name = self._ids[deviation.log_key]
        if deviation.event < len(names):
            name = names[deviation.event]
        parts = (
            deviation.witness,
            deviation.direction,
            name,
            self._context(deviation, finding.log_keys),
            deviation.detail,
        )
        return {
            **self._step(deviation.witness, deviation.direction, deviation.log_key),
            "level": deviation.level,
            "p_value": round(deviation.p_value, 6),
            "words": deviation.words,
            **_marked(digest_of(parts), deviation.score, (name,)),
        }

    def _context(self, deviation: Deviation, log_keys: Sequence[int]) -> str:
        """The step before, where that is a part of what is odd: for order and time.

        The view of the entity judges a step after those of its own entity.
        """
        if deviation.witness not in ("order", "time"):
            return ""
        entity_of = self._hierarchy.entity_of
        own_entity = deviation.witness == "order" and deviation.level == "action"
        for before in reversed(log_keys[: deviation.event]):
            if not own_entity or entity_of[before] == entity_of[deviation.log_key]:
                return self._ids[before]
        return _BEGINNING

    def _of_session(
        self, verdict: Verdict, scene: Scene, names: Sequence[str], pattern: str
    ) -> list[dict[str, Any]]:
        """The differences of a session that is abnormal as a whole."""
        score = "density"
        if verdict.detector == COUNTS:
            score = "counts"
        p_value = None
        if self._budget is not None and score == "density":
            p_value = round(self._budget.p_value(score, verdict.score), 6)
        differences = differences_of(scene)
        found = [self._difference(one, scene, names) for one in differences]
        if not is_complete(scene, differences):
            found.append(self._whole(score, verdict, scene, pattern))
        found[0]["level"] = verdict.level
        return [{**one, "p_value": p_value} for one in found]

    def _difference(self, one: Difference, scene: Scene, names: Sequence[str]) -> dict[str, Any]:
        # Lines without a template have the names of their shapes, which only events know.
        name_of = {scene.session[event]: names[event] for event in one.events}
        extra = [name_of[key] for key in one.extra]
        missing = [self._ids[key] for key in one.missing]
        parts = [
            "density",
            one.direction,
            self._before(one.before),
            *extra,
            _THEN,
            *missing,
            _THEN,
        ]
        if one.direction == "out_of_place":
            parts.append(self._before(one.instead_of))
        return {
            **self._step("density", one.direction, (*one.extra, *one.missing)[0]),
            "p_value": None,
            "words": words_of(one, self._quoted),
            **_marked(digest_of(parts), one.size, (*extra, *missing)),
        }

    def _whole(self, score: str, verdict: Verdict, scene: Scene, pattern: str) -> dict[str, Any]:
        """A difference of the whole session. Without any evidence, only its like is the same."""
        parts = [pattern]
        evidence = verdict.evidence
        if evidence.extra or evidence.missing or evidence.repeated or evidence.unseen:
            parts = evidence_parts(evidence)
        templates = sorted({self._ids[key] for key in scene.session})
        return {
            **self._step("density", score, scene.session[verdict.event]),
            "p_value": None,
            "words": "The session as a whole is unlike the sessions of normal training.",
            **_marked(digest_of(("density", score, *parts)), 1, templates),
        }

    def _step(self, witness: str, direction: str, log_key: int) -> dict[str, Any]:
        entity, action, status = self._hierarchy.steps(log_key)
        return {
            "witness": witness,
            "direction": direction,
            "level": "status",
            "entity": entity,
            "action": action,
            "status": status,
        }

    def _names(self, finding: Finding, pattern: str) -> list[str]:
        """The template's id of each event; the shape of a line that matches none.

        Where its shape is not known, nothing but the same session may count as alike.
        """
        shapes = iter(finding.unmatched)
        names = []
        for log_key in finding.log_keys:
            name = self._ids[log_key]
            if log_key == self._hierarchy.unknown:
                shape = next(shapes, b"").decode("utf-8", "replace")
                name = shape or f"{_UNKNOWN} {pattern}"
            names.append(name)
        return names

    def _before(self, log_key: int | None) -> str:
        if log_key is None:
            return _BEGINNING
        return self._ids[log_key]

    def _quoted(self, log_key: int) -> str:
        return f"“{self._hierarchy.words('status', self._hierarchy.status_of[log_key])}”"


def _marked(signature: str, size: float, templates: Iterable[str]) -> dict[str, Any]:
    """What marks and incidents look at."""
    return {
        "signature": signature,
        "size": round(size, _DECIMALS),
        "templates": list(dict.fromkeys(templates)),
    }
