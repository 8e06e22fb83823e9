"""What sentences about an abnormal session are made of: it, beside the nearest normal one."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..core.failures import template_severity
from ..core.hierarchy import Hierarchy
from ..core.localise import is_rare
from ..core.matching import alike_runs
from ..detect.bundle import Bundle
from ..detect.order import Order
from ..reading.wildcards import Template
from ..types import Evidence, Finding, Verdict
from .own_key import OwnKey

# Events of either session that are set beside each other: aligning takes the square of them. Of
# longer sessions those around the oddest event are compared.
MOST_ALIGNED = 400
# Words of a step that went well. Such a step is not what is wrong, even if normal sessions differ.
_SUCCESS = re.compile(r"\b(?:success|succe\w+|verified|served|ok)\b", re.IGNORECASE)

# Events whose values are read, and characters of each that are read. Longer sessions would cost
# more than a sentence is worth.
_MOST_READ = 400
_MOST_CHARACTERS = 500
# Templates whose words are remembered.
_MOST_TEMPLATES = 4_096
_NO_TEMPLATE = "<unknown>"
# A step that more than this share of the normal sessions have is not one of odd sessions only.
_COMMON = 0.05
# The mask of addresses.
_ADDRESS = "<ip>"

# Words of a step that is a sign of trouble, though no error: nobody misses it.
_TROUBLE = re.compile(
    r"\b(?:again|retr(?:y|ies|ied|ying)|re-?sen[dt]\w*|repeat\w*|owes|overdue|late|slow\w*|delay\w*"
    r"|back-?off|waiting|redundant|unexpected)\b",
    re.IGNORECASE,
)


def _nobody_knows(_: int) -> int:
    return 0


# What the masks of a message stood for, in order: ("<id>", "P17").
Slots = Sequence[tuple[str, str]]
# What masks stood for: log key → mask → values.
Values = Mapping[int, Mapping[str, set[str]]]
# A place in the alignment: an event of the session, an event of the normal one; None where one
# session has no counterpart.
Pair = tuple[int | None, int | None]


@dataclass(frozen=True)
class Comparison:
    """One abnormal session beside the nearest normal one, both as log keys.

    `texts` are the messages of some events of the session, by event, and `read` gives the log key
    of each and what its masks stood for: sentences show real values where they can. `keys` are the
    session's own. `template` gives the text of a log key. `nearest` is empty where a bundle has
    only Seqs of normal sessions.
    """

    verdict: Verdict
    session: Sequence[int]
    nearest: Sequence[int]
    template: Callable[[int], str]
    unknown: int  # the log key of lines that match no template
    is_ended: bool = True  # False: events may still come
    texts: Mapping[int, str] = field(default_factory=dict)
    read: Callable[[], Sequence[tuple[int, Slots]]] = tuple
    keys: Collection[str] = ()
    # How often normal training had each step, and after which; older bundles do not say.
    order: Order | None = None
    # Log key → the largest number of such steps in any normal session; 0 where nobody knows.
    most: Callable[[int], int] = _nobody_knows

    @cached_property
    def slots(self) -> Sequence[tuple[int, Slots]]:
        """The log key of each message that was read, and what its masks stood for.

        Reading them takes time, and only few sentences ask.
        """
        return self.read()

    @cached_property
    def values(self) -> Values:
        """What the masks of each step stood for.

        A mask that stands in a message several times stands for several things.
        """
        found: dict[int, dict[str, set[str]]] = {}
        for key, slots in self.slots:
            masks = found.setdefault(key, {})
            times = Counter(mask for mask, _ in slots)
            for mask, value in slots:
                if times[mask] == 1:
                    masks.setdefault(mask, set()).add(value)
        return found

    @cached_property
    def own_key(self) -> OwnKey:
        """The session's key, at the places where it stands in messages."""
        rows = ((self.template(key), [value for _, value in slots]) for key, slots in self.slots)
        return OwnKey(rows, self.keys)

    @property
    def evidence(self) -> Evidence:
        """What differs by counts."""
        return self.verdict.evidence

    @property
    def event(self) -> int:
        """The oddest event."""
        return self.verdict.event

    def name(self, event: int) -> str:
        """An event's message if it is known, else its template."""
        return self.texts.get(event) or self.filled(self.session[event])

    def common_name(self, events: Sequence[int]) -> tuple[str, Mapping[str, int]]:
        """What the messages of several events of one step have in common, and where they differ.

        Address → how often it came, of the first mask in which they differ. Only addresses are
        given: any other value may be a secret that is not known as one without the words before
        it.
        """
        texts = [self.texts.get(event, "") for event in events[:_MOST_READ]]
        if len(set(texts)) == 1:
            return self.name(events[0]), {}
        template = self.template(self.session[events[0]])
        rows = [slots_of(template, text.encode()) for text in texts]
        if not all(texts) or not all(rows):
            return self.filled(self.session[events[0]]), {}
        return _common(template, rows)

    def normal_name(self, place: int) -> str:
        """The template of an event of the normal session, with values that are known for sure."""
        key = self.nearest[place]
        text = self.filled(key)
        for mask in self.values.get(key, {}):
            value = self.absent(key, mask)
            if value is not None:
                text = text.replace(mask, value)
        return text

    def filled(self, key: int) -> str:
        """A template that shows the session's key where it is known to stand."""
        return self.own_key.put_into(self.template(key))

    def has_absent(self, key: int) -> bool:
        """Whether it is known for which values a step did not happen."""
        return any(self.absent(key, mask) for mask in self.values.get(key, {}))

    def absent(self, key: int, mask: str) -> str | None:
        """The values for which a step did not happen, although its fellow steps did for them.

        Fellows are steps that are as frequent in the normal session, and that happened for all the
        values of this step and for some more: where each of three nodes opens, stores and closes,
        the one that opened and never stored is named.
        """
        lacking = self.normal_counts[key] - self.counts[key]
        own = self.values.get(key, {}).get(mask, set())
        missing: set[str] = set()
        for other, masks in self.values.items():
            theirs = masks.get(mask, set())
            if self.normal_counts[other] == self.normal_counts[key] and own < theirs:
                missing |= theirs - own
        if not 1 <= len(missing) <= lacking:
            return None
        return " and ".join(sorted(missing))

    def lacks(self, key: int) -> bool:
        """Whether the session has a step less often than the normal one."""
        return self.normal_counts[key] > self.counts[key]

    def is_known(self, key: int) -> bool:
        """Whether normal training had a step."""
        return key != self.unknown and self.template(key) not in self.evidence.unseen

    def is_error(self, key: int) -> bool:
        """Whether a step says itself that something failed."""
        return template_severity(self.template(key)) > 0

    def rare_times(self, key: int) -> tuple[int, int] | None:
        """How many such steps hardly any normal session has, and how many sessions; else None."""
        if self.order is None:
            return None
        seen = self.order.seen(key)
        if not is_rare(*seen):
            return None
        return seen

    def is_common(self, key: int) -> bool:
        """Whether many normal sessions have a step, and some as often as this one.

        Then its number alone is not odd, whatever the nearest normal session has.
        """
        if self.order is None:
            return False
        seen, sessions = self.order.seen(key)
        return seen > _COMMON * sessions and self.counts[key] <= self.most(key)

    def is_trouble(self, key: int) -> bool:
        """Whether a step is an error or another sign of trouble."""
        return self.is_error(key) or _is_trouble(self.template(key))

    def is_success(self, key: int) -> bool:
        """Whether a step says itself that all went well."""
        return not self.is_error(key) and _is_success(self.template(key))

    @cached_property
    def counts(self) -> Counter[int]:
        """How often each step happened."""
        return Counter(self.session)

    @cached_property
    def normal_counts(self) -> Counter[int]:
        """How often each step happens in the normal session."""
        return Counter(self.nearest)

    @cached_property
    def pairs(self) -> list[Pair]:
        """The alignment, in order: extra events stand before missing ones at the same place."""
        normal = self._beginning()
        low = max(0, min(self.event - MOST_ALIGNED // 2, len(self.session) - MOST_ALIGNED))
        below = max(0, min(low, len(normal) - MOST_ALIGNED))
        shown = self.session[low : low + MOST_ALIGNED]
        beside = normal[below : below + MOST_ALIGNED]
        pairs: list[Pair] = []
        i = 0
        j = 0
        for at, other, count in [*alike_runs(shown, beside), [len(shown), len(beside), 0]]:
            pairs += [(low + event, None) for event in range(i, at)]
            pairs += [(None, below + place) for place in range(j, other)]
            pairs += [(low + at + n, below + other + n) for n in range(count)]
            i = at + count
            j = other + count
        return pairs

    def _beginning(self) -> Sequence[int]:
        """What a session under way is compared with: the likest beginning of the normal session.

        It is the one whose counts differ least; of several, the longest.
        """
        if self.is_ended:
            return self.nearest
        counts = Counter(self.session)
        differ = len(self.session)
        least = differ
        best = 0
        for length, key in enumerate(self.nearest, 1):
            counts[key] -= 1
            if counts[key] >= 0:
                differ -= 1
            else:
                differ += 1
            if differ <= least:
                least = differ
                best = length
        return self.nearest[:best]

    @cached_property
    def extra(self) -> list[int]:
        """Events of the session that have no counterpart."""
        return [i for i, j in self.pairs if i is not None and j is None]

    @cached_property
    def missing(self) -> list[int]:
        """Events of the normal session that have no counterpart and that a person would miss.

        An error that did not happen is not missed, nor is what may still come.
        """
        pairs = self.pairs
        if not self.is_ended:
            last = max((at for at, (i, _) in enumerate(pairs) if i is not None), default=-1)
            pairs = pairs[: last + 1]
        lacking = [j for i, j in pairs if i is None and j is not None]
        return [place for place in lacking if not self.is_trouble(self.nearest[place])]

    def place_of(self, event: int) -> int | None:
        """The event's counterpart in the normal session."""
        for i, j in self.pairs:
            if i == event:
                return j
        return None


def comparison_of(
    finding: Finding, hierarchy: Hierarchy, bundle: Bundle | None = None, *, with_texts: bool = True
) -> Comparison:
    """The comparison for a finding that has a verdict. Without texts it holds templates only."""
    verdict = finding.verdict
    assert verdict is not None

    def template(key: int) -> str:
        return hierarchy.rows[key].template or _NO_TEMPLATE

    lines: dict[int, bytes] = {}
    if with_texts:
        lines = dict(enumerate(finding.texts))
        if finding.line:
            lines[verdict.event] = finding.line
    order = None
    most: Callable[[int], int] = _nobody_knows
    if bundle is not None:
        order = bundle.order
        if bundle.nested is not None:
            most = bundle.nested.most
    return Comparison(
        verdict=verdict,
        session=finding.log_keys,
        nearest=verdict.evidence.nearest_keys,
        template=template,
        unknown=hierarchy.unknown,
        is_ended=finding.decided == "end",
        texts={event: line.decode("utf-8", "replace") for event, line in lines.items()},
        read=functools.partial(_read, lines, template, finding.log_keys),
        keys=[part.decode("utf-8", "replace") for part in finding.session],
        order=order,
        most=most,
    )


# A bundle has some hundreds of templates, and all alerts ask for the same ones.
@functools.lru_cache(_MOST_TEMPLATES)
def _read_template(text: str) -> tuple[Template, list[str]]:
    """A template, and its masks. Compiling one takes a third of a millisecond."""
    template = Template(text)
    return template, [f"<{kind}>" for kind in template.kinds]


@functools.lru_cache(_MOST_TEMPLATES)
def _is_trouble(template: str) -> bool:
    return _TROUBLE.search(template) is not None


@functools.lru_cache(_MOST_TEMPLATES)
def _is_success(template: str) -> bool:
    return _SUCCESS.search(template) is not None


def _read(
    lines: Mapping[int, bytes], template: Callable[[int], str], keys: Sequence[int]
) -> list[tuple[int, Slots]]:
    """The log keys of some events, and what the masks in their lines stood for."""
    return [
        (keys[event], slots)
        for event, line in list(lines.items())[:_MOST_READ]
        if (slots := slots_of(template(keys[event]), line))
    ]


def slots_of(template: str, line: bytes) -> Slots:
    """The masks of a message's template, and what each stands for there."""
    known, masks = _read_template(template)
    if not masks:
        return []
    if line.isascii():
        line = line[:_MOST_CHARACTERS]
    else:
        line = line.decode("utf-8", "replace")[:_MOST_CHARACTERS].encode()
    values = [value.decode("utf-8", "replace") for value in known.slots(line)]
    return list(zip(masks, values, strict=False))


def _common(template: str, rows: Sequence[Sequence[tuple[str, str]]]) -> tuple[str, Counter[str]]:
    """A template with the values that all `rows` have; the values of the first other mask."""
    differing: Counter[str] = Counter()
    filled: list[str] = []
    rest = template
    for column in zip(*rows, strict=False):
        mask = column[0][0]
        before, _, rest = rest.partition(mask)
        values = Counter(value for _, value in column)
        filled.append(before)
        if len(values) == 1:
            filled += values
        else:
            filled.append(mask)
            if mask == _ADDRESS:
                differing = differing or values
    return "".join([*filled, rest]), differing


def run_around(keys: Sequence[int], event: int) -> tuple[int, int]:
    """Start and end of the run of equal events around one."""
    start = event
    while start > 0 and keys[start - 1] == keys[event]:
        start -= 1
    end = event + 1
    while end < len(keys) and keys[end] == keys[event]:
        end += 1
    return start, end


def longest_run(keys: Iterable[int], key: int) -> int:
    """How many times in a row a step comes at most."""
    longest = 0
    length = 0
    for other in keys:
        if other == key:
            length += 1
        else:
            length = 0
        longest = max(longest, length)
    return longest
