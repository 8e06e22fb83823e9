"""Mine templates from raw messages of any system, with one set of defaults.

Three steps, none of which depends on the order of the messages:

1. *Mask* (`mask.py`): numbers, ids, addresses, paths become typed wildcards; a masked message is a
   *form*.
2. *Cluster*: words that stand where values stand (behind `=`, behind a preposition, in quotes) or
   look like names are slots (`forms.py`); forms that agree in all else share a bucket. How many
   distinct words are seen in such a place tells a value (`user=root`) from a state that makes
   templates of its own (`ret:true`).
3. *Settle*: the online matcher assigns each form to a template, so that serving repeats what mining
   found.

Drain (He et al., ICWS 2017) fixes the token count and compares token by token as messages arrive.
Looking at all forms at once, a variable first token, a value of several words or a list needs no
tuning, and a rare word splits nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluent_krone.reading.mask import Masker
from fluent_krone.reading.templates import UNMATCHED, WILDCARD, TemplateMatcher, several_tokens
from fluent_krone.reading.wildcards import is_name

from .folding import MOST_USUAL, are_usual, fold, fold_codes
from .forms import Form, Slot, parse
from .free_text import FreeText, free_texts
from .names import fold_inside, fold_names, fold_phrases
from .value_places import ValuePlaces, places_of

# What stands before a template's first wildcard, where it has no second kind of text.
_HEAD = re.compile(r"([^<]*)<(?:\*|[a-z]+)>.*", re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"[0-9]+")
# Names of several words that one message may have.
_NAMES = 2
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
# Wildcards for words with digits.
_CODES = ("<num>", "<hex>", "<code>")
# A code behind what was done, as caches write it: `TCP_MISS/<num>`, `NONE/<num>`.
_CODE_BEHIND = re.compile(r"[A-Z]+(?:_[A-Z]+)*/<num>")
_NEIGHBOURS = re.compile(r"(?:<(?:\*|[a-z]+)>){2,}")
# Where there are too many templates, those that share this many first words are merged, long ones
# first.
_SHARED_WORDS = (8, 6, 4, 3, 2, 1)
# Of a message beyond `max_forms`, this many words are kept.
_COARSE_WORDS = 3


def _split(bucket: Sequence[Form], places: ValuePlaces, by_sessions: bool) -> list[list[Form]]:
    """Forms that agree in all but slots → clusters.

    With `by_sessions`, a few usual words in a value's place stay apart.
    """
    most = MOST_USUAL
    for j, place in enumerate(places_of(bucket[0])):
        column = [form.slots[j] for form in bucket]
        literal = places.literal(place, column)
        if by_sessions and not literal and places.are_few(place, column):
            by_word: dict[str, list[Form]] = defaultdict(list)
            for form in bucket:
                by_word[form.slots[j].text].append(form)
            # Words of several places make as many clusters as they have combinations.
            if len(by_word) <= most and are_usual([*by_word.values()]):
                literal = set(by_word)
                most //= len(by_word)
        for slot in column:
            if slot.text in literal:
                slot.kind = "hard"
    parts: dict[tuple[str, ...], list[Form]] = defaultdict(list)
    for form in bucket:
        parts[form.key].append(form)
    return list(parts.values())


def _emit(cluster: Sequence[Form], length: int | None = None) -> str:
    """The template of a cluster, or of what its first `length` slots say."""
    text = cluster[0].lead + _joined([form.slots[:length] for form in cluster])
    if length is not None:
        text += "<*>"
    return _NEIGHBOURS.sub("<*>", text)


def _emit_around(cluster: Sequence[Form], text: FreeText) -> str:
    """The template of a cluster with a free text."""
    slots = [form.slots[: text.before] for form in cluster]
    ends = [form.slots[len(form.slots) - text.behind :] for form in cluster]
    return cluster[0].lead + _joined(slots) + "<*>" + text.sign + _joined(ends)


def _joined(rows: Sequence[Sequence[Slot]]) -> str:
    """What slots of several forms, as many of each, have in common."""
    return "".join(
        _generalise({slot.text for slot in column}) + column[0].after
        for column in zip(*rows, strict=True)
    )


def _generalise(texts: set[str]) -> str:
    """The narrowest text with wildcards that covers all of `texts`."""
    if len(texts) == 1:
        return next(iter(texts))
    if len({_NUMBER.sub("#", text) for text in texts}) == 1:
        return _NUMBER.sub("<num>", min(texts))
    if all(map(_is_code, texts)):
        return "<code>"
    words = [text.split(" ") for text in texts]
    if any(len(text) > 1 for text in words) and all(map(is_name, texts)):
        return "<name>"
    if len(words[0]) > 1 and _are_alike(words):
        # Always this many words: a wildcard each, or any number of words would do.
        return " ".join(_generalise(set(column)) for column in zip(*words, strict=True))
    heads = set(map(_head, texts))
    if len(heads) == 1:
        return f"{heads.pop()}<*>"
    if all(map(_CODE_BEHIND.fullmatch, texts)):
        return "<*>/<num>"
    return "<*>"


def _is_code(text: str) -> bool:
    """Whether a text is one word with a digit, or a wildcard for such words."""
    return text in _CODES or (" " not in text and "<" not in text and bool(_DIGIT.search(text)))


def _are_alike(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all rows have as many words, and none is a list, which may be longer next time."""
    if len(set(map(len, rows))) > 1:
        return False
    return all(word and word[-1] not in ",;" for row in rows for word in row)


