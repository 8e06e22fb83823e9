"""What is wrong with a session, in one to three sentences, from the evidence alone.

The first sentence answers an operator's two questions: what is wrong, and where do I look? It is
made by the first of `_KINDS` that finds what it is about. To tell a further kind of deviation, add
a function there. The sentences after it list what else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..detect.measures import as_share, times
from ..detect.order import START
from .phrases import at_most, listed_briefly
from .scene import Scene, longest_run, run_around
from .writer import MAX_LINE, Writer

# Steps after which a session that stops early counts as cut short: at least this share is missing.
_CUT_SHORT = 0.1
# Of the steps that it lacks, at least this share lies behind all that it has.
_AT_THE_END = 0.75
# Steps that a sentence lists of a session that was cut short.
_MOST_LACKING = 4


class Told(NamedTuple):
    """Sentences about a session, and the log key of the step that the first one is about."""

    text: str
    log_key: int


def explain(scene: Scene, clean: Callable[[str], str] | None = None) -> Told:
    """Plain sentences about a session, the most important one first.

    `clean` masks what must not leave. It sees each step whole, before that is cut: a part of a
    secret is no longer recognised as one.
    """
    writer = Writer(scene, clean)
    for kind in _KINDS:
        first = kind(writer)
        if first is not None:
            break
    else:
        first = writer.out_of_order()
    about = writer.about
    return Told(" ".join([first, *writer.rest()]), about)


def _unknown_line(writer: Writer) -> str | None:
    """The odd event's line is of a kind that training never saw."""
    scene = writer.scene
    if scene.session[scene.event] != scene.unknown:
        return None
    where = writer.after(scene.event)
    if scene.event not in scene.texts:
        return f"A line of an unknown kind came {where}: no normal session has one like it."
    line = writer.quoted(scene.name(scene.event), MAX_LINE)
    return f"New kind of line, {where}: {line}. No normal session has it."


def _unseen_step(writer: Writer) -> str | None:
    """The odd event's step never occurs in normal sessions."""
    scene = writer.scene
    key = scene.session[scene.event]
    if scene.template(key) not in scene.evidence.unseen:
        return None
    step = writer.event(scene.event)
    where = writer.after(scene.event)
    if scene.is_error(key):
        return f"Error: {step}, {where}. It never occurs in normal sessions."
    return f"{step} happened {where}; it never occurs in normal sessions."


def _rare_error(writer: Writer) -> str | None:
    """The odd event is an error that hardly any normal session has."""
    scene = writer.scene
    key = scene.session[scene.event]
    rare = scene.rare_times(key)
    if rare is None or not scene.is_error(key):
        return None
    found, sessions = rare
    where = writer.after(scene.event)
    how_often = ""
    if scene.counts[key] > 1:
        how_often = f" The session has {scene.counts[key]} such lines."
    return (
        f"Error: {writer.event(scene.event)}, {where}.{how_often} It came only {times(found)} in "
        f"{sessions:,} normal sessions."
    )


def _never_first(writer: Writer) -> str | None:
    """The session begins with the odd event's step, as no normal session does."""
    scene = writer.scene
    if scene.order is None or scene.event >= run_around(scene.session, 0)[1]:
        return None
    follows = scene.order.follows(START, scene.session[0])
    if follows.times or not follows.total:
        return None
    usual = writer.quoted(scene.filled(follows.usual))
    share = as_share(follows.usual_times / follows.total)
    return (
        f"The session begins with {writer.event(0)}. None of {follows.total:,} normal sessions "
        f"does; in {share} of them {usual} comes first."
    )


def _in_a_row(writer: Writer) -> str | None:
    """The odd event repeats its neighbour, more often than in the normal session."""
    scene = writer.scene
    if not scene.nearest:
        return None
    start, end = run_around(scene.session, scene.event)
    key = scene.session[scene.event]
    run = end - start
    usual = longest_run(scene.nearest, key)
    if run < 2 or run <= usual or scene.counts[key] <= scene.normal_counts[key]:
        return None
    if usual > 1 or (not usual and scene.is_common(key)):
        return None
    step, values = writer.events(range(start, end))
    if usual == 0:
        return (
            f"{step} happened {times(run)} in a row{values}; normal sessions like this one do not "
            "have that step."
        )
    return f"{step} happened {times(run)} in a row{values}; normally {at_most(usual)}."


