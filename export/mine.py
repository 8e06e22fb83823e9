"""Mine templates from raw messages of any system, with one set of defaults.

Three steps, none of which hangs on the order of the messages:

1. *Mask* (`mask.py`): numbers, ids, addresses, paths become typed wildcards; a masked message is a *form*.
2. *Cluster*: words that stand where values stand (behind `=`, behind a preposition, in quotes) or look like names are
   slots; forms that agree in all else share a bucket. How many distinct words are seen in such a place tells a value
   (`user=root`) from a state that makes templates of its own (`ret:true`).
3. *Settle*: the online matcher assigns each form to a template, so that serving repeats what mining found.

Drain (He et al., ICWS 2017) fixes the token count and compares token by token as messages arrive. Looking at all forms
at once, a variable first token, a value of several words or a list needs no tuning, and a rare word splits nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fluent_krone.reading.templates import UNMATCHED, WILDCARD, TemplateMatcher

from .mask import SAYS, Masker

# Plain words seen in a value's place: fewer may be states, as many are names.
MIN_NAMES = 4
# The same for a word in a place that nothing marks as a value's.
MIN_VALUES = 6


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONSTANTS = _words(
    """true false yes no on off ok null none nil unknown enabled disabled enable disable active inactive open opened
    close closed up down start started starting stop stopped stopping begin end done success succeeded successful fail
    failed failure error complete completed abort aborted refused denied accepted rejected lost found valid invalid
    timeout running idle busy ready connected disconnected"""
)
_NULLS = _words("null none nil unknown")
_PREPOSITIONS = _words("for from by of on at in into with via as")
_NOUNS = _words(
    """user username host hostname file device interface service process job task node client server module driver class
    name command package session"""
)
# Words that follow a preposition without being a name: `failed to open` keeps its verb.
_GRAMMAR = _PREPOSITIONS | _words(
    """to the a an this that these those it its be is are was were been not and or but if then than so because due which
    who whose when while where after before since until all any each some no more most less least one"""
)
_CALENDAR = re.compile(
    r"(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|am|pm|utc|gmt|[ecmp][sd]t)\Z",
    re.I,
)
_UNIT = re.compile(
    r"(?:[kmgt]?i?b|bytes?|[mun]?s|secs?|seconds?|mins?|minutes?|hours?|days?|milliseconds?)\Z",
    re.I,
)

_HEAD = re.compile(r"([^<]*)<(?:\*|[a-z]+)>.*", re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"[0-9]+")
_WORDS = re.compile(
    r"(?<==)\w+[\[{(][^\s\[\](){},]*[\])}]|(?:<(?:\*|[a-z]+)>|[^\s=,:;()\[\]{}<>|\"'])+"
)
_NAMELIKE = re.compile(r"[A-Za-z_][\w-]*(?:[.$/@\\]+[\w$-]+)+\Z")
_AROUND = {('"', '"'), ("'", "'"), ("(", ")"), ("[", "]")}
_THROWN = re.compile(r"(?:Exception|Error|Failure|Throwable)\b")


@dataclass(slots=True)
class _Slot:
    """A word of a form, or a run of values, with the punctuation behind it."""

    kind: str  # hard: tells templates apart; value: masked; name: looks like a name; word: stands where a value stands
    text: str
    after: str

    @property
    def key(self) -> str:
        return ("\0" if self.kind != "hard" else _DIGIT.sub("#", self.text)) + self.after


@dataclass(slots=True)
class _Form:
    lead: str
    slots: list[_Slot]
    text: str
    index: int
    count: int

    @property
    def key(self) -> tuple[str, ...]:
        return (self.lead, *(slot.key for slot in self.slots))


def _parse(text: str, index: int, count: int, keep_prefix: bool) -> _Form:
    at = text.find(": ") + 2 if keep_prefix and ": " in text else 0
    words = [w for w in _WORDS.finditer(text, at) if any(map(str.isalnum, w[0])) or w[0] == "<*>"]
    if not words:
        return _Form(text, [], text, index, count)
    ends = [w.start() for w in words[1:]] + [len(text)]
    slots = [_Slot("hard", w[0], text[w.end() : end]) for w, end in zip(words, ends, strict=True)]
    lead = text[: words[0].start()]
    for i, slot in enumerate(slots):
        slot.kind = _kind(slots, i, slots[i - 1].after if i else lead)
        if i and slot.kind != "hard" and not slots[i - 1].after.strip():
            slot.text, slots[i - 1].after = (
                slots[i - 1].after[1:] + slot.text,
                slots[i - 1].after[:1],
            )
    return _Form(lead, list(_runs(slots)), text, index, count)


def _kind(slots: Sequence[_Slot], i: int, before: str) -> str:
    word, after = slots[i].text, slots[i].after
    if WILDCARD.search(word):
        return "value"
    if _CALENDAR.match(word):
        near = [slots[j].text for j in (i - 1, i + 1) if 0 <= j < len(slots)]
        if any(WILDCARD.search(text) or text.isdigit() or _CALENDAR.match(text) for text in near):
            return "value"
    if i == 0 or (i == 1 and before[:1] == ":"):
        return "word" if (before, after[:1]) == ("(", ")") else "hard"
    lead = slots[i - 1].text.lower()
    namelike = word[-1:] in "]})" or _DIGIT.search(word) or _NAMELIKE.match(word)
    name = "name" if namelike and not _THROWN.search(word) else "word"
    if before.rstrip()[-1:] == "=" or before == ":":
        return "hard" if lead in SAYS else name
    if before == " " and lead in _PREPOSITIONS and name == "name":
        return name
    if after[:1] == "(" or (after[:1] == ":" and after != ":"):
        return "hard"  # a label: it says whose message this is
    if name == "name" or (before[-1:], after[:1]) in _AROUND:
        return name
    if _in_list(slots, i, before):
        return "name"
    if before != " " or word.lower() in _GRAMMAR or word.lower() in _CONSTANTS:
        return "hard"
    state = word.isupper() and len(word) > 1  # FOLLOWING, RUNNING
    return "word" if lead in _NOUNS or (lead in _PREPOSITIONS and not state) else "hard"


def _in_list(slots: Sequence[_Slot], i: int, before: str) -> bool:
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


def _runs(slots: Iterable[_Slot]) -> Iterator[_Slot]:
    """Neighbouring values, with their units and brackets, become one slot: lists of any length then look alike."""
    run: _Slot | None = None
    for slot in slots:
        if run is not None and _joins(run, slot):
            run.text, run.after = run.text + run.after + slot.text, slot.after
            run.kind = "value" if slot.kind == "value" else run.kind
        else:
            if run is not None:
                yield _closed(run)
            run = slot
    if run is not None:
        yield _closed(run)


def _joins(run: _Slot, slot: _Slot) -> bool:
    if (
        run.kind not in ("value", "name")
        or "=" in run.after
        or '"' in run.after
        or "'" in run.after
    ):
        return False
    unit = run.kind == "value" and run.after == " " and _UNIT.match(slot.text) is not None
    return unit or slot.kind in ("value", "name")


def _closed(run: _Slot) -> _Slot:
    """Take in the brackets that the run opened, and an empty pair right behind it."""
    if run.kind == "value":
        for pair in ("()", "[]", "{}"):
            if run.after.lstrip(" ").startswith(pair):
                cut = run.after.index(pair) + 2
                run.text, run.after = run.text + run.after[:cut], run.after[cut:]
            elif run.text.count(pair[0]) > run.text.count(pair[1]) and run.after.startswith(
                pair[1]
            ):
                run.text, run.after = run.text + pair[1], run.after[1:]
    return run


class _Places:
    """Which distinct plain words were seen behind `user=` or `user `, in whatever template."""

    def __init__(self, forms: Iterable[_Form]) -> None:
        self._words: dict[str, set[str]] = defaultdict(set)
        for form in forms:
            for place, slot in zip(_places(form), form.slots, strict=True):
                if slot.kind == "word" and place:
                    self._words[place].add(slot.text)

    def literal(self, place: str, slots: Sequence[_Slot]) -> set[str]:
        """The words that stay literal in this column of a bucket, each with a template of its own."""
        words = {slot.text for slot in slots if slot.kind == "word"}
        takes_values = any(slot.kind in ("value", "name") for slot in slots)
        constants = {word for word in words if word.lower() in _CONSTANTS}
        if takes_values:
            return {word for word in constants if word.lower() not in _NULLS}
        seen = words | self._words.get(place, set())
        return constants if len(seen - constants) >= MIN_NAMES else words


def _places(form: _Form) -> Iterator[str]:
    """For each slot the word and sign before it; empty after a preposition, which says nothing on its own."""
    before, sign = "", form.lead
    for slot in form.slots:
        yield "" if before.lower() in _PREPOSITIONS else before + sign
        before, sign = slot.text, slot.after


def _split(bucket: Sequence[_Form], places: _Places) -> list[list[_Form]]:
    """Forms that agree in all but slots → clusters."""
    parts: dict[tuple[str, ...], list[_Form]] = defaultdict(list)
    for j, place in enumerate(_places(bucket[0])):
        column = [form.slots[j] for form in bucket]
        literal = places.literal(place, column)
        for slot in column:
            if slot.text in literal:
                slot.kind = "hard"
    for form in bucket:
        parts[form.key].append(form)
    return list(parts.values())


def _fold(clusters: list[list[_Form]]) -> list[list[_Form]]:
    """Merge clusters that differ in one word only, where at least MIN_VALUES words were seen that are no states."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        for j in _foldable(cluster[0]):
            groups[(str(j), *key[: j + 1], "", *key[j + 2 :])].append(c)
    into = list(range(len(clusters)))
    for _, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        free = [c for c in members if into[c] == c]
        if len(free) >= MIN_VALUES and len(free) == len(members):
            for c in free[1:]:
                into[c] = free[0]
                clusters[free[0]] += clusters[c]
    return [cluster for c, cluster in enumerate(clusters) if into[c] == c]


