"""What is wrong with a session, in one to three sentences, from the evidence alone.

The first sentence answers an operator's two questions: what is wrong, and where do I look? It is
made by the first of `_KINDS` that finds what it is about. To tell a further kind of deviation, add
a function there. The sentences after it list what else differs. Single deviations have sentences
already, which get the lines of the session in place of templates (`with_lines`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..core.steps import START
from ..detect.measures import as_share, times
from ..types import Deviation, Finding
from .comparison import Comparison, longest_run, run_around, slots_of
from .own_key import OwnKey
from .writer import MAX_LINE, Writer, at_most, listed_briefly, short

# Steps after which a session that stops early counts as cut short: at least this share is missing.
_CUT_SHORT = 0.1
# Of the steps that it lacks, at least this share lies behind all that it has.
_AT_THE_END = 0.75
# Steps that a sentence lists of a session that was cut short.
_MOST_LACKING = 4
# Characters of a log line in a sentence; a longer one is cut in its middle.
_LONGEST_STEP = 170


class Told(NamedTuple):
    """Sentences about a session, and the log key of the step that the first one is about."""

    text: str
    log_key: int


def explain(compared: Comparison, clean: Callable[[str], str] | None = None) -> Told:
    """Plain sentences about a session, the most important one first.

    `clean` masks what must not leave. It sees each step whole, before that is cut: a part of a
    secret is no longer recognised as one.
    """
    writer = Writer(compared, clean)
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
    compared = writer.compared
    if compared.session[compared.event] != compared.unknown:
        return None
    where = writer.after(compared.event)
    if compared.event not in compared.texts:
        return f"A line of an unknown kind came {where}: no normal session has one like it."
    line = writer.quoted(compared.name(compared.event), MAX_LINE)
    return f"New kind of line, {where}: {line}. No normal session has it."


def _unseen_step(writer: Writer) -> str | None:
    """The odd event's step never occurs in normal sessions."""
    compared = writer.compared
    key = compared.session[compared.event]
    if compared.template(key) not in compared.evidence.unseen:
        return None
    step = writer.event(compared.event)
    where = writer.after(compared.event)
    if compared.is_error(key):
        return f"Error: {step}, {where}. It never occurs in normal sessions."
    return f"{step} happened {where}; it never occurs in normal sessions."


def _rare_error(writer: Writer) -> str | None:
    """The odd event is an error that hardly any normal session has."""
    compared = writer.compared
    key = compared.session[compared.event]
    rare = compared.rare_times(key)
    if rare is None or not compared.is_error(key):
        return None
    found, sessions = rare
    where = writer.after(compared.event)
    how_often = ""
    if compared.counts[key] > 1:
        how_often = f" The session has {compared.counts[key]} such lines."
    return (
        f"Error: {writer.event(compared.event)}, {where}.{how_often} It came only {times(found)} "
        f"in {sessions:,} normal sessions."
    )


def _never_first(writer: Writer) -> str | None:
    """The session begins with the odd event's step, as no normal session does."""
    compared = writer.compared
    if compared.order is None or compared.event >= run_around(compared.session, 0)[1]:
        return None
    follows = compared.order.follows(START, compared.session[0])
    if follows.times or not follows.total:
        return None
    usual = writer.quoted(compared.filled(follows.usual))
    share = as_share(follows.usual_times / follows.total)
    return (
        f"The session begins with {writer.event(0)}. None of {follows.total:,} normal sessions "
        f"does; in {share} of them {usual} comes first."
    )


def _in_a_row(writer: Writer) -> str | None:
    """The odd event repeats its neighbour, more often than in the normal session."""
    compared = writer.compared
    if not compared.nearest:
        return None
    start, end = run_around(compared.session, compared.event)
    key = compared.session[compared.event]
    run = end - start
    usual = longest_run(compared.nearest, key)
    if run < 2 or run <= usual or compared.counts[key] <= compared.normal_counts[key]:
        return None
    if usual > 1 or (not usual and compared.is_common(key)):
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
    compared = writer.compared
    if not compared.is_ended or not compared.nearest:
        return None
    extra = {compared.session[event] for event in compared.extra}
    if any(compared.counts[key] > compared.normal_counts[key] for key in extra):
        return None
    last = max((j for i, j in compared.pairs if i is not None and j is not None), default=-1)
    beyond = [place for place in compared.missing if place > last]
    if not beyond or len(beyond) < _AT_THE_END * len(compared.missing):
        return None
    if len(beyond) < max(2, _CUT_SHORT * len(compared.nearest)):
        return None
    last_step = writer.event(len(compared.session) - 1)
    steps = [
        writer.lacking(place)
        for place in _first_of_each(compared.nearest, compared.missing)
        if compared.lacks(compared.nearest[place])
    ]
    of = f"after {len(compared.session)} of {len(compared.nearest)} steps"
    lacks = ""
    if steps:
        lacks = f" It lacks {listed_briefly(steps, _MOST_LACKING)}."
    return f"The session stopped {of}, at {last_step}.{lacks}"


