"""What is wrong with a session, in one to three sentences, from the evidence alone.

The first sentence answers an operator's two questions: what is wrong, and where do I look? It is
made by the first of `_KINDS` that finds what it is about. To tell a further kind of deviation, add
a function there. The sentences after it list what else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..core.hierarchy import UNKNOWN
from ..detect.measures import as_share
from ..detect.order import START
from ..types import Evidence
from .phrases import at_most, counted, listed, short, times
from .scene import Scene, longest_run, run_around

# Characters of the step that a sentence is about, and of the steps around it. Longer ones lose
# their middle: the beginning says who speaks, and the end often holds the point, as in "… But it
# does not belong to any file.". A line that no template describes is shown at more
# length, because nobody knows where its point is.
_MAX_STEP = 170
_MAX_LINE = 300
_MAX_CONTEXT = 100
# Steps after which a session that stops early counts as cut short: at least this share is missing.
_CUT_SHORT = 0.1


def explain(scene: Scene, clean: Callable[[str], str] | None = None) -> str:
    """Plain sentences about a session, the most important one first.

    `clean` masks what must not leave. It sees each step whole, before that is cut: a part of a
    secret is no longer recognised as one.
    """
    writer = _Writer(scene, clean)
    for kind in _KINDS:
        first = kind(writer)
        if first is not None:
            break
    return " ".join([first or writer.out_of_order(), *writer.rest()])


class _Writer:
    """Makes the sentences, and remembers which steps they told of already."""

    def __init__(self, scene: Scene, clean: Callable[[str], str] | None) -> None:
        self.scene = scene
        self._clean = clean
        self._told: set[int] = set()  # log keys

    def event(self, event: int) -> str:
        """An event of the session in quotes."""
        self._told.add(self.scene.session[event])
        return self.quoted(self.scene.name(event), _MAX_STEP)

    def normal(self, place: int) -> str:
        """An event of the normal session in quotes."""
        self._told.add(self.scene.nearest[place])
        return self.quoted(self.scene.normal_name(place), _MAX_STEP)

    def quoted(self, step: str, most: int = _MAX_CONTEXT) -> str:
        """A step in quotes, masked and cut."""
        if self._clean is not None:
            step = self._clean(step)
        return f"“{short(step, most)}”"

    def after(self, event: int) -> str:
        """Where an event happened."""
        if event == 0:
            return "at the very beginning"
        return f"right after {self.quoted(self.scene.name(event - 1))}"

    def out_of_order(self) -> str:
        """What can be said where no comparison finds more: the order is what is odd."""
        scene = self.scene
        event = scene.event
        step = self.event(event)
        if event == 0:
            return f"{step} came first; normal sessions do not begin like that."
        before = event - 1
        if scene.session[before] == scene.session[event]:
            return f"{step} happened twice in a row; normally it is not repeated at this point."
        expected = self._expected_after(before)
        if expected is None:
            return f"{step} came {self.after(event)}; normal sessions do not have that order."
        return f"{step} came {self.after(event)}; normally {expected} comes next."

    def _expected_after(self, event: int) -> str | None:
        """What normally follows an event, if it is another step than the one that did."""
        scene = self.scene
        place = scene.place_of(event)
        if place is None or place + 1 >= len(scene.nearest):
            return None
        if scene.nearest[place + 1] == scene.session[event + 1]:
            return None
        return self.quoted(scene.normal_name(place + 1))

    def rest(self) -> list[str]:
        """What differs besides, each step once."""
        scene = self.scene
        if not scene.nearest:
            return self._rest_of_counts(scene.evidence)
        sentences = []
        errors = self._other_errors()
        if errors:
            sentences.append(f"There was also an error: {listed(errors)}.")
        missing = self._other_missing()
        if missing:
            sentences.append(f"Also missing: {listed(missing)}.")
        return sentences

    def _other_errors(self) -> list[str]:
        """Errors that normal sessions do not have. Other steps may be harmless and are left out."""
        scene = self.scene
        found: dict[int, str] = {}
        for event in scene.extra:
            key = scene.session[event]
            if key not in self._told and not scene.normal_counts[key] and scene.is_error(key):
                found[key] = self.quoted(scene.name(event))
        return list(found.values())

    def _other_missing(self) -> list[str]:
        """Steps that happened too rarely. One that only changed its place is not missing."""
        scene = self.scene
        found: dict[int, str] = {}
        if not scene.is_ended:
            return []
        for place in scene.missing:
            key = scene.nearest[place]
            lacking = scene.normal_counts[key] - scene.counts[key]
            if key not in self._told and not scene.is_success(key) and lacking > 0:
                found[key] = counted(self.quoted(scene.normal_name(place)), lacking)
        return list(found.values())

    def _rest_of_counts(self, evidence: Evidence) -> list[str]:
        """The same where no normal session is known: from the nearest normal Seq's counts."""
        told = {self.scene.template(key) for key in self._told}
        extra = _without(evidence.extra, told)
        missing = _without(evidence.missing, told)
        sentences = []
        if extra:
            words = [counted(self.quoted(step), count) for step, count in extra.items()]
            sentences.append(f"Normal sessions do not have {listed(words)}.")
        if missing:
            words = [counted(self.quoted(step), count) for step, count in missing.items()]
            sentences.append(f"Missing: {listed(words)}.")
        return sentences