def _cut_short(writer: Writer) -> str | None:
    """The session ended where normal ones go on."""
    scene = writer.scene
    if not scene.is_ended or not scene.nearest:
        return None
    extra = {scene.session[event] for event in scene.extra}
    if any(scene.counts[key] > scene.normal_counts[key] for key in extra):
        return None
    last = max((j for i, j in scene.pairs if i is not None and j is not None), default=-1)
    beyond = [place for place in scene.missing if place > last]
    if not beyond or len(beyond) < _AT_THE_END * len(scene.missing):
        return None
    if len(beyond) < max(2, _CUT_SHORT * len(scene.nearest)):
        return None
    last_step = writer.event(len(scene.session) - 1)
    steps = [
        writer.lacking(place)
        for place in _first_of_each(scene.nearest, scene.missing)
        if scene.normal_counts[scene.nearest[place]] > scene.counts[scene.nearest[place]]
    ]
    of = f"after {len(scene.session)} of {len(scene.nearest)} steps"
    lacks = ""
    if steps:
        lacks = f" It lacks {listed_briefly(steps, _MOST_LACKING)}."
    return f"The session stopped {of}, at {last_step}.{lacks}"


def _surplus(writer: Writer) -> str | None:
    """The odd event's step happened more often than in the normal session, or does not belong."""
    return _surplus_of(writer, writer.scene.session[writer.scene.event])


def _any_foreign(writer: Writer) -> str | None:
    """Another step happened that the normal session does not have at all."""
    scene = writer.scene
    return _surplus_of_any(
        writer, [e for e in scene.extra if not scene.normal_counts[scene.session[e]]]
    )


def _any_surplus(writer: Writer) -> str | None:
    """Another step happened more often than in the normal session."""
    return _surplus_of_any(writer, writer.scene.extra)


def _surplus_of_any(writer: Writer, events: Sequence[int]) -> str | None:
    scene = writer.scene
    for event in sorted(events, key=lambda event: abs(event - scene.event)):
        told = _surplus_of(writer, scene.session[event])
        if told is not None:
            return told
    return None


def _surplus_of(writer: Writer, key: int, *, even_if_common: bool = False) -> str | None:
    scene = writer.scene
    here = scene.counts[key]
    normal = scene.normal_counts[key]
    surplus = [event for event in scene.extra if scene.session[event] == key]
    if not scene.nearest or here <= normal or not surplus or scene.is_success(key):
        return None
    # Of several, the one that is oddest, else the last: it is the one too many.
    event = surplus[-1]
    if scene.event in surplus:
        event = scene.event
    if scene.is_common(key) and not even_if_common:
        return None
    where = writer.after(event)
    step, values = writer.events([i for i, other in enumerate(scene.session) if other == key])
    if normal:
        told = f"{step} happened {times(here)}{values}, normally {times(normal)}"
        if values or _repeats(scene, event):
            return f"{told}."
        additional = "the additional one" if here == normal + 1 else "an additional one"
        return f"{told}; {additional} came {where}."
    usual = "Normal sessions like this one do not have it."
    if even_if_common:
        usual = "Normal sessions that otherwise run like this one do not have that step."
    if scene.is_error(key):
        such = ""
        if here > 1:
            such = f" The session has {here} such lines."
        return f"Error: {writer.event(event)}, {where}.{such} {usual}"
    if here > 1:
        return f"{step} happened {times(here)}{values}, once {where}. {usual}"
    return f"{step} happened {where}. {usual}"


def _repeats(scene: Scene, event: int) -> bool:
    """Whether an event is the same step as the one before it, which says little of where it is."""
    return event > 0 and scene.session[event - 1] == scene.session[event]


def _common_surplus(writer: Writer) -> str | None:
    """A step that many normal sessions have, but not those that run like this one."""
    scene = writer.scene
    return _surplus_of(writer, scene.session[scene.event], even_if_common=True)


