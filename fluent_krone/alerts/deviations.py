"""What deviates in a session that is abnormal as a whole, difference by difference.

A verdict on a whole session says that it is unlike the normal ones. What a person marks, and what
an incident consists of, are the single differences: *what* differs, *after which step*, and *in
which direction*. They come from the session beside the nearest normal one (`Comparison.pairs`):

1. Each stretch without a counterpart on the other side is one difference. Events that only the
   session has are `extra`, or `unseen` where training never had the step, or `repeated` where they
   are the step or the round before them once more, or the beginning of a round that comes a third
   time in a session that goes on. Steps that only the normal session has are `missing`. Where both
   have a stretch of their own, the one came `instead` of the other.
2. A stretch that is extra at one place and missing at another one is `out_of_place`: one
   difference. As two, a mark on a harmless change of order would also hold for the missing step.
3. What no difference describes (nothing to compare with, a session too long to be aligned, more
   differences than are listed) is one difference of the whole, which is told apart by all of the
   evidence.

How often a stretch repeats itself is its `size` and no part of what identifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..core.deploys.wording import differing_words
from ..types import Evidence
from .comparison import MOST_ALIGNED, Comparison

Direction = Literal[
    "extra",
    "unseen",
    "beside_new",
    "repeated",
    "missing",
    "instead",
    "out_of_place",
    "starts_late",
    "ends_early",
]

# Differences of one session that are listed. A session with more is unlike any normal one, and a
# longer list would say nothing more.
MOST_DIFFERENCES = 12
# Share of the words of a step in which a variant of it may differ.
_VARIES = 0.3
# Directions of steps that may have changed their place only.
_MOVES = ("out_of_place", "extra", "missing", "beside_new")
# From this many missing steps at its beginning or end on, a session counts as cut.
_CUT = 2
# Steps of a round that is recognised when it has begun once more.
_LONGEST_ROUND = 50
# Steps of a stretch that a sentence names; the first ones say where to look.
_MOST_NAMED = 3


# Whether training had the second step directly after the first one; both are log keys.
HadPair = Callable[[int, int], bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a session and the nearest normal one.

    `extra` and `missing` are the log keys of the stretch, each round of a repetition once; `events`
    are those of the session in it. `before` is the log key of the step before the stretch, None at
    the beginning or where it does not matter; `instead_of` the one where a step that is out of
    place normally follows, and `gap` the event that came where it should have. `size` is how often
    the stretch came, at least 1.
    """

    direction: Direction
    event: int
    before: int | None
    extra: tuple[int, ...]
    missing: tuple[int, ...]
    events: tuple[int, ...] = ()
    instead_of: int | None = None
    size: int = 1
    gap: int | None = None


def differences_of(compared: Comparison, had_pair: HadPair | None = None) -> list[Difference]:
    """The differences, the one of the oddest event first; empty where only the whole is odd.

    `had_pair` says whether training had a step directly after another one. It is given where the
    verdict rests on counts, which do not see order. Steps that only changed their place, without
    any new pair, are then left out: they ran beside each other and may come in either order. So are
    missing steps without which training went on in the same way, where something else differs.
    """
    found: list[Difference] = []
    if not compared.nearest:
        return found
    for stretch in _stretches(compared):
        found += _differences(compared, stretch)
    found = _with_moves(found)
    if had_pair is not None:
        material = [one for one in found if not _is_usual_move(compared, one, had_pair)]
        found = material or found
        material = [one for one in found if not _is_usual_omission(compared, one, had_pair)]
        found = material or found
    # Another provider or host than in the nearest normal session says little as well.
    material = [one for one in found if not _is_variant(compared, one)]
    found = material or found
    found.sort(key=lambda one: (abs(one.event - compared.event), one.event))
    return found[:MOST_DIFFERENCES]


def is_complete(compared: Comparison, differences: Sequence[Difference]) -> bool:
    """Whether the differences are complete: none was left out, and everything was compared."""
    if not 0 < len(differences) < MOST_DIFFERENCES:
        return False
    return max(len(compared.session), len(compared.nearest)) <= MOST_ALIGNED


def evidence_parts(evidence: Evidence) -> list[str]:
    """What tells apart differences of the whole: all of the evidence but its numbers."""
    parts = []
    for name in ("extra", "missing", "repeated"):
        parts += [name, *sorted(getattr(evidence, name))]
    return [*parts, "unseen", *sorted(evidence.unseen)]


@dataclass(slots=True)
class _Stretch:
    """Events and places without a counterpart, and where they are."""

    before: int | None
    extra: list[int]
    missing: list[int]
    is_first: bool
    is_last: bool


