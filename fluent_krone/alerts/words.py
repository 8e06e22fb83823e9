"""What local evidence says in words: always there, and enough alone."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.hierarchy import UNKNOWN
from ..types import Verdict


def explain(verdict: Verdict, step: str, line: str = "") -> str:
    """One or two plain sentences from the evidence alone: the oddest step first, then what else differs.

    `line` is the odd event's own, for where no template says what it is.
    """
    evidence = verdict.evidence
    if step == UNKNOWN:
        named = f"“{_short(line)}”" if line else "A line"
        first = f"{named} fits no template: normal training never had a line like it."
    elif step in evidence.unseen:
        first = f"“{_short(step)}” is a step that normal training never had."
    elif step in evidence.extra:
        first = f"“{_short(step)}” has no place in the nearest normal session."
    elif step in evidence.repeated:
        times = evidence.repeated[step]
        first = f"“{_short(step)}” comes {times} more {_times(times)} than in the nearest normal session."
    elif evidence.missing or evidence.extra or evidence.repeated or evidence.unseen:
        first = f"The session runs otherwise from “{_short(step)}” on."
    else:
        first = f"At “{_short(step)}” known steps come in an order that normal training never had."
    rest = [
        f"{words} {_listed(steps)}"
        for words, steps in (
            ("never seen:", {s: 1 for s in evidence.unseen if s != step}),
            (
                "out of place:",
                {s: n for s, n in evidence.extra.items() if s != step and s not in evidence.unseen},
            ),
            ("more often than normal:", {s: n for s, n in evidence.repeated.items() if s != step}),
            ("missing:", evidence.missing),
        )
        if steps
    ]
    return " ".join([first, *([_sentence("; ".join(rest))] if rest else [])])


def _times(count: int) -> str:
    return "time" if count == 1 else "times"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _listed(steps: Mapping[str, int], most: int = 4) -> str:
    shown = [
        f"“{_short(step)}”" + (f" ×{n}" if n > 1 else "") for step, n in list(steps.items())[:most]
    ]
    return ", ".join(shown) + (f" and {len(steps) - most} more" if len(steps) > most else "")


def _short(step: str, most: int = 100) -> str:
    return step if len(step) <= most else step[: most - 1] + "…"
