"""A masked message as slots: which of its words tell templates apart, and which stand where
values stand.

A *form* is what `mask.py` makes of a message. Its words become slots of four kinds (`Slot.kind`);
the rules below look at each word, at its neighbours and at the signs between them, never at how
often something occurs. How often decides later, in `mine.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fluent_krone.reading.mask import SAYS
from fluent_krone.reading.templates import WILDCARD

from .words import word_set

# Words of state: each makes a template of its own wherever it stands.
CONSTANTS = word_set(
    """
    true false yes no on off ok null none nil unknown enabled disabled enable disable active
    inactive open opened close closed up down start started starting stop stopped stopping begin
    end done success succeeded successful fail failed failure error complete completed abort
    aborted refused denied accepted rejected lost found valid invalid timeout running idle busy
    ready connected disconnected
    """
)
# Of these, the words that say that a value is not there: beside real values they are one more
# value.
NULLS = word_set("null none nil unknown")
PREPOSITIONS = word_set(
    """
    for from by of on at in into with via as
    von vom für nach bei aus mit durch par pour vers chez por para desde от для из
    """
)
# Nouns behind which a name stands: `user root`.
NOUNS = word_set(
    """
    user username host hostname file device interface service process job task node client server
    module driver class name command package session
    """
)
# Words that follow a preposition without being a name: `failed to open` keeps its verb.
GRAMMAR = PREPOSITIONS | word_set(
    """
    to the a an this that these those it its be is are was were been not and or but if then than
    so because due which who whose what when while where after before since until all any each
    some no more most less least one
    """
)
_AROUND_NUMBER = re.compile(r"[A-Za-z][a-z]{2,}<num>[a-z]{4,}")
_CALENDAR = re.compile(
    r"(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|am|pm"
    r"|utc|gmt|[ecmp][sd]t)\Z",
    re.I,
)
_UNIT = re.compile(
    r"(?:[kmgt]?i?b|bytes?|[mun]?s|secs?|seconds?|mins?|minutes?|hours?|days?|milliseconds?)\Z",
    re.I,
)
_DIGIT = re.compile(r"[0-9]+")
# Letters of scripts that are written without blanks: a row of them is a word, values within or not.
_LETTERS = r"[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
UNSPACED = re.compile(rf"{_LETTERS}+")
_WORDS = re.compile(
    rf"(?<==)\w+[\[{{(][^\s\[\](){{}},]*[\])}}]|{_LETTERS}+"
    rf"|(?:<(?:\*|[a-z]+)>|(?!{_LETTERS})[^\s=,:;()\[\]{{}}<>|\"'])+"
)
_NAMELIKE = re.compile(r"[A-Za-z_][\w-]*(?:[.$/@\\]+[\w$-]+)+\Z")
_AROUND = {('"', '"'), ("'", "'"), ("(", ")"), ("[", "]")}
_THROWN = re.compile(r"(?:Exception|Error|Failure|Throwable)\b")


@dataclass(slots=True)
class Slot:
    """A word of a form, or a run of values, with the punctuation behind it."""

    # hard: tells templates apart; title: the same, and is never taken for a value; value: masked;
    # name: looks like a name; word: stands where a value stands
    kind: str
    text: str
    after: str

    @property
    def key(self) -> str:
        """What must be equal in two forms that may share a template."""
        if self.text.isdecimal():
            # the name of a field, as no other number is left
            return self.text + self.after
        if self.kind in ("hard", "title"):
            return _DIGIT.sub("#", self.text) + self.after
        return "\0" + self.after


@dataclass(slots=True)
class Form:
    """A masked message.

    What stands before its first word, its slots, and how many messages it has.
    """

    lead: str
    slots: list[Slot]
    text: str
    index: int
    count: int

    @property
    def key(self) -> tuple[str, ...]:
        """Forms of one key differ in values, names and words only."""
        return (self.lead, *(slot.key for slot in self.slots))


def parse(text: str, index: int, count: int) -> Form:
    """The form of a masked message."""
    words = [w for w in _WORDS.finditer(text) if any(map(str.isalnum, w[0])) or w[0] == "<*>"]
    if not words:
        return Form(text, [], text, index, count)
    ends = [w.start() for w in words[1:]] + [len(text)]
    slots = [Slot("hard", w[0], text[w.end() : end]) for w, end in zip(words, ends, strict=True)]
    lead = text[: words[0].start()]
    _set_kinds(slots, lead)
    return Form(lead, list(_runs(slots)), text, index, count)


def _set_kinds(slots: list[Slot], lead: str) -> None:
    before = lead
    for i, slot in enumerate(slots):
        slot.kind = _kind(slots, i, before)
        before = slot.after


@dataclass(frozen=True, slots=True)
class _Place:
    """A word where it stands, as the rules below see it."""

    slots: Sequence[Slot]
    index: int
    word: str
    # The signs before and behind it.
    before: str
    after: str
    # The word before it, in lower case.
    lead: str
    # `name` for what looks like one, else `word`: what it is where a value is expected.
    value_kind: str


def _kind(slots: Sequence[Slot], i: int, before: str) -> str:
    word, after = slots[i].text, slots[i].after
    if "/" in word and _is_asked_for(slots, i, before):
        # `GET /orders/<id>`: which route it is tells requests apart.
        return "hard"
    if _AROUND_NUMBER.fullmatch(word):
        # `job<num>done`: what stands around the number says what happened.
        return "hard"
    if WILDCARD.search(word) or _is_calendar(slots, i):
        return "value"
    if word.isdecimal() and after.startswith("="):
        # `35=D|38=<num>`: the masker leaves numbers that are names of fields.
        return "title"
    if i == 0 or (i == 1 and before[:1] == ":"):
        if (before, after[:1]) == ("(", ")"):
            return "word"
        return "hard"
    place = _Place(slots, i, word, before, after, slots[i - 1].text.lower(), _value_kind(word))
    return next(found for rule in _RULES if (found := rule(place)))


def _is_asked_for(slots: Sequence[Slot], i: int, before: str) -> bool:
    """Whether word i stands behind the method of a request: `GET /a`, `method=GET path=/a`."""
    for at in range(max(i - 2, 0), i):
        # with the server and its port: `GET https://shop:443/a`
        if at and before == ":" and slots[at].text in ("http", "https"):
            return slots[at - 1].text.isupper()
    if not slots[i].text.startswith("/"):
        return False
    if i and not before.strip(' "'):
        return slots[i - 1].text.isupper()
    named = i > 1 and before in ("=", '="') and slots[i - 2].text.isupper()
    return named and (i == 2 or slots[i - 3].text.lower().endswith(("method", "verb")))


def _is_calendar(slots: Sequence[Slot], i: int) -> bool:
    """Whether word i is a day, month or zone beside a number or another such word."""
    if not _CALENDAR.match(slots[i].text):
        return False
    near = [slots[j].text for j in (i - 1, i + 1) if 0 <= j < len(slots)]
    return any(WILDCARD.search(t) or t.isdigit() or _CALENDAR.match(t) for t in near)


def _value_kind(word: str) -> str:
    namelike = word[-1:] in "]})" or _DIGIT.search(word) or _NAMELIKE.match(word)
    if namelike and not _THROWN.search(word):
        return "name"
    return "word"


def _behind_a_key(place: _Place) -> str | None:
    """`user=root`: a value, but `reason=denied` says what happened."""
    if place.before.rstrip()[-1:] != "=" and place.before != ":":
        return None
    if place.lead in SAYS:
        return "hard"
    return place.value_kind


def _name_behind_preposition(place: _Place) -> str | None:
    is_name = place.value_kind == "name" and place.lead in PREPOSITIONS
    if is_name and place.before == " ":
        return "name"
    return None


def _called(place: _Place) -> str | None:
    """`to LOCAL(0), …`.

    Behind a preposition, a name with nothing but a value in brackets is a value.
    """
    following = place.index + 1
    leads = place.lead == "to" or place.lead in PREPOSITIONS
    if place.after != "(" or not leads or following == len(place.slots):
        return None
    inner = place.slots[following]
    if WILDCARD.fullmatch(inner.text) and inner.after.startswith(")"):
        return "name"
    return None


def _label(place: _Place) -> str | None:
    """`pam_unix(`, `kernel: `: a label says whose message this is."""
    after = place.after
    if after[:1] == "(" or (after[:1] == ":" and after != ":"):
        return "hard"
    return None


def _named_or_enclosed(place: _Place) -> str | None:
    enclosed = (place.before[-1:], place.after[:1]) in _AROUND
    if enclosed or place.value_kind == "name":
        return place.value_kind
    return None


def _listed(place: _Place) -> str | None:
    if _in_list(place.slots, place.index, place.before):
        return "name"
    return None


def _grammar_or_state(place: _Place) -> str | None:
    lower = place.word.lower()
    if place.before != " " or lower in GRAMMAR or lower in CONSTANTS:
        return "hard"
    return None


def _behind_noun_or_preposition(place: _Place) -> str:
    # FOLLOWING, RUNNING: capitals behind a preposition are a state, not a name.
    is_state = place.word.isupper() and len(place.word) > 1
    if place.lead in NOUNS or (place.lead in PREPOSITIONS and not is_state):
        return "word"
    return "hard"


# The first rule that knows the kind of a word decides; the last one always does.
_RULES: tuple[Callable[[_Place], str | None], ...] = (
    _behind_a_key,
    _name_behind_preposition,
    _called,
    _label,
    _named_or_enclosed,
    _listed,
    _grammar_or_state,
    _behind_noun_or_preposition,
)


def _in_list(slots: Sequence[Slot], i: int, before: str) -> bool:
    """Whether word i belongs to `: a, b` or `[a, b, c]`."""
    first = i
    while first and slots[first - 1].after == ", ":
        first -= 1
    last = i
    while slots[last].after == ", " and last + 1 < len(slots):
        last += 1
    opener = slots[first - 1].after if first else ""
    listed = opener[-1:] in ("[", "{") or (opener == ": " and first > 1 and last + 1 == len(slots))
    return listed and last > first


def _runs(slots: Iterable[Slot]) -> Iterator[Slot]:
    """Neighbouring values, with their units and brackets, become one slot.

    So lists of any length look alike.
    """
    run: Slot | None = None
    for slot in slots:
        if run is not None and _joins(run, slot):
            run.text += run.after + slot.text
            run.after = slot.after
            if slot.kind == "value":
                run.kind = "value"
        else:
            if run is not None:
                yield _closed(run)
            run = slot
    if run is not None:
        yield _closed(run)


def _joins(run: Slot, slot: Slot) -> bool:
    if run.kind == "word":
        return run.after == " " and slot.kind == "hard" and _go_on(run.text, slot.text)
    if run.kind not in ("value", "name") or any(sign in run.after for sign in "=\"'"):
        return False
    last = run.text.rsplit(", ", 1)[-1].strip()
    if run.after == ", " and slot.text == "<num>" and not last.startswith("<num>"):
        # `holds lamp-17, 800 bytes`: a number behind a name is no further member of a list.
        return False
    unit = run.kind == "value" and run.after == " " and _UNIT.match(slot.text) is not None
    return unit or slot.kind in ("value", "name")


def _go_on(name: str, word: str) -> bool:
    """Whether a word with a capital belongs to the name before it: `by Mary Ann Smith`."""
    return (
        name[:1].isupper()
        and word.istitle()
        and word.isalpha()
        and word.lower() not in CONSTANTS | GRAMMAR
    )


def _closed(run: Slot) -> Slot:
    """Take in the brackets that the run opened, and an empty pair right behind it."""
    if run.kind != "value":
        return run
    for pair in ("()", "[]", "{}"):
        is_open = run.text.count(pair[0]) > run.text.count(pair[1])
        cut = 0
        if run.after.lstrip(" ").startswith(pair):
            cut = run.after.index(pair) + 2
        elif is_open and run.after.startswith(pair[1]):
            cut = 1
        run.text += run.after[:cut]
        run.after = run.after[cut:]
    return run