def _stretches(compared: Comparison) -> Iterator[_Stretch]:
    """Each stretch of the alignment where one side has no counterpart."""
    missed = set(compared.missing)
    events = len(compared.session)
    extra: list[int] = []
    missing: list[int] = []
    # The last event that has a counterpart.
    last: int | None = None
    for event, place in [*compared.pairs, (events, len(compared.nearest))]:
        if place is None and event is not None:
            extra.append(event)
        elif event is None and place is not None:
            if place in missed:
                missing.append(place)
        else:
            if extra or missing:
                before = None if last is None else compared.session[last]
                yield _Stretch(before, extra, missing, last is None, event == events)
                extra = []
                missing = []
            last = event


def _differences(compared: Comparison, stretch: _Stretch) -> Iterator[Difference]:
    """The differences that one stretch consists of."""
    extra = stretch.extra
    missing = stretch.missing
    if any(not compared.is_known(compared.session[event]) for event in extra):
        yield from _new_lines(compared, extra)
        return
    if len(missing) >= _CUT and (stretch.is_first or (stretch.is_last and compared.is_ended)):
        yield _cut(compared, stretch)
        missing = []
        if stretch.is_first:
            # The step that such a session begins with is named already.
            extra = [event for event in extra if event > 0]
    if extra or missing:
        yield _difference(compared, stretch.before, extra, missing)


def _new_lines(compared: Comparison, extra: Sequence[int]) -> Iterator[Difference]:
    """New lines and the steps beside them, each step as one difference, wherever it stands.

    They came in place of what is missing there.
    """
    for log_key in dict.fromkeys(compared.session[event] for event in extra):
        events = tuple(event for event in extra if compared.session[event] == log_key)
        if compared.is_known(log_key):
            yield Difference("beside_new", events[0], None, (log_key,), (), events)
        else:
            yield Difference("unseen", events[0], None, (log_key,), (), events, size=len(events))


def _cut(compared: Comparison, stretch: _Stretch) -> Difference:
    """A session that lacks its beginning or its end: what counts is where it was cut."""
    event = len(compared.session) - 1
    direction: Direction = "ends_early"
    if stretch.is_first:
        event = 0
        direction = "starts_late"
    missing = tuple(compared.nearest[place] for place in stretch.missing)
    return Difference(direction, event, compared.session[event], (), missing)


def _difference(
    compared: Comparison, before: int | None, extra: Sequence[int], missing: Sequence[int]
) -> Difference:
    round_, times = _round(tuple(compared.session[event] for event in extra))
    normal, rounds = _round(tuple(compared.nearest[place] for place in missing))
    direction = _direction(compared, extra, round_, normal)
    if direction == "extra" and (begun := _begun(compared, extra, round_)):
        direction = "repeated"
        round_ = begun
    if direction == "repeated":
        # What repeats the step before it is named by itself, wherever that came from.
        before = None
    size = max(times, rounds)
    if extra and missing:
        size = 1
    event = _place_of(compared, extra, missing)
    return Difference(direction, event, before, round_, normal, tuple(extra), size=size)


def _place_of(compared: Comparison, extra: Sequence[int], missing: Sequence[int]) -> int:
    """The event that a difference is shown at."""
    if compared.event in extra:
        return compared.event
    if extra:
        return extra[0]
    # Of what is missing, the event before which it should have come, or the last one.
    after = [i for i, j in compared.pairs if i is not None and j is not None and j > missing[-1]]
    return min(after, default=len(compared.session) - 1)


def _direction(
    compared: Comparison, extra: Sequence[int], round_: tuple[int, ...], normal: tuple[int, ...]
) -> Direction:
    if not round_:
        return "missing"
    if normal:
        return "instead"
    start = extra[0]
    end = extra[-1] + 1
    before = tuple(compared.session[max(start - len(round_), 0) : start])
    after = tuple(compared.session[end : end + len(round_)])
    if round_ in (before, after):
        return "repeated"
    return "extra"


