"""Sentences about the order of steps, and the names of steps and Seqs in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from ..core.failures import template_severity
from ..core.hierarchy import Hierarchy
from ..core.listing import listed
from ..core.steps import END, START
from ..types import Level
from .durations import Span
from .measures import as_share, times
from .order import Follows, Order, View
from .precedence import Rule

# Below this share of the normal cases a step is called rare in a sentence. Above it, what is odd is
# not the pair of steps, and the sentence looks further back.
_RARE = 0.02
# From this share of the normal cases on, a step is called the normal one there.
_MOSTLY = 0.6
# Below this share, what normally follows is not named.
_OFTEN = 0.4


class Said(NamedTuple):
    """Words, and the events whose steps they name, in this order."""

    words: str
    named: tuple[int, ...]


class StepWords:
    """Writes what an operator reads about steps; `order` is what normal training had."""

    def __init__(self, hierarchy: Hierarchy, order: Order) -> None:
        self._hierarchy = hierarchy
        self._order = order

    def step(self, log_key: int) -> str:
        """A step in quotes, by its template."""
        return f"“{self._hierarchy.words('status', self._hierarchy.status_of[log_key])}”"

    def span(self, keys: Sequence[int], span: Span) -> str:
        """A Seq as an operator reads it."""
        if span.level == "entity":
            return "the session"
        node_of = self._hierarchy.action_of
        level: Level = "action"
        if span.level == "action":
            node_of = self._hierarchy.entity_of
            level = "entity"
        return f"“{self._hierarchy.words(level, node_of[keys[span.start]])}”"

    def _entity(self, log_key: int) -> str:
        return f"“{self._hierarchy.words('entity', self._hierarchy.entity_of[log_key])}”"

    def out_of_order(self, keys: Sequence[int], at: int, name: str) -> Said:
        """What an event came after, how often it does so, and what comes there instead.

        It names the event, and then those right before it. Of an event that repeats those before
        it, none of their lines would do for all.
        """
        step = self.step(keys[at])
        rule = self._order.precedence.broken(keys, at)
        if name == "order.before" and rule is not None:
            return self._before(keys, at, rule)
        if name == "order.progress" and at > 0:
            return Said(f"{step} came next. {self._so_far(keys, at)}", (at,))
        view: View = "entity" if name == "order.entity" else "session"
        if name == "order.recent":
            view = "recent"
        context, follows = self._order.rare_after(keys, at, view, _RARE)
        if set(context) == {keys[at]}:
            said = f"{step} came {times(len(context) + 1)} in a row"
            return Said(f"{said}. {self._seldom(follows, keys[at], False)}", ())
        steps = [self.step(key) for key in context if key != START]
        is_error = template_severity(self.step(keys[at])) > 0
        if not is_error and START not in context:
            stray = self._stray(keys, at, len(context), view)
            if stray is not None:
                return stray
        if is_error:
            step = f"Error: {step}"
        named = (at, *range(at - len(steps), at))
        if not steps:
            said = f"The session begins with {step}"
            if at:
                said = f"The steps of {self._entity(keys[at])} begin with {step}"
        elif view == "entity":
            said = f"{step} was the next step of {self._entity(keys[at])} after {listed(steps)}"
            # Other entities' steps may lie between them.
            named = (at,)
        else:
            said = f"{step} came next after {listed(steps)}"
        if steps and START in context:
            said = f"At the beginning, {said}"
        return Said(f"{said}. {self._seldom(follows, keys[at], not steps)}", named)

    def early_end(self, keys: Sequence[int], name: str) -> Said:
        """After which step a session ends, and how often that happens there."""
        said = f"The session ends after {self.step(keys[-1])}"
        named = (len(keys) - 1,)
        if name == "order.progress":
            return Said(f"{said}. {self._so_far(keys, len(keys))}", named)
        follows = self._order.follows(keys[-1], END)
        if follows.usual >= 0:
            said += f"; normally {self.step(follows.usual)} follows"
        ends = "none"
        if follows.times:
            ends = f"only {follows.times:,}"
        return Said(
            f"{said}. {ends.capitalize()} of {follows.total:,} normal cases ended there.", named
        )

    def _so_far(self, keys: Sequence[int], at: int) -> str:
        """That no normal session goes on like this after what has come so far, and how they do."""
        assert self._order.progress is not None, "BUG: nothing is known of what comes when"
        found = self._order.progress.expected(keys, at)
        how = "in whatever order"
        if not found.however_often:
            how = "each as often, in whatever order"
        what = "went on with it" if at < len(keys) else "ended there"
        said = f"Of {found.total:,} normal cases with the same steps so far ({how}), none {what}"
        usual = max(found.after, key=lambda key: (found.after[key], -key), default=END)
        share = found.after.get(usual, 0) / max(found.total, 1)
        if usual != END and share >= _OFTEN:
            often = "normally" if share > _MOSTLY else "most often"
            said += f"; {often} {self.step(usual)} follows ({as_share(share)})"
        elif usual == END and share >= _OFTEN:
            said += f"; {as_share(share)} of them ended"
        return said + "."

    def _stray(self, keys: Sequence[int], at: int, reach: int, view: View) -> Said | None:
        """Which of the `reach` steps before an event does not belong there, where others do.

        Behind a step that came at a wrong place, the next ones are as new there, and are not odd.
        """
        came = "came next"
        if view == "entity":
            came = f"was the next step of {self._entity(keys[at])}"
        places = self._last_places(keys, at, reach + 2, view)
        for odd in range(len(places) - 2, 0, -1):
            before, stray, behind = (keys[place] for place in places[odd - 1 : odd + 2])
            there = self._order.follows(before, stray, view)
            without = self._order.follows(before, behind, view)
            if there.times or not there.total or without.times <= _RARE * without.total:
                continue
            named = places[odd - 1 : -1]
            words = (
                f"{self.step(keys[at])} {came} after "
                f"{listed([self.step(keys[place]) for place in named])}. The second of these does "
                f"not belong there: it followed the first in none of {there.total:,} normal cases."
            )
            return Said(words, (at, *named))
        return None

    def _last_places(self, keys: Sequence[int], at: int, most: int, view: View) -> list[int]:
        """The last places up to an event, in their order, of its own entity where that is asked."""
        if view != "entity":
            return list(range(max(at + 1 - most, 0), at + 1))
        entity_of = self._hierarchy.entity_of
        entity = entity_of[keys[at]]
        back = (place for place in range(at, -1, -1) if entity_of[keys[place]] == entity)
        return [*islice(back, most)][::-1]

    def _before(self, keys: Sequence[int], at: int, rule: Rule) -> Said:
        """Which rule an event breaks, and how many normal sessions keep it.

        It names the event, and the other one where there is only one.
        """
        step = self.step(keys[at])
        of_step = 1 + keys[:at].count(keys[at])
        if rule.other == keys[at]:
            most = times(of_step - 1)
            said = f"{step} came {times(of_step)}. No normal session has it more than {most}"
            return Said(f"{said} ({rule.sessions:,} have it {most}).", ())
        of_other = keys[:at].count(rule.other)
        came = step
        if of_step > 1:
            came = f"The {_ordinal(of_step)} {step}"
        other = self.step(rule.other)
        named: tuple[int, ...] = (at, keys.index(rule.other))
        if of_other > 1:
            other = f"{of_other} {other}"
            named = (at,)
        if not rule.most:
            kept = f"In all {rule.sessions:,} normal sessions that have both, it comes first"
        else:
            kept = (
                f"In {rule.sessions:,} normal sessions {rule.most} came before it, and never more"
            )
        return Said(f"{came} came after {other}. {kept}.", named)

    def _seldom(self, follows: Follows, step: int, is_first: bool) -> str:
        """How often normal sessions have a step there, and what they have instead."""
        if not follows.total:
            return "No normal session has this."
        if not follows.times:
            said = f"This happened in none of {follows.total:,} normal cases"
        else:
            said = (
                f"This happened in only {follows.times:,} of {follows.total:,} normal cases "
                f"({as_share(follows.times / follows.total)})"
            )
        usual = follows.usual_times / follows.total
        # What follows a step that may be followed by many tells nothing.
        if follows.usual not in (step, END) and usual >= _OFTEN:
            place = "comes first" if is_first else "follows"
            how = "normally" if usual > _MOSTLY else "most often"
            said += f"; {how} {self.step(follows.usual)} {place} ({as_share(usual)})"
        return said + "."


def _ordinal(number: int) -> str:
    """A small number as a rank.

    >>> _ordinal(2), _ordinal(4)
    ('second', '4th')
    """
    return {2: "second", 3: "third"}.get(number, f"{number}th")