def _foldable(form: _Form) -> Iterator[int]:
    """Places of words that may be values: not the first, no label, no state, and enough words left beside them."""
    hard = [j for j, slot in enumerate(form.slots) if slot.kind == "hard"]
    if len(hard) < 3:
        return
    for j in hard:
        slot, lower = form.slots[j], form.slots[j].text.lower()
        label = slot.after[:1] == "(" or (slot.after[:1] == ":" and form.slots[j - 1].after != " ")
        if j and not label and lower not in _CONSTANTS and lower not in _GRAMMAR:
            yield j


def _emit(cluster: Sequence[_Form], length: int | None = None) -> str:
    """The template of a cluster, or of what its first `length` slots say."""
    first = cluster[0]
    text = first.lead
    for j, slot in enumerate(first.slots[:length]):
        text += _generalise({form.slots[j].text for form in cluster}) + slot.after
    text += "<*>" if length is not None else ""
    return re.sub(r"(?:<(?:\*|[a-z]+)>){2,}", "<*>", text)


def _generalise(texts: set[str]) -> str:
    """The narrowest text with wildcards that covers all of `texts`."""
    if len(texts) == 1:
        return next(iter(texts))
    if len({_DIGIT.sub("#", text) for text in texts}) == 1:
        return _DIGIT.sub("<num>", min(texts))
    heads = {found[1] if (found := _HEAD.fullmatch(text)) else None for text in texts}
    return f"{head}<*>" if len(heads) == 1 and (head := heads.pop()) else "<*>"


