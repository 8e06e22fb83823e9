"""Steps of a session in quotes, masked and cut, and what differs besides the main thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..core.hierarchy import UNKNOWN
from ..core.listing import listed
from ..detect.measures import times
from ..detect.order import Order
from ..types import Evidence
from .comparison import Comparison, longest_run

# The share of a cut step's characters that stands before the cut.
_HEAD = 0.55
# Characters of a word that is left out rather than cut. A longer one would leave too little.
_WORD = 24
# Steps that a sentence lists in passing, and their characters in all: nobody reads more.
_MOST_LISTED = 3
_LONGEST_LIST = 280
# Characters of the step that a sentence is about, and of the steps around it. Longer ones lose
# their middle: the beginning says who speaks, and the end often holds the point, as in "… But it
# does not belong to any file.". A line that no template describes is shown at more
# length, because it is not known where its point is.
_MAX_STEP = 170
MAX_LINE = 300
_MAX_CONTEXT = 100


def listed_briefly(steps: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Steps as they stand in a sentence; of many, or of long ones, the last are counted.

    >>> listed_briefly(["a" * 200, "b" * 200, "c"]).lstrip("a")
    ' and 2 more'
    """
    shown = most
    while shown > 1 and sum(map(len, steps[:shown])) > _LONGEST_LIST:
        shown -= 1
    return listed(steps, shown)


def short(step: str, most: int) -> str:
    """The step, without its middle if it is long; it is cut between words, or parts of a path.

    >>> short("a" * 10 + "b" * 10, 11), short("Receiving block blk_17 from web1 now", 26)
    ('aaaaaa…bbbb', 'Receiving … web1 now')
    """
    if len(step) <= most:
        return step
    head = round(most * _HEAD)
    tail = most - head - 1
    first = step[:head]
    last = step[len(step) - tail :]
    for gap in " /":
        kept, found, word = first.rpartition(gap)
        if found and len(word) <= _WORD and step[head] != " ":
            first = kept + found
            break
    for gap in " /":
        word, found, kept = last.partition(gap)
        if found and len(word) <= _WORD and step[len(step) - tail - 1] != " ":
            last = found + kept
            break
    return f"{first}…{last}"


def at_most(count: int) -> str:
    """How often at most; once needs no further words."""
    if count == 1:
        return "once"
    return f"{times(count)} at most"


def counted(step: str, count: int) -> str:
    """A step with its number, where that is more than one."""
    if count > 1:
        return f"{step} ×{count}"
    return step


def counted_value(value: str, count: int) -> str:
    """A value with how often it came, where that is more than once."""
    if count > 1:
        return f"{value} {times(count)}"
    return value