def _unknown_line(writer: _Writer) -> str | None:
    """The odd event's line is of a kind that training never saw."""
    scene = writer.scene
    if scene.session[scene.event] != scene.unknown:
        return None
    where = writer.after(scene.event)
    if scene.event not in scene.texts:
        return f"A line of an unknown kind came {where}: no normal session has one like it."
    line = writer.quoted(scene.name(scene.event), _MAX_LINE)
    return f"New kind of line, {where}: {line}. No normal session has it."


def _unseen_step(writer: _Writer) -> str | None:
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


def _rare_error(writer: _Writer) -> str | None:
    """The odd event is an error that hardly any normal session has."""
    scene = writer.scene
    key = scene.session[scene.event]
    rare = scene.rare_times(key)
    if rare is None or not scene.is_error(key):
        return None
    found, sessions = rare
    where = writer.after(scene.event)
    return (
        f"Error: {writer.event(scene.event)}, {where}. It came only {times(found)} in "
        f"{sessions:,} normal sessions."
    )


def _never_first(writer: _Writer) -> str | None:
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


def _in_a_row(writer: _Writer) -> str | None:
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
    step = writer.event(scene.event)
    if usual == 0:
        return (
            f"{step} happened {times(run)} in a row; normal sessions like this one do not have "
            "that step."
        )
    return f"{step} happened {times(run)} in a row; normally {at_most(usual)}."


def _cut_short(writer: _Writer) -> str | None:
    """The session ended where normal ones go on."""
    scene = writer.scene
    if not scene.is_ended or not scene.nearest or scene.extra:
        return None
    last = max((j for i, j in scene.pairs if i is not None and j is not None), default=-1)
    beyond = [place for place in scene.missing if place > last]
    if not beyond or len(beyond) < len(scene.missing):
        return None
    if len(beyond) < max(2, _CUT_SHORT * len(scene.nearest)):
        return None
    steps = listed([writer.normal(place) for place in _first_of_each(scene.nearest, beyond)])
    of = f"after {len(scene.session)} of {len(scene.nearest)} steps"
    return f"The session stopped {of}, at {writer.event(len(scene.session) - 1)}. It lacks {steps}."


def _surplus(writer: _Writer) -> str | None:
    """The odd event's step happened more often than in the normal session, or does not belong."""
    return _surplus_of(writer, writer.scene.session[writer.scene.event])


def _any_foreign(writer: _Writer) -> str | None:
    """Another step happened that the normal session does not have at all."""
    scene = writer.scene
    return _surplus_of_any(
        writer, [e for e in scene.extra if not scene.normal_counts[scene.session[e]]]
    )


def _any_surplus(writer: _Writer) -> str | None:
    """Another step happened more often than in the normal session."""
    return _surplus_of_any(writer, writer.scene.extra)


def _surplus_of_any(writer: _Writer, events: Sequence[int]) -> str | None:
    scene = writer.scene
    for event in sorted(events, key=lambda event: abs(event - scene.event)):
        told = _surplus_of(writer, scene.session[event])
        if told is not None:
            return told
    return None


def _surplus_of(writer: _Writer, key: int) -> str | None:
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
    where = writer.after(event)
    step = writer.event(event)
    if normal:
        additional = "the additional one" if here == normal + 1 else "an additional one"
        return (
            f"{step} happened {times(here)}, normally {times(normal)}; {additional} came {where}."
        )
    if scene.is_error(key):
        return f"Error: {step}, {where}. Normal sessions like this one do not have it."
    if here > 1:
        return (
            f"{step} happened {times(here)}, once {where}; normal sessions like this one do not "
            "have that step."
        )
    return f"{step} happened {where}; normal sessions like this one do not have that step."


def _lacking(writer: _Writer) -> str | None:
    """A step that normal sessions have did not happen, or not often enough."""
    scene = writer.scene
    for place in _nearest_missing(scene):
        key = scene.nearest[place]
        here = scene.counts[key]
        normal = scene.normal_counts[key]
        # In a session under way counts say nothing, but a step that never came before others does.
        if here >= normal or (here and not scene.is_ended):
            continue
        step = writer.normal(place)
        often = f"happened only {times(here)}, normally {times(normal)}"
        if here and scene.has_absent(key):
            return f"{step} is missing: that step {often}."
        if here:
            return f"{step} {often}."
        follower = _next_here(scene, place)
        if follower is not None:
            return f"{writer.event(follower)} came without {step} before it."
        before = _previous_here(scene, place)
        if before is not None:
            return f"{step} is missing; normally it follows {writer.event(before)}."
        return f"{step} is missing."
    return None


def _moved(writer: _Writer) -> str | None:
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


def _where_moved(writer: _Writer, event: int, place: int) -> str | None:
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
    first = before[-1]
    if scene.event in before:
        first = scene.event
    return f"{writer.event(first)} came before {writer.event(event)}; normally it comes after."


def _of_counts(writer: _Writer) -> str | None:
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
_KINDS: tuple[Callable[[_Writer], str | None], ...] = (
    _unknown_line,
    _unseen_step,
    _rare_error,
    _never_first,
    _in_a_row,
    _cut_short,
    _surplus,
    _any_foreign,
    _lacking,
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


def _without(counts: Mapping[str, int], told: set[str]) -> dict[str, int]:
    return {step: n for step, n in counts.items() if step not in told and step != UNKNOWN}
