"""What is reported about a session: at the few events that may be odd, and at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..reading.levels import Excerpt
from ..types import Deviation, Finding
from .cascade import Cascade
from .context import ContextReader
from .deploys.shifts import Absent
from .findings import FindingMaker
from .odd_events import OddEvents
from .parts import EngineParts
from .sessions import SEVERAL_LEVELS, Session


class Judging:
    """Makes findings of sessions."""

    def __init__(
        self,
        parts: EngineParts,
        cascade: Cascade,
        odd: OddEvents,
        make: FindingMaker,
        context: ContextReader,
        counters: Counter[str],
    ) -> None:
        self.context = context
        self._counters = counters
        self._rank = odd.levels.rank
        self._cascade = cascade
        self._odd = odd
        self.make = make
        # Judges sessions as if they had the steps that are gone; None where nobody looks for any.
        self.absent: Absent | None = None
        self._most_events = parts.session_settings.max_events
        self._novel = parts.novel
        self._ends = parts.ends

    def begin(self, session: Session, record: Any) -> None:
        """A session begins with a record, which says where it runs."""
        session.saved.context = self.context.of(record)
        # Nearly all records of a stream have a level, or none has. Where this one has none, the
        # others are not looked at, since a look costs a fiftieth of what a record costs.
        session.level = self._rank(record)

    def note_level(self, session: Session, record: Any, rank: int | None = None) -> None:
        """The last line that was kept of a session may have another level than those before.

        `rank` is that of the record, where it is known.
        """
        # First the most frequent case: every event of a session with several levels comes here.
        if session.level == SEVERAL_LEVELS and rank and session.saved.levels is not None:
            session.saved.levels.append(rank)
        elif session.level:
            session.note_level(rank or self._rank(record))

    def excerpt(self, record: Any) -> Excerpt:
        """What may still be asked of a record that is let go of."""
        return Excerpt(self._rank(record), self.context.of(record))

    def has_news(self, session: Session) -> bool:
        """Whether the last event shows something that was not reported yet: that the session
        is abnormal as a whole, or a step whose order deviates."""
        state = session.state
        if state.decided and not session.alerted:
            return True
        return any(self.make.has_told_none(session, one) for one in state.deviations)

    def judge_event(
        self,
        session: Session,
        text: bytes,
        record: Any,
        gap_ns: int,
        clock: int,
        findings: list[Finding],
        rare: int,
    ) -> bool:
        """Report what is odd about the last event, and return whether it ends the session.

        That may be an early verdict, deviations, and a new template. Unless it is `rare`, nothing
        in its record is odd.
        """
        state = session.state
        log_key = session.keys[-1]
        at = len(session.keys) - 1
        gap_ns = self.certain_gap(session, at, gap_ns, session.passed_ns, text)
        odd = self._odd.deviations(state, session.keys, gap_ns, text, record, rare=rare)
        is_decided = state.decided and not session.alerted
        if (is_decided or state.deviations) and self._is_normal_but_for_gone(session):
            is_decided = False
            odd = [one for one in odd if one not in state.deviations]
        made = self.make.deviations(session, odd, "early", clock)
        if is_decided:
            verdict = self._cascade.early(state, session.keys)
            made += self.make.sequence(session, verdict, "early", clock)
        if made and record is not None:
            contexts = (session.saved.context, self.context.of(record))
            made = [
                replace(finding, background=replace(finding.background, contexts=contexts))
                for finding in made
            ]
        findings += made
        if log_key in self._novel:
            novelty = self.make.novelty(session, log_key, text, clock)
            if novelty is not None:
                findings.append(novelty)
        return self.is_full(session)

    def certain_gap(
        self, session: Session, at: int, gap_ns: int, passed_ns: int, text: bytes
    ) -> int:
        """The gap before event `at` of a session, as exactly as the times of the stream tell it.

        `passed_ns` is the event time of an event that was passed over, 0 where none was; `text` is
        the message of event `at`, empty where it was not kept.
        """
        gap_ns = self._odd.gap_behind(session, at, gap_ns, passed_ns, text)
        certain_ns = self._odd.certain_gap(session, at, gap_ns, text)
        if certain_ns != gap_ns:
            self._counters["gaps_uncertain"] += 1
        return certain_ns

    def _is_normal_but_for_gone(self, session: Session) -> bool:
        """Whether what is odd so far is only that steps are gone which no session has any more."""
        return self.absent is not None and self.absent.is_normal_step(session.keys)

    def judge_end(
        self,
        session: Session,
        told_ns: int,
        findings: list[Finding],
        *,
        may_go_on: bool = False,
        steps: Sequence[Deviation] = (),
    ) -> None:
        """Report what is odd about a session that ended at stream time `told_ns`.

        It had no `sequence` alert yet. It `may_go_on` where it is judged before its time is over,
        as the log ends or memory is short. `steps` are deviations of its steps that were not
        reported when they came, since it was not known then what the steps are.
        """
        state = session.state
        verdict = self._cascade.at_end(state, session.keys)
        odd, limits = self._cascade.ending(state, session.keys)
        if odd and may_go_on and not self.is_full(session):
            odd = self._odd.overdue(odd, session, told_ns)
        if (verdict is not None or odd) and self.absent and self.absent.is_normal(session.keys):
            verdict = None
            odd = ()
        if steps:
            odd = (*self.make.untold(session, steps), *odd)
        if limits:
            odd += self._odd.durations(limits, session)
        if verdict is not None:
            findings += self.make.sequence(session, verdict, "end", told_ns, odd)
        elif odd:
            findings += self.make.deviations(session, odd, "end", told_ns)

    def is_full(self, session: Session) -> bool:
        """Whether a session ends with its last event, by an end template or by its length."""
        return len(session.keys) >= self._most_events or session.keys[-1] in self._ends