class Writer:
    """Makes the sentences, and remembers which steps they have named already."""

    def __init__(self, compared: Comparison, clean: Callable[[str], str] | None) -> None:
        self.compared = compared
        self._clean = clean
        # Log keys, in the order in which they were mentioned.
        self._told: dict[int, None] = {}

    @property
    def about(self) -> int:
        """The log key of the step that was named first; the odd event's if none was."""
        return next(iter(self._told), self.compared.session[self.compared.event])

    def event(self, event: int) -> str:
        """An event of the session in quotes."""
        self._told[self.compared.session[event]] = None
        return self.quoted(self.compared.name(event), _MAX_STEP)

    def events(self, events: Sequence[int]) -> tuple[str, str]:
        """Events of one step in quotes, and in brackets the values in which they differ."""
        step, values = self.compared.common_name(events)
        self._told[self.compared.session[events[0]]] = None
        how_often = [counted_value(value, count) for value, count in values.items()]
        differing = ""
        if how_often:
            differing = f" ({listed(map(self._cleaned, how_often))})"
        return self.quoted(step, _MAX_STEP), differing

    def normal(self, place: int) -> str:
        """An event of the normal session in quotes."""
        self._told[self.compared.nearest[place]] = None
        return self.quoted(self.compared.normal_name(place), _MAX_STEP)

    def usual_next(self, place: int) -> str:
        """What usually follows the session's last event: in most sessions, or in the nearest."""
        compared = self.compared
        last = compared.session[-1]
        if compared.order is not None:
            usual = compared.order.follows(last, compared.nearest[place]).usual
            # A step that mostly repeats itself does not do so forever.
            if usual >= 0 and usual != last:
                return self.quoted(compared.filled(usual), _MAX_STEP)
        return self.normal(place)

    def lacking(self, place: int) -> str:
        """A step that happened too rarely, with how often it is lacking."""
        compared = self.compared
        key = compared.nearest[place]
        usual = compared.normal_counts[key]
        here = compared.counts[key]
        step = self.normal(place)
        if not here:
            return counted(step, usual)
        return f"{usual - here} of {usual} {step}"

    def quoted(self, step: str, most: int = _MAX_CONTEXT) -> str:
        """A step in quotes, masked and cut."""
        return f"“{short(self._cleaned(step), most)}”"

    def _cleaned(self, text: str) -> str:
        if self._clean is None:
            return text
        return self._clean(text)

    def after(self, event: int) -> str:
        """Where an event happened."""
        if event == 0:
            return "at the very beginning"
        return f"after {self.quoted(self.compared.name(event - 1))}"

    def out_of_order(self) -> str:
        """What can be said where no comparison finds more: the order is what is odd."""
        compared = self.compared
        event = compared.event
        if compared.nearest and list(compared.session) == list(compared.nearest):
            return self._rare_together()
        step = self.event(event)
        if event == 0:
            return f"{step} came first; normal sessions do not begin like that."
        before = event - 1
        pair = (compared.session[before], compared.session[event])
        if pair[0] == pair[1] and longest_run(compared.nearest, pair[1]) < 2:
            return f"{step} happened twice in a row; normally it is not repeated at this point."
        if compared.order is not None and compared.order.had_pair(*pair):
            return self._new_pair(compared.order) or (
                f"No normal session runs like this one from {step} on."
            )
        expected = self._expected_after(before)
        if expected is None:
            return f"{step} came {self.after(event)}; normal sessions do not have that order."
        return f"{step} came {self.after(event)}; normally {expected} comes next."

    def _rare_together(self) -> str:
        """A session that ran like a normal one that hardly ever comes."""
        compared = self.compared
        trouble: dict[int, int] = {}
        for event, key in enumerate(compared.session):
            if compared.is_trouble(key):
                trouble.setdefault(key, event)
        if len(trouble) < 2:
            return "Each step is usual, but hardly any normal session has all of them together."
        steps = [self.event(event) for event in trouble.values()]
        return f"Hardly any normal session has all of this together: {listed(steps)}."

    def _new_pair(self, order: Order) -> str | None:
        """The first step behind the odd event that training never had after the one before it."""
        keys = self.compared.session
        for event in range(self.compared.event + 1, len(keys)):
            if not order.had_pair(keys[event - 1], keys[event]):
                self._told.clear()
                step = self.event(event)
                return f"{step} came {self.after(event)}; normal sessions do not have that order."
        return None

    def _expected_after(self, event: int) -> str | None:
        """What normally follows an event, if it is another step than the one that did."""
        compared = self.compared
        place = compared.place_of(event)
        if place is None or place + 1 >= len(compared.nearest):
            return None
        if compared.nearest[place + 1] == compared.session[event + 1]:
            return None
        return self.quoted(compared.normal_name(place + 1))

    def rest(self) -> list[str]:
        """What differs besides, each step once."""
        compared = self.compared
        if not compared.nearest:
            return self._rest_of_counts(compared.evidence)
        sentences = []
        errors = self._other_errors()
        if errors:
            sentences.append(f"There was also an error: {listed_briefly(errors)}.")
        missing = self._other_missing()
        if missing:
            sentences.append(f"Also missing: {listed_briefly(missing)}.")
        return sentences

    def _other_errors(self) -> list[str]:
        """Errors that normal sessions do not have. Other steps may be harmless and are left out."""
        compared = self.compared
        found: dict[int, str] = {}
        for event in compared.extra:
            key = compared.session[event]
            if key not in self._told and not compared.normal_counts[key] and compared.is_error(key):
                found[key] = self.quoted(compared.name(event))
        return list(found.values())

    def _other_missing(self) -> list[str]:
        """Steps that happened too rarely. One that only changed its place is not missing."""
        compared = self.compared
        found: dict[int, str] = {}
        if not compared.is_ended:
            return []
        for place in compared.missing:
            key = compared.nearest[place]
            if key not in self._told and not compared.is_success(key) and compared.lacks(key):
                found[key] = self.lacking(place)
        return list(found.values())

    def _rest_of_counts(self, evidence: Evidence) -> list[str]:
        """The same where no normal session is known: from the nearest normal Seq's counts."""
        told = {self.compared.template(key) for key in self._told}
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


def _without(counts: Mapping[str, int], told: set[str]) -> dict[str, int]:
    return {step: n for step, n in counts.items() if step not in told and step != UNKNOWN}
