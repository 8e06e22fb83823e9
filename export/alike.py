"""Makes one template of those that differ in words which say nothing of what else happens.

`paid by visa` and `paid by paypal` have one meaning where sessions run alike whichever it is: the
word is a value. Taken for two steps, each would be rare, and normal sessions would look odd. Mining
sees the text alone, and takes a word for a value only where many different ones stand. Here the
sessions decide:

1. Templates that differ in one word are linked, and all that such links join are a *family*. So
   `charging EUR to visa` and `charging USD to paypal` are of one family, which differs in two
   *places*. States (`failed`) and routes link nothing, and a template keeps two words that are the
   same in all.
2. Sessions are read as families, so that a charge to visa that visa pays, and one to paypal that
   paypal pays, run alike.
3. The words of a place run alike where the family before them, the family behind them, how severe
   the event is, and which families the session has, come about equally often. The words that do
   not are left out, the least alike first.
4. Words that the same sessions have one beside the other are parts of one thing, as three answers
   to three questions are. They are no values either, but where a session may as well have the same
   word twice: then each is drawn anew.
5. What runs alike gets a wildcard in that place, in all templates of the family.
6. A key such as `region=` that has a wildcard behind it in nearly all messages has one in templates
   that are too rare to tell: there each value would be news. So has a message that comes with
   other fields in front of it, as `[FATAL] charging EUR to visa` that came once, where
   `[INFO] charging <*> to <*>` is usual.

The values are then no part of the step any more; the value witness judges them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluent_krone.reading.mask import SAYS
from fluent_krone.reading.templates import WILDCARD

from .event_names import EVENT_NAMES
from .forms import CONSTANTS, GRAMMAR
from .runs import LARGEST, Runs, Steps, runs_of, words_alike

# Words that must be left in a template beside the one that differs.
_LEFT = 2
# Rounds: a wildcard may link templates that two differing words kept apart.
_ROUNDS = 2
# Not a part of a component of several instances (`instances.py`).
_WORD = re.compile(
    r"(?<![\w<./-])[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*(?![\w>/(]|[\w.-]*<(?:nth|where)>)"
)
_KEY = re.compile(r"([\w.-]+)=[\"']?\Z")
# What stands before a word that belongs to the one before it.
_BEHIND_A_WORD = re.compile(r"[\w>] [#@$]?\Z")
# Fields that say what happened.
_SAYING = SAYS | {name.lower() for name in EVENT_NAMES}
# A key and its value, and the share of the messages with a key that have any word behind it, in at
# least this many templates, where the key has values.
_PAIR = re.compile(r"(?<![\w.-])(?P<key>[\w.-]+)=(?P<value>[^\s=,;\"'()\[\]{}]+)")
_NEARLY_ALL, _IN_TEMPLATES = 0.9, 2
# A template of fewer messages is too rare to tell which of its words are values.
_RARE = 10
# In place of the word that differs.
_BLANK = "\0"


@dataclass(frozen=True, slots=True)
class Place:
    """A word of a template that may be a value: which of its words it is, where it stands, and the
    wildcard that takes it."""

    number: int
    word: str
    span: tuple[int, int]
    wildcard: str = "<*>"


def merge_alike(
    rows: Sequence[dict[str, Any]], sessions: Iterable[Steps], facet_fields: int = 0
) -> list[dict[str, Any]]:
    """The rows of `templates.json`, with one for all templates that run alike.

    The numbers in `sessions` are those of the rows. The values of the first `facet_fields` fields,
    which stand in brackets before the message, are never taken for one.
    """
    found = [dict(row) for row in rows]
    number = list(range(len(rows)))
    known = [*sessions]
    for _ in range(_ROUNDS):
        places = [_places(str(row["template"]), facet_fields) for row in found]
        family = _families([str(row["template"]) for row in found], places)
        values = _values(places, family, runs_of(known, number, family))
        if not any(values):
            break
        found, into = merged(found, values)
        number = [into[one] for one in number]
    found = merged(found, _usual_values(found))[0]
    if facet_fields:
        found = merged(found, _values_elsewhere(found, facet_fields))[0]
    return found


# --- which templates differ in a word -------------------------------------------------------------


def _places(text: str, facet_fields: int) -> list[Place]:
    """The words of a template that may be values."""
    found = [*_WORD.finditer(text, _behind_fields(text, facet_fields))]
    words = [word for word in found if not _is_label(text, word)]
    # The names of fields say what a line is about as well as other words do.
    labels = sum(text[word.end() : word.end() + 1] == "=" for word in found)
    if len(words) + labels <= _LEFT:
        return []
    return [
        Place(number, word[0], word.span())
        for number, word in enumerate(words)
        if _may_be_value(text, word)
    ]


def _behind_fields(text: str, facet_fields: int) -> int:
    """Where the message begins, behind its component and its fields in brackets."""
    if not facet_fields:
        return 0
    fields = re.match(rf"(?:[^\s\[\]][^\[\]]*?: )?(?:\[[^\[\]]*\] ){{0,{facet_fields}}}", text)
    return fields.end() if fields else 0


def _is_label(text: str, word: re.Match[str]) -> bool:
    """Whether a word is a label: `status=`, `cart: `.

    In `MERGE orders: inserted <num>`, what stands before it is labelled by the verb.
    """
    sign = text[word.end() : word.end() + 1]
    return sign == "=" or (sign == ":" and not _BEHIND_A_WORD.search(text, 0, word.start()))


def _may_be_value(text: str, word: re.Match[str]) -> bool:
    """No state, no small word, and not what a field such as `event=` says."""
    lower = word[0].lower()
    # A lone capital inside a line is a name, as in `link A`: no article.
    is_name = len(lower) == 1 and word[0] != lower and word.start() > 0
    if lower in CONSTANTS or (lower in GRAMMAR and not is_name):
        return False
    key = _KEY.search(text[: word.start()])
    return key is None or not _says_what_happened(key[1])


def _says_what_happened(key: str) -> bool:
    """Whether the value of a key says so, as that of `event=` or `event.action=` does."""
    return key.lower().rpartition(".")[2] in _SAYING


def _families(texts: Sequence[str], places: Sequence[Sequence[Place]]) -> list[int]:
    """Template → its family: the first template that differences in a word link it to."""
    family = list(range(len(texts)))

    def first(number: int) -> int:
        while family[number] != number:
            number = family[number]
        return number

    by_skeleton: dict[str, list[int]] = defaultdict(list)
    for number, (text, of_text) in enumerate(zip(texts, places, strict=True)):
        for place in of_text:
            start, end = place.span
            by_skeleton[text[:start] + _BLANK + text[end:]].append(number)
    for members in by_skeleton.values():
        least = min(map(first, members))
        for member in members:
            family[first(member)] = least
    return [first(number) for number in range(len(texts))]


# --- which places hold values --------------------------------------------------------------------


def _values(
    places: Sequence[Sequence[Place]], family: Sequence[int], runs: Mapping[int, Runs]
) -> list[list[Place]]:
    """For each template, its places that hold values."""
    # Family and place → word → the templates that have it there.
    there: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for template, of_template in enumerate(places):
        for place in of_template:
            there[family[template], place.number][place.word].append(template)
    values: list[list[Place]] = [[] for _ in places]
    for (_, number), by_word in there.items():
        if 2 <= len(by_word) <= LARGEST:
            for word in words_alike(by_word, runs):
                for template in by_word[word]:
                    values[template] += [p for p in places[template] if p.number == number]
    return values


def _usual_values(rows: Sequence[Mapping[str, Any]]) -> list[list[Place]]:
    """For each template, the values behind keys that have a wildcard in nearly all messages."""
    pairs = [[*_PAIR.finditer(str(row["template"]))] for row in rows]
    times: Counter[str] = Counter()
    free: Counter[str] = Counter()
    templates: Counter[str] = Counter()
    for row, of_template in zip(rows, pairs, strict=True):
        for pair in of_template:
            times[pair["key"]] += row["count"]
            if pair["value"] == "<*>":
                free[pair["key"]] += row["count"]
                templates[pair["key"]] += 1
    keys = {
        key
        for key, count in templates.items()
        if count >= _IN_TEMPLATES
        and free[key] >= _NEARLY_ALL * times[key]
        and not _says_what_happened(key)
    }
    return [
        [
            Place(number, pair["value"], pair.span("value"))
            for number, pair in enumerate(of_template)
            if pair["key"] in keys and _is_told(pair["value"])
        ]
        for of_template in pairs
    ]


def _values_elsewhere(rows: Sequence[Mapping[str, Any]], facet_fields: int) -> list[list[Place]]:
    """For each rare template, the words in whose place a usual one has a wildcard, where both
    differ in nothing else but their fields."""
    texts = [str(row["template"]) for row in rows]
    begins = [_behind_fields(text, facet_fields) for text in texts]
    messages = [text[begin:].split(" ") for text, begin in zip(texts, begins, strict=True)]
    usual: dict[int, list[list[str]]] = defaultdict(list)
    for words, row in zip(messages, rows, strict=True):
        if row["count"] >= _RARE:
            usual[len(words)].append(words)
    found: list[list[Place]] = []
    for text, begin, words, row in zip(texts, begins, messages, rows, strict=True):
        places: list[Place] = []
        if row["count"] < _RARE:
            may_differ = {place.span: place for place in _places(text, facet_fields)}
            for others in usual[len(words)]:
                places = places or _differing(words, others, begin, may_differ)
        found.append(places)
    return found


def _differing(
    words: Sequence[str],
    others: Sequence[str],
    begin: int,
    may_differ: Mapping[tuple[int, int], Place],
) -> list[Place]:
    """The places of `words`, the first of which begins at `begin`, that are wildcards in `others`;
    none where any other word differs."""
    found = []
    for word, other in zip(words, others, strict=True):
        span = (begin, begin + len(word))
        begin = span[1] + 1
        if word == other:
            continue
        if other != "<*>" or span not in may_differ:
            return []
        found.append(may_differ[span])
    return found


def _is_told(value: str) -> bool:
    """Whether a template says a value that is no state, or a part of it."""
    return not WILDCARD.fullmatch(value) and value.lower() not in CONSTANTS


# --- their template -------------------------------------------------------------------------------


def merged(
    rows: Sequence[dict[str, Any]], values: Sequence[Sequence[Place]]
) -> tuple[list[dict[str, Any]], list[int]]:
    """The rows with wildcards for values, each template once, and the new number of each row."""
    at: dict[str, int] = {}
    out: list[dict[str, Any]] = []
    into: list[int] = []
    for row, places in zip(rows, values, strict=True):
        made = _with_wildcards(row, places)
        number = at.setdefault(made["template"], len(out))
        into.append(number)
        if number == len(out):
            out.append(made)
            continue
        before = out[number]
        wide = sorted({*before.get("wide", ()), *made.get("wide", ())})
        out[number] = {**before, "count": before["count"] + made["count"], "wide": wide}
    order = sorted(range(len(out)), key=lambda number: -out[number]["count"])
    new = {old: number for number, old in enumerate(order)}
    return [out[old] for old in order], [new[old] for old in into]


def _with_wildcards(row: dict[str, Any], places: Sequence[Place]) -> dict[str, Any]:
    """A row with a wildcard in each of the places, which takes one word."""
    text = str(row["template"])
    wide = list(row.get("wide", ()))
    # From the last one to the first, so that the others stay where they are.
    for place in sorted(places, key=lambda place: place.span, reverse=True):
        start, end = place.span
        before = len(WILDCARD.findall(text[:start]))
        behind = before + len(WILDCARD.findall(text[start:end]))
        kept = [at for at in wide if not before <= at < behind]
        wide = [at if at < before else at - behind + before + 1 for at in kept]
        text = f"{text[:start]}{place.wildcard}{text[end:]}"
    if not places:
        return row
    return {**row, "template": text, "wide": wide}
