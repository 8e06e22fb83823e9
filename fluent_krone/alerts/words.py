"""The evidence of a verdict in one or two sentences: always there, and enough without a model."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.hierarchy import UNKNOWN
from ..types import Evidence, Verdict

# Characters of one step in a sentence: a sentence with several longer ones is not read any more.
_MAX_STEP = 100
# Steps that a sentence names of one kind; the rest are counted.
_MAX_LISTED = 4


def explain(verdict: Verdict, step: str, line: str = "") -> str:
    """Plain sentences from the evidence: first the oddest step, then what else differs.

    `step` is the oddest event's status in the tree's words. `line` is that event's log line, which
    is shown where no template says what the event is.
    """
    evidence = verdict.evidence
    first = _oddest(evidence, step, line)
    rest = _differences(evidence, step)
    if not rest:
        return first
    words = "; ".join(f"{kind} {_listed(steps)}" for kind, steps in rest)
    return f"{first} {words[0].upper()}{words[1:]}."


def _oddest(evidence: Evidence, step: str, line: str) -> str:
    """The sentence about the oddest event."""
    if step == UNKNOWN:
        named = "A line"
        if line:
            named = f"“{_short(line)}”"
        return f"{named} fits no template: normal training never had a line like it."
    named = f"“{_short(step)}”"
    if step in evidence.unseen:
        return f"{named} is a step that normal training never had."
    if step in evidence.extra:
        return f"{named} has no place in the nearest normal session."
    if step in evidence.repeated:
        times = _times(evidence.repeated[step])
        return f"{named} comes {times} than in the nearest normal session."
    if evidence.missing or evidence.extra or evidence.repeated or evidence.unseen:
        return f"The session runs otherwise from {named} on."
    return f"At {named} known steps come in an order that normal training never had."


def _differences(evidence: Evidence, step: str) -> list[tuple[str, Mapping[str, int]]]:
    """What differs beside the oddest step: words for the kind of difference, and its steps."""
    unseen = {other: 1 for other in evidence.unseen if other != step}
    extra = {
        other: count
        for other, count in evidence.extra.items()
        if other != step and other not in evidence.unseen
    }
    repeated = {other: count for other, count in evidence.repeated.items() if other != step}
    kinds: list[tuple[str, Mapping[str, int]]] = [
        ("never seen:", unseen),
        ("out of place:", extra),
        ("more often than normal:", repeated),
        ("missing:", evidence.missing),
    ]
    return [(words, steps) for words, steps in kinds if steps]


def _times(count: int) -> str:
    if count == 1:
        return "1 more time"
    return f"{count} more times"


def _listed(steps: Mapping[str, int]) -> str:
    shown = []
    for step, count in list(steps.items())[:_MAX_LISTED]:
        words = f"“{_short(step)}”"
        if count > 1:
            words += f" ×{count}"
        shown.append(words)
    listed = ", ".join(shown)
    left_out = len(steps) - _MAX_LISTED
    if left_out > 0:
        listed += f" and {left_out} more"
    return listed


def _short(step: str) -> str:
    if len(step) <= _MAX_STEP:
        return step
    return step[: _MAX_STEP - 1] + "…"
