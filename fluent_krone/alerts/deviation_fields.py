"""The field `deviations` of an alert: what differs, where, in which direction, and its signature.

A *signature* says the same of every session, every bundle and every machine: 32 hex digits over
witness, direction, the step and the step before it. It leaves out numbers, p-values and words. A
person marks signatures (`explain/marks.py`), and alerts with like signatures are one incident
(`alerts/incidents.py`). What a signature leaves out of how *much* something deviates is the field
`size`.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..core.cascade import COUNTS
from ..detect.bundle import Bundle
from ..detect.local_context import LocalContext
from ..reading.cache import Generation
from ..reading.templates import template_id
from ..types import Deviation, Finding, Verdict
from .comparison import Comparison
from .deviations import (
    MOST_DIFFERENCES,
    Difference,
    HadPair,
    differences_of,
    evidence_parts,
    is_complete,
    is_in_usual_order,
    words_of,
)
from .digests import digest_of
from .mending import Mending

# Stands in a signature where no step comes before, …
_BEGINNING = "^"
# … between the parts of different lengths, …
_THEN = "|"
# … and for a line that matches no template and whose text is not kept.
_UNKNOWN = "unknown"
# The direction of a Seq that normal training never had.
_PATTERN = "new_pattern"
# The direction of a stretch that took long as a whole, where none of its steps did. Which of them
# the alert names is partly chance, so marks on several of them are about all such stretches.
_LONG = "long"
# Digits that a size keeps.
_DECIMALS = 3

# Bytes of all differences that are remembered, and what one takes with its words and lists, as does
# a session of the longest that are remembered.
_REMEMBERED_BYTES = 4_000_000
_ENTRY_BYTES = 2_000
_LONGEST = 200

# A step: its log key, and its template, or the shape of a line that matches none.
Step = tuple[int, str]


class DeviationFields:
    """Makes the field of one bundle's findings. `ids` are the templates' ids by log key."""

    def __init__(self, bundle: Bundle, ids: Sequence[str]) -> None:
        self._hierarchy = bundle.hierarchy
        self._budget = bundle.budget
        self._patterns = bundle.patterns
        self._mending = Mending(bundle)
        self._ids = ids
        self._had_pair: HadPair | None = None
        # What was found of sessions that ran alike, which most abnormal sessions of a stream do.
        self._remembered: dict[Hashable, list[dict[str, Any]]] = {}
        self._generation = Generation(_REMEMBERED_BYTES, self._remembered.clear)
        if bundle.witnesses is not None:
            self._had_pair = bundle.witnesses.order.had_pair

    def of(
        self, finding: Finding, pattern: str, compared: Comparison | None
    ) -> list[dict[str, Any]]:
        """What each witness finds odd, the one that decided first.

        `compared` is there for a finding with a verdict; `pattern` tells apart what nothing else
        does.
        """
        steps = self._steps(finding, pattern)
        found = [self._of_step(deviation, finding, steps) for deviation in finding.deviations]
        if finding.verdict is None or compared is None:
            return found
        return [*self._of_like(finding, finding.verdict, compared, pattern, steps), *found]

    def _of_like(
        self,
        finding: Finding,
        verdict: Verdict,
        compared: Comparison,
        pattern: str,
        steps: Sequence[Step],
    ) -> list[dict[str, Any]]:
        """The differences of a session; those of one that runs alike are the same.

        A line without a template has a text of its own, so a session that has one is like no other.
        """
        if finding.unmatched or len(finding.log_keys) > _LONGEST:
            return self._of_session(verdict, compared, steps, pattern)
        like = (
            finding.log_keys,
            finding.decided,
            compared.nearest,
            verdict.event,
            verdict.detector,
            verdict.score,
        )
        found = self._remembered.get(like)
        if found is None:
            found = self._of_session(verdict, compared, steps, pattern)
            self._generation.take(_ENTRY_BYTES * (1 + len(found)))
            self._remembered[like] = found
        return [_copied(fields) for fields in found]

    def of_template(self, log_key: int, shape: str, words: str) -> list[dict[str, Any]]:
        """The deviation of a template that training did not have, or of a line's shape."""
        step = (log_key, shape)
        if log_key != self._hierarchy.unknown:
            step = self._step(log_key)
        signature = digest_of(self._news(step))
        place = self._place("template", "new", log_key)
        return [{**place, "p_value": None, "words": words, **self._marked(signature, 1, [step])}]

    def _of_step(
        self, deviation: Deviation, finding: Finding, steps: Sequence[Step]
    ) -> dict[str, Any]:
        step = self._step(deviation.log_key)
        if deviation.event < len(steps):
            step = steps[deviation.event]
        parts = (
            deviation.witness,
            deviation.direction,
            self._id(step),
            self._context(deviation, finding.log_keys),
            deviation.detail,
        )
        teaching = {}
        if deviation.direction == _LONG:
            teaching = {"teaches": {"what": _LONG, "size": round(deviation.score, _DECIMALS)}}
        elif deviation.beyond:
            taught = {"what": deviation.direction, "size": round(deviation.beyond, _DECIMALS)}
            teaching = {"teaches": taught}
        return {
            **self._place(deviation.witness, deviation.direction, deviation.log_key),
            "level": deviation.level,
            "p_value": round(deviation.p_value, 6),
            "words": deviation.words,
            **self._marked(digest_of(parts), deviation.score, [step]),
            **teaching,
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
        self, verdict: Verdict, compared: Comparison, steps: Sequence[Step], pattern: str
    ) -> list[dict[str, Any]]:
        """The differences of a session that is abnormal as a whole."""
        score = "density"
        if verdict.detector == COUNTS:
            score = "counts"
        p_value = None
        if self._budget is not None and score == "density":
            p_value = round(self._budget.p_value(score, verdict.score), 6)
        if not compared.nearest:
            found = self._of_patterns(verdict, compared, steps, pattern)
            return [{**one, "p_value": p_value} for one in found]
        had_pair = None
        if verdict.detector != LocalContext.name:
            had_pair = self._had_pair
        differences = differences_of(compared, had_pair)
        new = [one for one in differences if one.direction == "unseen"]
        if new and self._mending.is_mended(steps, is_ended=compared.is_ended):
            return [{**self._difference(one, steps), "p_value": p_value} for one in new]
        found = [
            {**self._difference(one, steps), **self._teaching(one, verdict, compared)}
            for one in differences
        ]
        if not is_complete(compared, differences):
            found.append(self._whole(score, verdict, compared, pattern))
        found[0]["level"] = verdict.level
        return [{**one, "p_value": p_value} for one in found]

    def _teaching(self, one: Difference, verdict: Verdict, compared: Comparison) -> dict[str, Any]:
        """What a mark on a difference says of others, too: rare combinations of usual steps."""
        if self._had_pair is None or not is_in_usual_order(compared, one, self._had_pair):
            return {}
        return {"teaches": {"what": verdict.detector, "size": round(verdict.score, _DECIMALS)}}

    def _of_patterns(
        self, verdict: Verdict, compared: Comparison, steps: Sequence[Step], pattern: str
    ) -> list[dict[str, Any]]:
        """Where a bundle has patterns only: each Seq that normal sessions never have."""
        found: dict[str, dict[str, Any]] = {}
        for seq in self._hierarchy.decompose(compared.session):
            is_open = not compared.is_ended and seq.end == len(compared.session)
            if is_open or self._patterns.is_normal(seq):
                continue
            in_order = list(dict.fromkeys(steps[seq.start : seq.end]))
            names = list(map(self._id, in_order))
            if seq.level != "status":
                # Above the steps, the order of actions or entities is what is new.
                names = [self._hierarchy.words(seq.level, node) for node in seq.pattern]
            concerned = in_order
            if seq.start <= verdict.event < seq.end:
                concerned = list(dict.fromkeys([steps[verdict.event], *in_order]))
            marked = self._marked(digest_of(("density", _PATTERN, seq.level, *names)), 1, concerned)
            found.setdefault(
                marked["signature"],
                {
                    **self._place("density", _PATTERN, concerned[0][0]),
                    "level": seq.level,
                    "words": "Normal sessions never have these steps in this order.",
                    **marked,
                },
            )
        if not 0 < len(found) < MOST_DIFFERENCES:
            whole = self._whole("density", verdict, compared, pattern)
            return [*list(found.values())[:MOST_DIFFERENCES], whole]
        return list(found.values())

    def _difference(self, one: Difference, steps: Sequence[Step]) -> dict[str, Any]:
        # Of a line without a template only its event knows the text.
        text_of = dict(steps[event] for event in one.events)
        # A round that has only begun has steps that did not come yet.
        extra = [(key, text_of.get(key) or self._step(key)[1]) for key in one.extra]
        missing = [self._step(key) for key in one.missing]
        parts = ["density", one.direction, self._before(one.before), *map(self._id, extra), _THEN]
        if one.direction == "ends_early":
            # A session that hangs looks like one that only waits: this holds for its like alone.
            parts += map(self._id, steps)
        elif one.direction != "starts_late":
            # Where a session was cut says it all: what it lacks follows from that.
            parts += [*map(self._id, missing), _THEN]
        if one.direction == "out_of_place":
            parts.append(self._before(one.instead_of))
        if one.direction == "unseen":
            # As that of the alert about the new line: a mark on one is a mark on the other.
            parts = self._news(extra[0])
        concerned = [*extra, *missing]
        return {
            **self._place("density", one.direction, concerned[0][0]),
            "p_value": None,
            "words": words_of(one, functools.partial(self._quoted, text_of)),
            **self._marked(digest_of(parts), one.size, concerned),
        }

    def _whole(
        self, score: str, verdict: Verdict, compared: Comparison, pattern: str
    ) -> dict[str, Any]:
        """A difference of the whole session. Without any evidence, only its like is the same."""
        parts = [pattern]
        evidence = verdict.evidence
        if evidence.extra or evidence.missing or evidence.repeated or evidence.unseen:
            parts = evidence_parts(evidence)
        odd = compared.session[verdict.event]
        concerned = [self._step(key) for key in (odd, *sorted({*compared.session} - {odd}))]
        return {
            **self._place("density", score, odd),
            "p_value": None,
            "words": "The session as a whole is unlike the sessions of normal training.",
            **self._marked(digest_of(("density", score, *parts)), 1, concerned),
        }

    def _place(self, witness: str, direction: str, log_key: int) -> dict[str, Any]:
        """Which witness, which direction, and where in the tree."""
        entity, action, status = self._hierarchy.steps(log_key)
        return {
            "witness": witness,
            "direction": direction,
            "level": "status",
            "entity": entity,
            "action": action,
            "status": status,
        }

    def _marked(self, signature: str, size: float, steps: Sequence[Step]) -> dict[str, Any]:
        """What marks and incidents look at. A step without an entity is covered by none."""
        entities = (self._hierarchy.steps(log_key)[0] for log_key, _ in steps)
        return {
            "step": steps[0][1],
            "signature": signature,
            "size": round(size, _DECIMALS),
            "templates": list(dict.fromkeys(map(self._id, steps))),
            "entities": list(dict.fromkeys(entity or "" for entity in entities)),
        }

    def _steps(self, finding: Finding, pattern: str) -> list[Step]:
        """The step of each event. Where a line's shape is not known, only the same session is like
        this one."""
        shapes = iter(finding.unmatched)
        steps = []
        for log_key in finding.log_keys:
            step = self._step(log_key)
            if log_key == self._hierarchy.unknown:
                shape = next(shapes, b"").decode("utf-8", "replace")
                step = (log_key, shape or f"{_UNKNOWN} {pattern}")
            steps.append(step)
        return steps

    def _step(self, log_key: int) -> Step:
        return log_key, self._hierarchy.rows[log_key].template

    def _id(self, step: Step) -> str:
        """The id of a step: its template's, or the hash of a shape, which is a part of a line."""
        log_key, text = step
        if log_key == self._hierarchy.unknown:
            return template_id(text)
        return self._ids[log_key]

    def _news(self, step: Step) -> list[str]:
        """The parts of the signature of a new kind of line."""
        return ["template", "new", self._id(step)]

    def _before(self, log_key: int | None) -> str:
        if log_key is None:
            return _BEGINNING
        return self._ids[log_key]

    def _quoted(self, text_of: Mapping[int, str], log_key: int) -> str:
        """A step in quotes: by its name, or by its line where it matches no template."""
        if log_key == self._hierarchy.unknown and log_key in text_of:
            return f"“{text_of[log_key]}”"
        return f"“{self._hierarchy.words('status', self._hierarchy.status_of[log_key])}”"


def _copied(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of an alert's own: what is done to them must not change what is remembered."""
    templates = list(fields["templates"])
    return {**fields, "templates": templates, "entities": list(fields["entities"])}
