"""Cuts a log into sessions with the engine and the settings that the bundle will serve with.

So a session that the idle timeout cuts in two when served is cut in two in training as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from fluent_krone.config import Config
from fluent_krone.core.engine import Engine, EngineParts
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import Session, SessionSettings
from fluent_krone.core.steps import StepJudge
from fluent_krone.detect.bundle import limits_of
from fluent_krone.inputs import Event
from fluent_krone.reading.records import InputSettings, SessionKey
from fluent_krone.reading.slots import SlotReader
from fluent_krone.types import LEVELS, Deviation, Level, Seq

from .context_fields import ContextFields
from .traces import Trace

# Events that are given to the engine at a time. Memory stays small and progress is shown often.
_SLICE = 10_000
# Events of a session whose values are learnt from. Longer sessions repeat themselves.
_VALUES_OF = 200
# A time later than all others, in nanoseconds. Offline, no event lies in the future.
NEVER_NS = 2**62


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """One session instance and its log keys in order.

    The log key of an unseen message is the number of templates. `gaps_ns`, `values` and `levels`
    are as in `Trace`; they are empty where the session came without times, or without messages.
    """

    key: SessionKey
    first_ns: int
    log_keys: tuple[int, ...]
    gaps_ns: tuple[int, ...] = ()
    values: tuple[tuple[bytes, ...], ...] = ()
    levels: tuple[int, ...] = ()

    @property
    def times_ns(self) -> Iterator[int]:
        """The times of its events."""
        return accumulate(self.gaps_ns, initial=self.first_ns)

    @property
    def trace(self) -> Trace:
        """The session as detectors are fitted on it."""
        return Trace(self.log_keys, self.gaps_ns, self.values, self.levels)


class _ClearAll:
    """Takes every Seq for normal, because sessions are only cut here and not judged."""

    name = "none"
    threshold = 0.0

    def is_normal(self, seq: Seq) -> bool:
        return True

    def is_known(self, level: Level, node: int) -> bool:
        return True

    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]:
        return 0.0, ()


class _Recorder(StepJudge):
    """Writes down the level of each event, as the engine reads it, and finds none odd.

    Each level is too severe, so that the engine asks about every event. What is written down is
    kept by the array of the session's log keys, which is one and the same while the session is
    open.
    """

    has_levels = True

    def __init__(self, unknown: int) -> None:
        self._watched = frozenset(range(unknown + 1))
        self._ranks: dict[int, list[int]] = {}

    @property
    def watched(self) -> frozenset[int]:
        return self._watched

    def is_too_severe(self, log_key: int, rank: int) -> bool:
        return True

    def severity(self, keys: Sequence[int], rank: int) -> Deviation | None:
        self._ranks.setdefault(id(keys), []).append(rank)
        return None

    def take(self, session: Session) -> tuple[int, ...]:
        """The levels' ranks of a session that ends."""
        ranks = tuple(self._ranks.pop(id(session.keys), ()))
        return ranks if any(ranks) else ()


def cut_sessions(
    events: Iterable[Event],
    templates: Sequence[str],
    input_settings: InputSettings,
    session_settings: SessionSettings,
    on_slice: Callable[[int], None] = lambda records: None,
    *,
    wide: Sequence[Collection[int] | None] | None = None,
    context: ContextFields | None = None,
) -> tuple[list[TrainingSession], Engine]:
    """All session instances of a log, in the order in which they end, and the engine.

    The engine is returned for its counters.

    `on_slice` takes the number of records read so far; `context` looks at each record.
    """
    recorder = _Recorder(len(templates))
    slots = SlotReader(templates, wide)
    parts = EngineParts(
        templates=templates,
        wide=wide,
        seen=[True] * len(templates),
        hierarchy=Hierarchy([Leaf(text, "none", "none", "none") for text in templates]),
        patterns=_ClearAll(),
        input_settings=input_settings,
        session_settings=session_settings,
        steps=recorder,
    )
    config = Config(keep_lines=_VALUES_OF, max_sessions=10_000_000, change_settle=0.0)
    engine = Engine(parts, limits_of(config))
    if context is not None:
        engine.read_by(context.over(engine.read))
    sessions: list[TrainingSession] = []

    def keep(session: Session) -> None:
        values = tuple(map(slots.values, session.keys, session.lines))
        times = session.times
        gaps_ns = tuple(later - before for before, later in pairwise(times))
        sessions.append(
            TrainingSession(
                session.key,
                session.first_ns,
                tuple(session.keys),
                gaps_ns,
                values,
                recorder.take(session),
            )
        )

    engine.on_close.append(keep)
    buffer: list[Event] = []
    for event in events:
        buffer.append(event)
        if len(buffer) == _SLICE:
            engine.feed("export", buffer, NEVER_NS)
            on_slice(engine.counters["records"])
            buffer = []
    engine.feed("export", buffer, NEVER_NS)
    engine.finish()
    return sessions, engine


def patterns_of(
    sessions: Iterable[tuple[int, ...]], tree: Hierarchy
) -> dict[Level, list[tuple[int, ...]]]:
    """The patterns of all Seqs of `sessions` (log keys), by level and sorted.

    Local-Context takes these for normal.
    """
    seen: dict[Level, set[tuple[int, ...]]] = {level: set() for level in LEVELS}
    for log_keys in set(sessions):
        for seq in tree.decompose(log_keys):
            seen[seq.level].add(seq.pattern)
    return {level: sorted(seen[level]) for level in LEVELS}