def _surplus(writer: Writer) -> str | None:
    """The odd event's step happened more often than in the normal session, or does not belong."""
    return _surplus_of(writer, writer.compared.session[writer.compared.event])


def _any_foreign(writer: Writer) -> str | None:
    """Another step happened that the normal session does not have at all."""
    compared = writer.compared
    return _surplus_of_any(
        writer, [e for e in compared.extra if not compared.normal_counts[compared.session[e]]]
    )


def _any_surplus(writer: Writer) -> str | None:
    """Another step happened more often than in the normal session."""
    return _surplus_of_any(writer, writer.compared.extra)


def _surplus_of_any(writer: Writer, events: Sequence[int]) -> str | None:
    compared = writer.compared
    for event in sorted(events, key=lambda event: abs(event - compared.event)):
        told = _surplus_of(writer, compared.session[event])
        if told is not None:
            return told
    return None


def _surplus_of(writer: Writer, key: int, *, even_if_common: bool = False) -> str | None:
    compared = writer.compared
    here = compared.counts[key]
    normal = compared.normal_counts[key]
    surplus = [event for event in compared.extra if compared.session[event] == key]
    if not compared.nearest or here <= normal or not surplus or compared.is_success(key):
        return None
    # Of several, the one that is oddest, else the last: it is the one too many.
    event = surplus[-1]
    if compared.event in surplus:
        event = compared.event
    if compared.is_common(key) and not even_if_common:
        return None
    where = writer.after(event)
    step, values = writer.events([i for i, other in enumerate(compared.session) if other == key])
    if normal:
        told = f"{step} happened {times(here)}{values}, normally {times(normal)}"
        if values or _repeats(compared, event):
            return f"{told}."
        additional = "the additional one" if here == normal + 1 else "an additional one"
        return f"{told}; {additional} came {where}."
    usual = "It does not occur in normal sessions that are otherwise like this one."
    if even_if_common:
        usual = "Other normal sessions have it, but not those that otherwise run like this one."
    if compared.is_error(key):
        such = ""
        if here > 1:
            such = f" The session has {here} such lines."
        return f"Error: {writer.event(event)}, {where}.{such} {usual}"
    if here > 1:
        return f"{step} happened {times(here)}{values}, once {where}. {usual}"
    return f"{step} happened {where}. {usual}"


def _repeats(compared: Comparison, event: int) -> bool:
    """Whether an event is the same step as the one before it, which says little of where it is."""
    return event > 0 and compared.session[event - 1] == compared.session[event]


def _common_surplus(writer: Writer) -> str | None:
    """A step that many normal sessions have, but not those that run like this one."""
    compared = writer.compared
    return _surplus_of(writer, compared.session[compared.event], even_if_common=True)


def _lacking(writer: Writer) -> str | None:
    """A step that normal sessions have did not happen, or not often enough."""
    compared = writer.compared
    for place in _nearest_missing(compared):
        key = compared.nearest[place]
        here = compared.counts[key]
        normal = compared.normal_counts[key]
        # In a session under way counts say nothing, but a step that never came before others does.
        if here >= normal or (here and not compared.is_ended):
            continue
        instead = _instead_of(compared, place)
        if instead is not None and not here:
            return (
                f"{writer.event(instead)} came {writer.after(instead)}; normally "
                f"{writer.normal(place)} comes there."
            )
        step = writer.normal(place)
        often = f"happened only {times(here)}, normally {times(normal)}"
        if here and compared.has_absent(key):
            return f"{step} is missing: that step {often}."
        before = _previous_here(compared, place)
        if here and before is not None and compared.session[before] != key:
            return f"{step} {often}: one less than usual after {writer.event(before)}."
        if here:
            return f"{step} {often}."
        follower = _next_here(compared, place)
        if follower is not None:
            return f"{writer.event(follower)} came without {step} before it."
        if before == len(compared.session) - 1:
            usual = writer.usual_next(place)
            return f"Nothing followed {writer.event(before)}; normally {usual} does."
        if before is not None:
            return f"{step} is missing; normally it follows {writer.event(before)}."
        return f"{step} is missing."
    return None