def _lacking(writer: Writer) -> str | None:
    """A step that normal sessions have did not happen, or not often enough."""
    scene = writer.scene
    for place in _nearest_missing(scene):
        key = scene.nearest[place]
        here = scene.counts[key]
        normal = scene.normal_counts[key]
        # In a session under way counts say nothing, but a step that never came before others does.
        if here >= normal or (here and not scene.is_ended):
            continue
        instead = _instead_of(scene, place)
        if instead is not None and not here:
            return (
                f"{writer.event(instead)} came {writer.after(instead)}; normally "
                f"{writer.normal(place)} comes there."
            )
        step = writer.normal(place)
        often = f"happened only {times(here)}, normally {times(normal)}"
        if here and scene.has_absent(key):
            return f"{step} is missing: that step {often}."
        before = _previous_here(scene, place)
        if here and before is not None and scene.session[before] != key:
            return f"{step} {often}: one less than usual after {writer.event(before)}."
        if here:
            return f"{step} {often}."
        follower = _next_here(scene, place)
        if follower is not None:
            return f"{writer.event(follower)} came without {step} before it."
        if before == len(scene.session) - 1:
            usual = writer.usual_next(place)
            return f"Nothing followed {writer.event(before)}; normally {usual} does."
        if before is not None:
            return f"{step} is missing; normally it follows {writer.event(before)}."
        return f"{step} is missing."
    return None


def _moved(writer: Writer) -> str | None:
    """A step came before or after another one that it normally follows or precedes."""
    scene = writer.scene
    for event in sorted(scene.extra, key=lambda event: abs(event - scene.event)):
        key = scene.session[event]
        places = [j for i, j in scene.pairs if i is None and j is not None]
        same = [place for place in places if scene.nearest[place] == key]
        for place in same:
            told = _where_moved(writer, event, place)
            if told is not None:
                return told
    return None


def _where_moved(writer: Writer, event: int, place: int) -> str | None:
    """The order of an event and of a step that normally is on its other side."""
    scene = writer.scene
    key = scene.session[event]
    both = [(i, j) for i, j in scene.pairs if i is not None and j is not None]
    others = [(i, j) for i, j in both if scene.session[i] != key]
    # Of several such steps the last one says most: "recorded before stored".
    after = [i for i, j in others if i > event and j < place]
    if after:
        return (
            f"{writer.event(event)} came before {writer.event(after[-1])}; normally it comes after."
        )
    before = [i for i, j in others if i < event and j > place]
    if not before:
        return None
    return (
        f"{writer.event(event)} came only after {writer.event(before[-1])}; normally it comes "
        "before."
    )


def _of_counts(writer: Writer) -> str | None:
    """The same without a normal session: what the nearest normal Seq has more or less."""
    scene = writer.scene
    if scene.nearest:
        return None
    step = scene.template(scene.session[scene.event])
    where = writer.after(scene.event)
    if step in scene.evidence.repeated:
        more = scene.evidence.repeated[step]
        return f"{writer.event(scene.event)} happened {times(more)} more than normal, {where}."
    if step in scene.evidence.extra:
        return (
            f"{writer.event(scene.event)} happened {where}, where normal sessions do not have it."
        )
    return None


# The kinds of first sentences, in the order in which they are tried.
_KINDS: tuple[Callable[[Writer], str | None], ...] = (
    _unknown_line,
    _unseen_step,
    _rare_error,
    _never_first,
    _in_a_row,
    _cut_short,
    _surplus,
    _any_foreign,
    _lacking,
    _common_surplus,
    _any_surplus,
    _moved,
    _of_counts,
)


def _nearest_missing(scene: Scene) -> list[int]:
    """Missing places, those beside the oddest event first."""
    distance: dict[int, int] = {}
    event = 0
    for i, j in scene.pairs:
        if i is not None:
            event = i
        if j is not None:
            distance[j] = abs(event - scene.event)
    return sorted(
        scene.missing, key=lambda place: (scene.is_success(scene.nearest[place]), distance[place])
    )


def _instead_of(scene: Scene, place: int) -> int | None:
    """The last event that came where an event of the normal session is missing."""
    at = scene.pairs.index((None, place))
    before = at
    while before and scene.pairs[before - 1][0] is None:
        before -= 1
    if not before or scene.pairs[before - 1][1] is not None:
        return None
    return scene.pairs[before - 1][0]


def _next_here(scene: Scene, place: int) -> int | None:
    """The first event of the session whose counterpart comes after `place`."""
    for i, j in scene.pairs:
        if i is not None and j is not None and j > place:
            return i
    return None


def _previous_here(scene: Scene, place: int) -> int | None:
    """The last event of the session whose counterpart comes before `place`."""
    found = None
    for i, j in scene.pairs:
        if i is not None and j is not None and j < place:
            found = i
    return found


def _first_of_each(keys: Sequence[int], places: Iterable[int]) -> list[int]:
    """The first place of each step."""
    first: dict[int, int] = {}
    for place in places:
        first.setdefault(keys[place], place)
    return list(first.values())
