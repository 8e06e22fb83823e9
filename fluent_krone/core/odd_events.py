"""What is odd about one event of a session: its order, the gap before it, its content."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..reading.cache import Generation
from ..reading.levels import FIRST_LEVEL_FIELD, LevelReader, levels_of
from ..reading.records import RecordReader
from ..reading.slots import SlotReader
from ..reading.wildcards import ZEROED
from ..types import Deviation
from .sessions import Session
from .steps import Limit, StepJudge, uncertain_ns
from .tracker import State

if TYPE_CHECKING:
    from .parts import EngineParts

# Bytes of all values that are remembered as no deviation. Most values of a log come again; those of
# a hostile one may not fill the memory.
_FINE_BYTES = 16_000_000
# What a remembered value costs besides its own bytes.
_VALUE_BYTES = 80
# Shapes of messages of one template whose places are remembered; then all are found anew.
_MOST_SHAPES = 1_000
# Bytes of all shapes that are remembered here, and what a shape and each of its places cost besides
# its own bytes.
_SHAPE_BYTES = 8_000_000
_ENTRY_BYTES = 250
_PLACE_BYTES = 120
# A longer shape is not remembered.
_LONGEST_SHAPE = 1_000

# Where in a message the judged part of a value is, and all of the value; its place in the template,
# and the values that were found to be no deviation there.
Check = tuple[slice, slice, int, set[bytes]]
# Why an event is rare: by its log key, its level or a value. And why it needs a look though it may
# be none of the few: its numbers are compared with one another.
RARE, COMPARED = 1, 2
# What is known of all events of one shape and level: the rank of the level, None where it is not
# known; whether each of them is rare or has to be looked at; and where the values are that are
# worth a look.
Checks = tuple[int | None, int, Sequence[Check]]


class OddEvents:
    """Asks the step judge about the few events that may be odd.

    `watched` are the log keys whose values or levels are worth a look. The events of `special` ones
    are rare in any case.
    """

    def __init__(
        self,
        steps: StepJudge,
        slots: SlotReader,
        levels: LevelReader,
        special: Collection[int] = (),
    ) -> None:
        self._steps = steps
        self._slots = slots
        self.levels = levels
        self._has_levels = steps.has_levels
        self.watched = steps.watched
        self._compared = steps.compared
        self._special = frozenset(special)
        # Log key → rank of a level → whether it is too severe.
        self._of_rank: dict[int, dict[int, bool]] = {key: {} for key in self.watched}
        # Log keys whose messages have too many shapes to be remembered.
        self._unshaped: set[int] = set()
        # Of these, the places to look at, and what was found to be no deviation there.
        self._places: dict[int, list[tuple[int, set[bytes]]]] = {}
        self._fine: dict[tuple[int, int], set[bytes]] = {}
        # Log key → shape of a message → what to look at in it.
        self._checks: dict[int, dict[bytes, Sequence[Check]]] = {key: {} for key in self.watched}
        self._shape_generation = Generation(_SHAPE_BYTES, self._forget_shapes)
        self._fine_generation = Generation(_FINE_BYTES, self._forget_values)

    def checked(self, log_key: int, text: bytes, record: Any) -> Checks:
        """What is known of an event when it was looked at, where nothing is known of its shape."""
        return None, self.is_rare(log_key, text, record), ()

    def is_rare(self, log_key: int, text: bytes, record: Any) -> int:
        """Whether an event is one of the few that need more: `RARE`, `COMPARED` or both, 0 for
        neither."""
        is_rare = log_key in self._special or self.has_odd_content(log_key, text, record)
        return RARE * is_rare | COMPARED * (log_key in self._compared)

    def has_odd_content(self, log_key: int, text: bytes, record: Any) -> bool:
        """Whether the level of an event, or any of its values, deviates.

        Nothing is known of its shape, or its record is gone.
        """
        if log_key not in self.watched:
            return False
        if self._has_levels and self._is_level_odd(log_key, self.levels.rank(record)):
            return True
        if log_key in self._unshaped:
            return self._has_odd_value(log_key, text)
        places = self._checks[log_key].get(text.translate(ZEROED))
        if places is None:
            places = self._places_anew(log_key, text)
        for judged, whole, slot, fine in places:
            if text[judged] not in fine and self.is_odd(log_key, slot, text[whole], fine):
                return True
        return False

    def _is_level_odd(self, log_key: int, rank: int) -> bool:
        """Whether a level is too severe for a log key, which is watched."""
        of_rank = self._of_rank[log_key]
        too_severe = of_rank.get(rank)
        if too_severe is None:
            too_severe = of_rank[rank] = self._steps.is_too_severe(log_key, rank)
        return too_severe

    def _has_odd_value(self, log_key: int, text: bytes) -> bool:
        """Whether any value of a message deviates whose shape is not remembered."""
        spans = self._slots.spans(log_key, text, remember=False)
        for slot, fine in self._places[log_key]:
            if slot < len(spans):
                start, end = spans[slot]
                if self.is_odd(log_key, slot, text[start:end], fine):
                    return True
        return False

    def is_odd(self, log_key: int, slot: int, value: bytes, fine: set[bytes]) -> bool:
        """Whether a value deviates. The judged part of one that does not is added to `fine`."""
        judged = self._steps.judged_part(log_key, slot, value)
        if judged in fine:
            return False
        if self._steps.is_odd(log_key, slot, value):
            return True
        self._fine_generation.take(_VALUE_BYTES + len(judged))
        fine.add(judged)
        return False

    # Made once for each shape and level. What depends on the level alone is then one look-up with
    # the shape, and a value that was looked at before costs one more.
    def checks_of(self, log_key: int, text: bytes, fields: Any) -> Checks | None:
        """What to look at in all messages of this one's shape, in records of this one's level.

        None where it is not known what level they have, though that matters.
        """
        rank = None
        word = fields.get(FIRST_LEVEL_FIELD)
        if self.levels.asks_usual_first and word.__class__ is bytes:
            # A word that is no level says nothing: another field of the record may.
            rank = self.levels.rank_of(word) or None
        is_rare = log_key in self._special
        if not is_rare and self._has_levels and log_key in self.watched:
            if rank is None:
                return None
            is_rare = self._is_level_odd(log_key, rank)
        rare = RARE * is_rare | COMPARED * (log_key in self._compared)
        return rank, rare, self._places_of(log_key, text)

    def _places_of(self, log_key: int, text: bytes) -> Sequence[Check]:
        """The values to look at in all messages of this one's shape."""
        if log_key not in self.watched:
            return ()
        spans = self._slots.spans(log_key, text, remember=False)
        checks = []
        for slot in self._steps.slots(log_key):
            if slot < len(spans):
                start, end = spans[slot]
                judged = self._steps.judged_part(log_key, slot, text[start:end])
                fine = self._fine.setdefault((log_key, slot), set())
                part = slice(start, start + len(judged))
                checks.append((part, slice(start, end), slot, fine))
        return checks

    def _places_anew(self, log_key: int, text: bytes) -> Sequence[Check]:
        checks = self._places_of(log_key, text)
        shapes = self._checks[log_key]
        if len(text) <= _LONGEST_SHAPE:
            if len(shapes) >= _MOST_SHAPES:
                # Ids of letters make every shape new: then remembering costs, and gains nothing.
                shapes.clear()
                self._unshaped.add(log_key)
                self._places[log_key] = [
                    (slot, self._fine.setdefault((log_key, slot), set()))
                    for slot in self._steps.slots(log_key)
                ]
            cost = _ENTRY_BYTES + len(text) + _PLACE_BYTES * len(checks)
            self._shape_generation.take(cost)
            shapes[text.translate(ZEROED)] = checks
        return checks

    def _forget_shapes(self) -> None:
        for shapes in self._checks.values():
            shapes.clear()

    def _forget_values(self) -> None:
        for fine in self._fine.values():
            fine.clear()

    def is_disproportionate(self, keys: Sequence[int], gap_ns: int, text: bytes) -> bool:
        """Whether the numbers of the last of `keys` are compared, and do not go together."""
        if keys[-1] not in self._compared:
            return False
        values = self._slots.values(keys[-1], text)
        return self._steps.proportion(keys, gap_ns, values) is not None

    def usual_gap(self, keys: Sequence[int], gap_ns: int, text: bytes) -> int:
        """The gap before the last of `keys` that is no deviation and nearest to `gap_ns`.

        `text` is the message of the event; where it was not kept, its values are not asked.
        """
        if len(keys) < 2:
            return gap_ns
        shortest_ns, longest_ns = self._steps.limits_ns(keys[-2], keys[-1])
        if keys[-1] in self._compared:
            values = self._slots.values(keys[-1], text)
            gap_ns = self._steps.fitting_gap(keys, gap_ns, values)
        return min(max(gap_ns, shortest_ns), longest_ns)

    def gap_behind(
        self, session: Session, at: int, gap_ns: int, passed_ns: int, text: bytes
    ) -> int:
        """The gap before event `at` of a session, within which an event was passed over.

        Training knows the gap without the new step, and so not how long that one takes. A gap that
        is too long as a whole is therefore judged from the new step on.
        """
        since_ns = session.times[at] - passed_ns
        if not 0 <= since_ns < gap_ns:
            return gap_ns
        return min(gap_ns, max(since_ns, self.usual_gap(session.keys[: at + 1], gap_ns, text)))

    def certain_gap(self, session: Session, at: int, gap_ns: int, text: bytes) -> int:
        """The gap before event `at` of a session, as exactly as the times of the stream tell it.

        Where they are less exact than those of training, the gap may be indistinguishable from the
        nearest usual one, which is then returned.
        """
        off_ns = uncertain_ns(self._steps, *session.times[max(at - 1, 0) : at + 1])
        if not off_ns:
            return gap_ns
        usual_ns = self.usual_gap(session.keys[: at + 1], gap_ns, text)
        if abs(usual_ns - gap_ns) < off_ns:
            return usual_ns
        return gap_ns

    def gap(self, keys: Sequence[int], gap_ns: int) -> list[Deviation]:
        """What is odd about the gap before the last of `keys`: one deviation, or none."""
        found = self._steps.gap(keys, gap_ns)
        return [] if found is None else [found]

    def deviations(
        self,
        state: State,
        keys: Sequence[int],
        gap_ns: int,
        text: bytes,
        record: Any,
        *,
        rare: int,
    ) -> list[Deviation]:
        """What is odd about the last of `keys`, which led to `state`.

        Unless it is `rare`, its content was looked at before, and is not odd.
        """
        found = list(state.deviations)
        others = [self._steps.gap(keys, gap_ns)]
        # Every event of a session that is decided comes here, and few of them have odd content.
        if rare & RARE and self.has_odd_content(keys[-1], text, record):
            others.append(self._steps.value(keys, self._slots.values(keys[-1], text)))
            if self._has_levels:
                others.append(self._steps.severity(keys, self.levels.rank(record)))
        # A number that is odd by itself is reported as such, not as one that does not fit another.
        if rare & COMPARED and keys[-1] in self._compared and not any(others):
            values = self._slots.values(keys[-1], text)
            others.append(self._steps.proportion(keys, gap_ns, values))
        return found + [deviation for deviation in others if deviation is not None]

    def overdue(
        self, ends: Sequence[Deviation], session: Session, now: int
    ) -> tuple[Deviation, ...]:
        """What is odd about the end of a session that may still go on: those of `ends` whose next
        step should have come by the stream time `now`."""
        waited_ns = now - session.seen - uncertain_ns(self._steps, session.last_ns)
        unusual = self._steps.wait_score(session.keys, waited_ns)
        return tuple(odd for odd in ends if unusual > odd.threshold)

    def durations(self, limits: Sequence[Limit], session: Session) -> tuple[Deviation, ...]:
        """The first Seq of a session that took too long. Those above it did so with it."""
        times = session.times
        for limit in limits:
            start, end, longest_ns = limit
            duration_ns = times[end - 1] - times[start]
            if duration_ns <= longest_ns:
                continue
            duration_ns -= uncertain_ns(self._steps, times[start], times[end - 1])
            if duration_ns > longest_ns:
                slowest = max(range(start + 1, end), key=lambda at: times[at] - times[at - 1])
                return (self._steps.long(session.keys, limit, duration_ns, slowest),)
        return ()


def odd_events_of(parts: EngineParts, reader: RecordReader) -> OddEvents:
    """What an engine asks, built from the parts of its bundle."""
    slots = SlotReader(parts.templates, parts.wide)
    return OddEvents(parts.steps, slots, levels_of(reader), parts.novel | parts.ends)