def _begun(compared: Comparison, extra: Sequence[int], steps: tuple[int, ...]) -> tuple[int, ...]:
    """The round that a session which goes on has begun once more; empty where it has not.

    It went through the round twice right before. What began the round will soon have repeated it,
    and is the same difference then as now.
    """
    start = extra[0]
    if compared.is_ended or extra[-1] != len(compared.session) - 1:
        return ()
    for length in range(len(steps) + 1, min(start // 2, _LONGEST_ROUND) + 1):
        once = tuple(compared.session[start - length : start])
        before = tuple(compared.session[start - 2 * length : start - length])
        if once[: len(steps)] == steps and before == once:
            return _round(once)[0]
    return ()


def _round(keys: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The shortest stretch that `keys` repeat, with runs as one event, and how often it came.

    >>> _round((7, 7, 7)), _round((1, 2, 1, 2)), _round((1, 1, 2))
    (((7,), 3), ((1, 2), 2), ((1, 2), 1))
    """
    single = tuple(key for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key)
    if len(single) == 1:
        return single, len(keys)
    for length in range(1, len(single) // 2 + 1):
        times, rest = divmod(len(single), length)
        if not rest and single == single[:length] * times:
            return single[:length], times
    return single, 1


def _with_moves(found: list[Difference]) -> list[Difference]:
    """Differences in which a stretch that only changed its place is one, not two."""
    kept = list(found)
    for extra in found:
        if extra.direction not in ("extra", "repeated"):
            continue
        for missing in kept:
            if missing.direction == "missing" and missing.missing == extra.extra:
                moved = replace(
                    extra,
                    direction="out_of_place",
                    missing=missing.missing,
                    instead_of=missing.before,
                    gap=missing.event,
                )
                kept[kept.index(extra)] = moved
                kept.remove(missing)
                break
    return kept


def _is_variant(compared: Comparison, one: Difference) -> bool:
    """Whether steps came instead of others whose templates differ in few plain words."""
    if one.direction != "instead" or len(one.extra) != len(one.missing):
        return False
    steps = zip(one.extra, one.missing, strict=True)
    return all(
        are_variants(compared.template(key), compared.template(other)) for key, other in steps
    )


def are_variants(one: str, other: str) -> bool:
    """Whether two templates differ in few words, none of them with a digit or a wildcard.

    >>> are_variants("visa paid <num> EUR", "amex paid <num> EUR")
    True
    >>> are_variants("answered 5<num> in <num> ms", "answered 2<num> in <num> ms")
    False
    """
    differing = differing_words(one, other)
    if not differing or len(differing) > _VARIES * len(one.split()):
        return False
    return all(word.strip(".,:;()").isalpha() for pair in differing for word in pair)


def _is_usual_move(compared: Comparison, one: Difference, had_pair: HadPair) -> bool:
    """Whether steps only changed their place, and training had all pairs of steps that this made.

    A new line beside them is reported by itself.
    """
    steps = (*one.extra, *one.missing)
    if one.direction not in _MOVES or any(
        compared.counts[key] != compared.normal_counts[key] for key in steps
    ):
        return False
    ends = {one.event}
    if one.gap is not None:
        ends.add(one.gap)
    if one.events:
        ends.update(range(one.events[0], one.events[-1] + 2))
    keys = compared.session
    return all(
        had_pair(keys[end - 1], keys[end])
        for end in ends
        if 0 < end < len(keys) and compared.is_known(keys[end - 1]) and compared.is_known(keys[end])
    )


def _is_usual_omission(compared: Comparison, one: Difference, had_pair: HadPair) -> bool:
    """Whether steps are missing that normal sessions may lack in the same place.

    Training had the steps around the gap right after each other.
    """
    keys = compared.session
    if one.direction != "missing" or one.before is None or keys[one.event - 1] != one.before:
        return False
    return had_pair(one.before, keys[one.event])


def is_in_usual_order(compared: Comparison, one: Difference, had_pair: HadPair) -> bool:
    """Whether steps are more than the nearest session has, and stand where training had them, too.

    Training had each of them right after the one before it. So what is odd about the session is
    only that it has these steps together with its others.
    """
    keys = compared.session
    if one.direction not in ("extra", "out_of_place") or not one.events:
        return False
    for end in range(max(one.events[0], 1), min(one.events[-1] + 2, len(keys))):
        if not had_pair(keys[end - 1], keys[end]):
            return False
    return True


def words_of(difference: Difference, quoted: Callable[[int], str]) -> str:
    """A difference in a sentence; `quoted` gives the step of a log key in quotes."""
    where = "At the beginning"
    last = ""
    if difference.before is not None:
        last = quoted(difference.before)
        where = f"After {last}"
    came = difference.extra
    if difference.direction == "repeated":
        # Of a round that has only begun once more, the others did not come yet.
        came = came[: len(difference.events)]
    extra = " and then ".join(map(quoted, came[:_MOST_NAMED]))
    missing = " and then ".join(map(quoted, difference.missing[:_MOST_NAMED]))
    if difference.direction == "missing":
        return f"{where}, {missing} did not come; the nearest normal session has that there."
    if difference.direction == "instead":
        return f"{where} came {extra}; the nearest normal session has {missing} there."
    if difference.direction == "out_of_place":
        usual = "at the beginning"
        if difference.instead_of is not None:
            usual = f"after {quoted(difference.instead_of)}"
        return f"{extra} came at another place; the nearest normal session has that {usual}."
    if difference.direction == "repeated":
        return f"{extra} came again, more often than in the nearest normal session."
    if difference.direction == "unseen":
        return f"{extra} came, which normal sessions never have."
    if difference.direction == "beside_new":
        return f"{extra} came beside a new kind of line."
    if difference.direction == "starts_late":
        return f"The session begins with {last}; the nearest normal session has {missing} before."
    if difference.direction == "ends_early":
        return f"The session ends after {last}; the nearest normal session goes on with {missing}."
    return f"{where} came {extra}, which the nearest normal session does not have there."
