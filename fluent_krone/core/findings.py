"""What the engine hands out, made from sessions: verdicts, deviations and new templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from ..reading.templates import novel_shape, template_id
from ..types import Background, Deviation, Finding, Verdict
from .deploys.open_changes import Fired
from .hierarchy import Hierarchy
from .novelties import Novelties
from .sessions import ALERTED, SILENCED, Session

# Deviations of one session that are reported. A session that has more goes wrong as a whole, and
# further alerts would say nothing new.
_MOST_DEVIATIONS = 5
# How a session's notes begin about a step that came too early. No signature begins like that.
_BEHIND = "behind "

Decided = Literal["early", "end"]


class FindingMaker:
    """Makes findings, counts them, and leaves out what was reported already.

    `max_lines` is how many raw lines a finding may carry.
    """

    def __init__(
        self,
        templates: Sequence[str],
        hierarchy: Hierarchy,
        novelties: Novelties,
        counters: Counter[str],
        max_lines: int,
    ) -> None:
        self._names = [*map(template_id, templates), "unknown"]
        self._hierarchy = hierarchy
        self._novelties = novelties
        self._counters = counters
        self._max_lines = max_lines
        # Whether a person marked as normal all that a finding is about. Such a finding is left out.
        self.silences: Callable[[Finding], bool] | None = None

    def sequence(
        self,
        session: Session,
        verdict: Verdict,
        decided: Decided,
        told_ns: int,
        deviations: tuple[Deviation, ...] = (),
    ) -> list[Finding]:
        """A session that is abnormal as a whole, which shows at stream time `told_ns`.

        It is empty where all that is odd was marked as normal. Silenced early, a session is judged
        again at its end: it may go wrong further on.
        """
        seq = verdict.seq
        shown = self._shown(session, seq.start, seq.end, verdict.event)
        told = (decided, told_ns)
        found = self._of(session, "sequence", verdict, shown, verdict.event, deviations, told)
        if self._is_silenced(found):
            session.alerted = SILENCED
            return []
        session.alerted = ALERTED
        self._counters["flagged"] += 1
        self._counters[f"flagged_{verdict.detector}"] += 1
        self._counters[f"decided_{decided}"] += 1
        return [found]

    def deviations(
        self, session: Session, odd: Iterable[Deviation], decided: Decided, told_ns: int
    ) -> list[Finding]:
        """The deviations of a session that were not reported yet, a finding each."""
        findings = []
        for deviation in odd:
            if not self._is_news(session, deviation):
                continue
            if _told(session) >= _MOST_DEVIATIONS:
                self._counters["deviations_over_cap"] += 1
                continue
            shown = self._shown(session, 0, len(session.lines), deviation.event)
            told = (decided, told_ns)
            found = self._of(session, "deviation", None, shown, deviation.event, (deviation,), told)
            if self._is_silenced(found):
                if deviation.behind >= 0:
                    # Whoever marked it as normal meant the step that came too early, and all that
                    # comes behind it for that reason.
                    session.told += (_too_early(deviation, self._names),)
                continue
            self._note(session, deviation)
            self._counters[f"deviations_{deviation.witness}"] += 1
            findings.append(found)
        return findings

    def untold(self, session: Session, odd: Iterable[Deviation]) -> list[Deviation]:
        """Those of some deviations of a session that were not reported yet, the first of each sort.

        They are no more than are reported of a session one by one.
        """
        news: dict[str, Deviation] = {}
        for deviation in odd:
            sort = _too_early(deviation, self._names) or signature_of(deviation, self._names)
            if self._is_news(session, deviation):
                news.setdefault(sort, deviation)
        return list(news.values())[:_MOST_DEVIATIONS]

    def has_told_all(self, session: Session) -> bool:
        """Whether neither a session nor any further deviation of it is reported any more."""
        return session.alerted == ALERTED and _told(session) >= _MOST_DEVIATIONS

    def is_told(self, session: Session, direction: str) -> bool:
        """Whether it was reported that the time witness found the last step odd in this way."""
        if not session.told:
            return False
        return f"time {direction} {self._names[session.keys[-1]]}" in session.told

    def _is_news(self, session: Session, deviation: Deviation) -> bool:
        """Whether neither a deviation nor one that says the same was reported of a session."""
        return self.has_told_none(session, deviation) and not self._is_covered(session, deviation)

    def has_told_none(self, session: Session, deviation: Deviation) -> bool:
        """Whether nothing was reported of a session that says what a deviation says.

        A step that comes too early makes all of those odd that should have come before it. What is
        wrong is that one step, and the first of them says so.
        """
        same = [signature_of(deviation, self._names)]
        if deviation.behind >= 0:
            same += [_too_early(deviation, self._names), _of_step(deviation, self._names)]
        return not any(told in session.told for told in same)

    def _is_covered(self, session: Session, deviation: Deviation) -> bool:
        """Whether a deviation only says once more that the session hung, or was slow."""
        event = deviation.event
        if deviation.direction == "early_end":
            return f"time stuck {self._names[session.keys[event]]}" in session.told
        if deviation.direction == "slow" and event > 0:
            return f"time stuck {self._names[session.keys[event - 1]]}" in session.told
        if deviation.direction == "long":
            return any(told.startswith(("time stuck", "time slow")) for told in session.told)
        return False

    def _note(self, session: Session, deviation: Deviation) -> None:
        """Note what is reported with a deviation: first the signature that names its alert."""
        session.told += (signature_of(deviation, self._names),)
        if deviation.behind >= 0:
            session.told += (_too_early(deviation, self._names),)

    def novelty(self, session: Session, log_key: int, text: bytes, clock_ns: int) -> Finding | None:
        """An event whose template normal training did not have; None where it was reported."""
        if log_key == self._hierarchy.unknown:
            self._counters["unmatched"] += 1
            name = novel_shape(text)
        else:
            self._counters["unseen"] += 1
            name = self._names[log_key].encode()
        events = self._novelties.report(name, clock_ns)
        if events is None:
            return None
        found = Finding(
            kind="unseen_template",
            decided="end",
            tag=session.tag,
            session=session.key,
            instance=session.instance,
            ordinal=session.ordinal,
            first_ns=session.last_ns,
            last_ns=session.last_ns,
            events=events,
            log_keys=(log_key,),
            verdict=None,
            lines=(text,),
            background=Background(
                (session.last_ns,), (session.saved.context,), _last_level(session)
            ),
            told_ns=clock_ns,
        )
        if self._is_silenced(found):
            return None
        return found

    def _is_silenced(self, finding: Finding) -> bool:
        return self.silences is not None and self.silences(finding)

    def fired(self, fired: Fired) -> Finding | None:
        """A change, or a new step that belongs to none; None where that was reported."""
        found = self._fired(fired)
        if found is None or self._is_silenced(found):
            return None
        return found

    def _fired(self, fired: Fired) -> Finding | None:
        report = fired.report
        if report is not None:
            return Finding(
                kind="change",
                decided="end",
                tag=report.tag,
                session=(report.name.encode(),),
                instance=1,
                ordinal=0,
                first_ns=report.first_ns,
                last_ns=report.at_ns,
                events=report.sessions,
                log_keys=(),
                verdict=None,
                lines=(),
                told_ns=report.at_ns,
                change=report,
            )
        assert fired.odd is not None, "BUG: nothing fired"
        first = fired.odd.first
        if first is None:
            return None
        events = self._novelties.report(novel_shape(first.line), fired.at_ns)
        if events is None:
            return None
        return Finding(
            kind="unseen_template",
            decided="end",
            tag=first.tag,
            session=first.session,
            instance=first.instance,
            ordinal=0,
            first_ns=first.time_ns,
            last_ns=first.time_ns,
            events=events,
            log_keys=(self._hierarchy.unknown,),
            verdict=None,
            lines=(first.line,),
            told_ns=fired.at_ns,
        )

    def _of(
        self,
        session: Session,
        kind: Literal["sequence", "deviation"],
        verdict: Verdict | None,
        shown: slice,
        event: int,
        deviations: tuple[Deviation, ...],
        told: tuple[Decided, int],
    ) -> Finding:
        decided, told_ns = told
        line = b""
        if event < len(session.lines):
            line = session.lines[event]
        return Finding(
            kind=kind,
            decided=decided,
            tag=session.tag,
            session=session.key,
            instance=session.instance,
            ordinal=session.ordinal,
            first_ns=session.first_ns,
            last_ns=session.last_ns,
            events=len(session.keys),
            log_keys=self._log_keys(session),
            verdict=verdict,
            lines=tuple(session.lines[shown]),
            background=Background(
                tuple(session.times[shown]),
                (session.saved.context,),
                tuple((session.levels or b"")[shown]),
            ),
            line=line,
            unmatched=self._unmatched(session),
            texts=tuple(session.lines),
            deviations=deviations,
            told_ns=told_ns,
        )

    def _log_keys(self, session: Session) -> tuple[int, ...]:
        """The session's log keys. Steps that are not identified yet are unknown."""
        unknown = self._hierarchy.unknown
        if max(session.keys, default=0) <= unknown:
            return tuple(session.keys)
        return tuple([min(key, unknown) for key in session.keys])

    def _shown(self, session: Session, start: int, end: int, event: int) -> slice:
        """Those of the events `[start, end)` around one of them whose lines an alert may hold."""
        end = max(start, min(end, len(session.lines)))
        first = min(event - self._max_lines // 2, end - self._max_lines)
        first = max(start, first)
        return slice(first, min(first + self._max_lines, end))

    def _unmatched(self, session: Session) -> tuple[bytes, ...]:
        """The shapes of the session's lines that match no template."""
        unknown = self._hierarchy.unknown
        if max(session.keys, default=0) < unknown:
            return ()
        # `lines` may be shorter than `keys`: it holds the first `keep_lines` only.
        both = zip(session.keys, session.lines, strict=False)
        return tuple(novel_shape(line) for key, line in both if key >= unknown)


def _last_level(session: Session) -> tuple[int, ...]:
    """The rank of a session's last event, where its level was read."""
    levels = session.levels
    if levels is None or len(levels) < len(session.keys):
        return ()
    return (levels[-1],)


def signature_of(deviation: Deviation, names: Sequence[str]) -> str:
    """What two deviations of the same sort have in common: no number, and no word of a sentence.

    `names` are the ids of the templates by log key, so that it outlives the bundle.
    """
    of_step = _of_step(deviation, names)
    if deviation.behind < 0:
        return of_step
    return f"{of_step} {_too_early(deviation, names)}"


def _of_step(deviation: Deviation, names: Sequence[str]) -> str:
    return f"{deviation.witness} {deviation.direction} {names[deviation.log_key]}"


def _too_early(deviation: Deviation, names: Sequence[str]) -> str:
    if deviation.behind < 0:
        return ""
    return f"{_BEHIND}{names[deviation.behind]}"


def _told(session: Session) -> int:
    """How many deviations were reported of a session."""
    return sum(not told.startswith(_BEHIND) for told in session.told)