def _moved(writer: Writer) -> str | None:
    """A step came before or after another one that it normally follows or precedes."""
    compared = writer.compared
    for event in sorted(compared.extra, key=lambda event: abs(event - compared.event)):
        key = compared.session[event]
        places = [j for i, j in compared.pairs if i is None and j is not None]
        same = [place for place in places if compared.nearest[place] == key]
        for place in same:
            told = _where_moved(writer, event, place)
            if told is not None:
                return told
    return None


def _where_moved(writer: Writer, event: int, place: int) -> str | None:
    """The order of an event and of a step that normally is on its other side."""
    compared = writer.compared
    key = compared.session[event]
    both = [(i, j) for i, j in compared.pairs if i is not None and j is not None]
    others = [(i, j) for i, j in both if compared.session[i] != key]
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
    compared = writer.compared
    if compared.nearest:
        return None
    step = compared.template(compared.session[compared.event])
    where = writer.after(compared.event)
    if step in compared.evidence.repeated:
        more = compared.evidence.repeated[step]
        return f"{writer.event(compared.event)} happened {times(more)} more than normal, {where}."
    if step in compared.evidence.extra:
        return (
            f"{writer.event(compared.event)} happened {where}, "
            "where normal sessions do not have it."
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


def _nearest_missing(compared: Comparison) -> list[int]:
    """Missing places, those beside the oddest event first."""
    distance: dict[int, int] = {}
    event = 0
    for i, j in compared.pairs:
        if i is not None:
            event = i
        if j is not None:
            distance[j] = abs(event - compared.event)
    return sorted(
        compared.missing,
        key=lambda place: (compared.is_success(compared.nearest[place]), distance[place]),
    )


def _instead_of(compared: Comparison, place: int) -> int | None:
    """The last event that came where an event of the normal session is missing."""
    at = compared.pairs.index((None, place))
    before = at
    while before and compared.pairs[before - 1][0] is None:
        before -= 1
    if not before or compared.pairs[before - 1][1] is not None:
        return None
    return compared.pairs[before - 1][0]


def _next_here(compared: Comparison, place: int) -> int | None:
    """The first event of the session whose counterpart comes after `place`."""
    for i, j in compared.pairs:
        if i is not None and j is not None and j > place:
            return i
    return None


def _previous_here(compared: Comparison, place: int) -> int | None:
    """The last event of the session whose counterpart comes before `place`."""
    found = None
    for i, j in compared.pairs:
        if i is not None and j is not None and j < place:
            found = i
    return found


def _first_of_each(keys: Sequence[int], places: Iterable[int]) -> list[int]:
    """The first place of each step."""
    first: dict[int, int] = {}
    for place in places:
        first.setdefault(keys[place], place)
    return list(first.values())


def with_lines(deviation: Deviation, finding: Finding, template: Callable[[int], str]) -> str:
    """A deviation in words, with the lines of the events that they name in place of templates,
    where they are known.
    """
    texts = dict(enumerate(finding.texts))
    if finding.line:
        texts[deviation.event] = finding.line
    words = deviation.words
    form = template(deviation.log_key)
    slots = slots_of(form, texts.get(deviation.event, b""))
    own_key = OwnKey(
        [(form, [value for _, value in slots])],
        [part.decode("utf-8", "replace") for part in finding.session],
    )
    at = 0
    for event in deviation.named:
        step = f"“{template(finding.log_keys[event])}”"
        at = words.find(step, at)
        if at < 0:
            break
        if event in texts:
            text = f"“{short(texts[event].decode('utf-8', 'replace'), _LONGEST_STEP)}”"
            words = words[:at] + text + words[at + len(step) :]
            step = text
        at += len(step)
    return own_key.put_into_quotes(words)