def _cap(found: list[tuple[str, list[_Form]]], limit: int) -> list[tuple[str, list[_Form]]]:
    """At most `limit` templates: those that share their first words become one, long and large groups first."""
    for length in (8, 6, 4, 3, 2, 1):
        if len(found) <= limit:
            break
        groups: dict[tuple[str, ...], list[tuple[str, list[_Form]]]] = defaultdict(list)
        kept = []
        for text, forms in found:
            long = len(forms[0].slots) > length and any(
                slot.kind == "hard" for slot in forms[0].slots[:length]
            )
            if long:
                groups[forms[0].key[: length + 1]].append((text, forms))
            else:
                kept.append((text, forms))
        left = len(found)
        for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            if left <= limit or len(group) == 1:
                kept += group
                continue
            left -= len(group) - 1
            forms = [form for _, members in group for form in members]
            kept.append((_emit(forms, length), forms))
        found = kept
    return sorted(found, key=lambda item: (-sum(form.count for form in item[1]), item[0]))[:limit]


@dataclass(frozen=True, slots=True)
class MinedTemplates:
    """Templates, most frequent first, with how many messages each has and one of them."""

    templates: tuple[str, ...]
    counts: tuple[int, ...]
    examples: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One a template, as they stand in `templates.json`."""
        rows = zip(self.templates, self.counts, self.examples, strict=True)
        return [
            {"template": text, "count": count, "example": example} for text, count, example in rows
        ]


def mine(
    messages: Iterable[str],
    *,
    max_templates: int = 2000,
    max_forms: int = 100_000,
    session_pattern: str | None = None,
    keep_prefix: bool = False,
) -> MinedTemplates:
    """Templates of `messages`; the same for any order of them, but for which message is the example.

    `session_pattern` is a regex whose matches always become wildcards; `keep_prefix` says that messages start with
    `component: `, which stays literal. Past `max_forms` distinct masked messages a new one keeps only its first words,
    past `max_templates` templates with the same first words are merged; both leave a warning.

    >>> mined = mine(["open /a/b ok", "open /c/d ok", "open /c failed"])
    >>> mined.templates, mined.counts
    (('open <path> ok', 'open <path> failed'), (2, 1))
    """
    masker = Masker(session_pattern, keep_prefix)
    known: dict[str, int] = {}
    examples: list[str] = []
    counts: Counter[int] = Counter()
    for message in messages:
        text = message if message.isascii() else message.encode(errors="replace").decode()
        form = masker.form(text)
        index = known.get(form)
        if index is None and len(known) >= max_forms:
            form = _coarse(form)
            index = known.get(form)
        if index is None:
            index = known[form] = len(known)
            examples.append(text)
        counts[index] += 1
    forms = sorted(
        (_parse(text, i, counts[i], keep_prefix) for text, i in known.items()),
        key=lambda form: form.text,
    )
    return _settle(_cluster(forms), forms, examples, max_templates, len(known) > max_forms)


def _coarse(form: str) -> str:
    words = form.split(" ", 3)
    return " ".join([*words[:3], "<*>"]) if len(words) > 3 and words[3] else form


def _cluster(forms: Sequence[_Form]) -> list[tuple[str, list[_Form]]]:
    places = _Places(forms)
    buckets: dict[tuple[str, ...], list[_Form]] = defaultdict(list)
    for form in forms:
        buckets[form.key].append(form)
    clusters = _fold([cluster for bucket in buckets.values() for cluster in _split(bucket, places)])
    return [(_emit(cluster), cluster) for cluster in clusters]


def _settle(
    found: list[tuple[str, list[_Form]]],
    forms: Sequence[_Form],
    examples: Sequence[str],
    max_templates: int,
    many_forms: bool,
) -> MinedTemplates:
    """Let the online matcher say which template each form has; templates that it never picks go."""
    warnings = []
    capped = _cap(found, max_templates)
    if len(found) > max_templates:
        warnings.append(
            f"{len(found)} templates are more than {max_templates}: those with the same first words were merged; free "
            "text or a value that is not recognised (an id that --session-key does not cover?) is the usual cause; "
            "--templates takes templates of your own"
        )
    if many_forms:
        warnings.append("too many distinct masked messages: rare ones keep their first words only")
    texts = sorted({text for text, _ in capped if _LETTER.search(WILDCARD.sub("", text))})
    matcher = TemplateMatcher(texts)
    picked = {form.index: matcher.match(examples[form.index].encode()) for form in forms}
    counts: Counter[int] = Counter()
    example: dict[int, str] = {}
    for form in sorted(forms, key=lambda form: -form.count):
        counts[picked[form.index]] += form.count
        example.setdefault(picked[form.index], examples[form.index])
    if unmatched := counts.pop(UNMATCHED, 0):
        warnings.append(
            f"{unmatched} messages match no template: nothing but values in them, or there were too many templates"
        )
    order = sorted(counts, key=lambda t: (-counts[t], texts[t]))
    return MinedTemplates(
        tuple(texts[t] for t in order),
        tuple(counts[t] for t in order),
        tuple(example[t] for t in order),
        tuple(warnings),
    )