def _head(text: str) -> str:
    """What stands before the first wildcard; empty where there is none."""
    found = _HEAD.fullmatch(text)
    if found is None:
        return ""
    return found[1]


def _cap(found: list[tuple[str, list[Form]]], limit: int) -> list[tuple[str, list[Form]]]:
    """At most `limit` templates: those that share their first words become one."""
    for length in _SHARED_WORDS:
        if len(found) <= limit:
            break
        groups: dict[tuple[str, ...], list[tuple[str, list[Form]]]] = defaultdict(list)
        kept = []
        for text, forms in found:
            slots = forms[0].slots
            if len(slots) > length and any(slot.kind == "hard" for slot in slots[:length]):
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
    # For each template, the wildcards that stand for several words; None: any may
    # (`TemplateMatcher`).
    wide: tuple[tuple[int, ...], ...] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One a template, as they stand in `templates.json`."""
        rows: list[dict[str, Any]] = [
            {"template": text, "count": count, "example": example}
            for text, count, example in zip(self.templates, self.counts, self.examples, strict=True)
        ]
        if self.wide is not None:
            for row, wide in zip(rows, self.wide, strict=True):
                row["wide"] = list(wide)
        return rows


def mine(
    messages: Iterable[str],
    *,
    max_templates: int = 2000,
    max_forms: int = 100_000,
    session_pattern: str | None = None,
    keep_prefix: bool = False,
    facet_fields: int = 0,
    is_composed: bool = False,
    by_sessions: bool = False,
) -> MinedTemplates:
    """Templates of `messages`; their order decides only which message is the example.

    `session_pattern` is a regex whose matches always become wildcards; `keep_prefix` says that
    messages start with `component: `, which stays literal, as do the values in brackets of up to
    `facet_fields` fields behind it. With `is_composed`, messages are made of fields, the first of
    which names what happened. With `by_sessions`, a few usual words stay apart wherever nothing
    marks them as values, as sessions will tell (`alike.py`). Past `max_forms` distinct masked
    messages a new one keeps only its first words, past `max_templates` templates with the same
    first words are merged; both leave a warning.

    >>> mined = mine(["open /a/b ok", "open /c/d ok", "open /c failed"])
    >>> mined.templates, mined.counts
    (('open <path> ok', 'open <path> failed'), (2, 1))
    """
    masker = Masker(session_pattern)
    # Masked message → the components that write it, each with how often and one message.
    known: dict[str, dict[str, _Seen]] = {}
    for message in messages:
        # A lone surrogate can be in no template.
        text = message.encode(errors="replace").decode()
        component = ""
        if keep_prefix:
            component, text = _cut_component(text)
        if facet_fields:
            values = re.match(rf"(?:\[[^\[\]]*\] ){{0,{facet_fields}}}", text)
            assert values
            component += values[0]
            text = text[values.end() :]
        form = masker.form(text)
        if form not in known and len(known) >= max_forms:
            form = _coarse(form)
        seen = known.setdefault(form, {}).setdefault(component, _Seen(component + text))
        seen.count += 1
    forms = [
        parse(text, i, sum(seen.count for seen in known[text].values()))
        for i, text in enumerate(sorted(known))
    ]
    if is_composed:
        for one in forms:
            _keep_name(one)
    found: list[tuple[str, list[Form]]] = []
    for text, cluster in _cluster(forms, by_sessions):
        found += _by_component(text, cluster, known)
    return _settle(found, known, max_templates, len(known) > max_forms)


def _keep_name(form: Form) -> None:
    """The value of the first field tells templates apart, however many names there are."""
    if len(form.slots) > 1 and form.slots[0].after == "=" and form.slots[1].kind != "value":
        form.slots[1].kind = "title"


@dataclass(slots=True)
class _Seen:
    """One message of a form and a component, and how many there are."""

    example: str
    count: int = 0


def _cut_component(text: str) -> tuple[str, str]:
    """`component: ` and the message behind it; without one, nothing and the text.

    Templates are found without the component, since the same code may write under many names, and a
    rare one would not show which of its words are values. Of a record without a component, what
    stands before a colon is text, in which several words with a digit among them are no name.
    """
    component, sign, message = text.partition(": ")
    if not sign or not message.strip() or component[:1].isdigit():
        return "", text
    if " " in component and _DIGIT.search(component):
        return "", text
    return component + sign, message


def _by_component(
    text: str, cluster: Sequence[Form], known: Mapping[str, Mapping[str, _Seen]]
) -> Iterator[tuple[str, list[Form]]]:
    """The template of a cluster, once for each component that writes such messages."""
    forms: dict[str, list[Form]] = defaultdict(list)
    for form in cluster:
        for component, seen in known[form.text].items():
            lead = component + form.lead
            forms[component].append(Form(lead, form.slots, form.text, form.index, seen.count))
    for component in sorted(forms):
        yield component + text, forms[component]


def _coarse(form: str) -> str:
    words = form.split(" ", _COARSE_WORDS)
    if len(words) > _COARSE_WORDS and words[-1]:
        return " ".join([*words[:-1], "<*>"])
    return form


def _cluster(forms: Sequence[Form], by_sessions: bool) -> list[tuple[str, list[Form]]]:
    places = ValuePlaces(forms)
    buckets: dict[tuple[str, ...], list[Form]] = defaultdict(list)
    for form in forms:
        buckets[form.key].append(form)
    parted = [
        cluster for bucket in buckets.values() for cluster in _split(bucket, places, by_sessions)
    ]
    clusters = fold_inside(fold_codes(parted))
    for _ in range(_NAMES):
        clusters = fold_phrases(clusters, by_sessions)
    clusters = fold_names(fold(clusters, by_sessions))
    texts = free_texts(clusters)
    joined = {number for text in texts for number in text.members}
    found = [(_emit(one), one) for number, one in enumerate(clusters) if number not in joined]
    for text in texts:
        together = [form for number in text.members for form in clusters[number]]
        found.append((_emit_around(together, text), together))
    return found


def _settle(
    found: list[tuple[str, list[Form]]],
    known: Mapping[str, Mapping[str, _Seen]],
    max_templates: int,
    many_forms: bool,
) -> MinedTemplates:
    """Let the online matcher say which template each form has.

    Templates never picked are dropped.
    """
    warnings = []
    capped = _cap(found, max_templates)
    if len(found) > max_templates:
        warnings.append(
            f"{len(found)} templates are more than {max_templates}: those with the same first "
            "words were merged; free text or a value that is not recognised (an id that "
            "--session-key does not cover?) is the usual cause; --templates takes templates of "
            "your own"
        )
    if many_forms:
        warnings.append("too many distinct masked messages: rare ones keep their first words only")
    texts = sorted({text for text, _ in capped if _LETTER.search(WILDCARD.sub("", text))})
    matcher = TemplateMatcher(texts)
    counts: Counter[int] = Counter()
    example: dict[int, str] = {}
    all_seen = [seen for form in sorted(known) for _, seen in sorted(known[form].items())]
    for seen in sorted(all_seen, key=lambda seen: -seen.count):
        template = matcher.match(seen.example.encode())
        counts[template] += seen.count
        example.setdefault(template, seen.example)
    if unmatched := counts.pop(UNMATCHED, 0):
        warnings.append(
            f"{unmatched} messages match no template: they hold nothing but values, or there were "
            "too many templates"
        )
    order = sorted(counts, key=lambda t: (-counts[t], texts[t]))
    wide = _wide(matcher, known)
    return MinedTemplates(
        tuple(texts[t] for t in order),
        tuple(counts[t] for t in order),
        tuple(example[t] for t in order),
        tuple(warnings),
        tuple(wide[t] for t in order),
    )


def _wide(
    matcher: TemplateMatcher, known: Mapping[str, Mapping[str, _Seen]]
) -> list[tuple[int, ...]]:
    """For each template, the wildcards that stand for several words.

    One message of each form shows it: forms differ in all but what is inside a value. Only where
    a form was cut short, its last wildcard may stand for more words than that message shows.
    """
    examples = [seen.example for form in known.values() for seen in form.values()]
    wide = several_tokens(matcher, (example.encode() for example in examples))
    for form, by_component in known.items():
        if form.endswith("<*>"):
            for seen in by_component.values():
                template = matcher.match(seen.example.encode())
                if template != UNMATCHED:
                    last = matcher.templates[template].wildcards - 1
                    wide[template] = tuple(sorted({*wide[template], last} - {-1}))
    return wide
