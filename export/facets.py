"""Facets: parameters of a template that take a few, stable values, and so tell steps apart.

`served /orders → 200` and `served /orders → 500` have one template, yet they are not the same
step. Such a parameter is found by itself, in four steps:

1. A parameter counts where its place says that it tells how something went (`status`, `exit
   code`, a method), and where few values stand in it. HTTP codes count by their class, `2xx`.
2. It is *stable* where both halves of the log have the same values: a name that comes and goes is
   no state.
3. Each combination of values that the log has becomes a template of its own: the text with the
   values in the place of their wildcards, which wins over the plain template since it is more
   literal.
4. The plain template stays. What falls to it has a value that training never had: an unseen leaf
   under the action that is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluent_krone.reading.templates import WILDCARD, TemplateMatcher

from .forms import CONSTANTS

# The name of the leaf that takes all values which training never had.
REST = "other"
# Messages of a template below which its values are too few to be called stable.
MIN_COUNT = 50
# Distinct values of a parameter; more are data, not states.
MAX_VALUES = 8
# Distinct HTTP codes that are looked at before they are put into classes.
_MAX_CODES = 40
# Leaves that one template may become, and by which share all templates together may grow. Beyond
# it, each step would be seen so rarely that normal sessions look odd.
MAX_LEAVES = 12
GROWTH = 0.5
FEW = 20
# A value of at least this share must be in both halves of the log; all that is in one half only may
# together have no more than it.
_SHARE = 0.01
# Characters at the beginning by which templates are looked up.
_HEAD = 8
# Characters before a parameter that are looked at for what it is called.
_BEFORE = 40
# The words for a status and for a result in other languages.
_STATUS = "status|statut|estado|stato|zustand|статус|状态|狀態|状態|ステータス|상태"
_RESULT = (
    "ergebnis|r[üu]ckgabe(?:wert|code)|fehlercode|résultat|retour|resultado|código|esito|codice"
    "|wynik|kod|код|результат|结果|結果|返回值|返回码|错误码|コード|결과|코드"
)
_NAMED = re.compile(
    rf"(?:{_STATUS}|{_RESULT}|\bok|alarm|err(?:or)?|state|code|rc|result|ret|retval"
    r"|return(?:ed|s)?|errno|exit(?:ed)?|outcome|level"
    r"|severity|priority|phase|mode|method|verb|type|kind|reason|action|decision|verdict|dsn|signal"
    r"|response|reply|rcode|sqlstate|cache|success|health|retr(?:y|ies)|attempts?|tls|ssl|proto(?:col)?)"
    r"(?:[ _-]?(?:code|value|status|with|of|is|码|碼|コード|코드))*[\"']?\s*"
    r"(?:[=:：]\s*[\"'(\[]?(?:(?-i:[A-Z]{0,2})|(?:http|tls|ssl)[/v]*)|[\"'(\[]?)\Z",
    re.IGNORECASE,
)
# What stands before a text in quotes that names what was done.
_NAMED_IN_QUOTES = re.compile(
    r"\b(?:op|operation|activity|event|step|stage|task|says?|said)\s*[=:]?\s*[\"']\Z", re.IGNORECASE
)
# What stands before the route of a request, which tells requests apart as a verb does.
_ROUTE = re.compile(r"(?:route|endpoint|handler|path|uri|url|rpc)\"?\s*[=:]\s*\"?\Z", re.IGNORECASE)
_ROUTE_TEXT = re.compile(rb"(?:/[A-Za-z_.-]+(?:v[0-9])?)+")
# What is tried again is counted from one of these numbers. Where each number comes at most as often
# as this share of the one before it, the next one is to be expected, and as steps they would be
# rare: of 25 false alarms on simulated services, eleven were second to fourth attempts.
_TRIES = re.compile(r"(?:retr(?:y|ies)|attempts?)[\"']?\s*[=:]?\s*\Z", re.IGNORECASE)
_FIRST, _RARER = (0, 1, 2), 1 / 2
# HTTP, SIP and other protocols have the same codes. Caches write them behind what they did, as in
# `TCP_MISS/200`.
_HTTP = re.compile(
    rf"(?:[A-Z]{{3,5}}/(?:<num>|[0-9.]+)\"? ?|(?-i:(?:\b[A-Z]+(?:_[A-Z]+)+|<\*>)/)"
    rf"|\b(?:replied|responded)(?: with)?[ :]*"
    rf"|(?:http|response|{_STATUS})[ _-]?(?:code|status|码|碼|コード|코드)?\W{{0,3}})\Z",
    re.I,
)
_REQUEST = re.compile(r"\b(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) +\"?(?:https?:/)?/\S*")
_PAIR = re.compile(r"[\w.-]+=<num>(?=[\s,;])")
_CODE = re.compile(rb"[1-6][0-9]{2}")
# A code of one number, of two, as a version, or, as in mail, of three.
_NUMBER = re.compile(rb"-?[0-9]{1,5}|[0-9]\.[0-9](?:\.[0-9]{1,3})?")
_WORD = re.compile(rb"[A-Za-z][A-Za-z_-]{0,30}")
# Names have capital letters, those of films as those of persons.
_CAPITAL, _CAPITAL_WITHIN = re.compile(rb"[A-Z]"), re.compile(rb"\s[A-Z]")
_PHRASE = re.compile(rb"[A-Za-z\x80-\xff][A-Za-z\x80-\xff ,;:'_/-]{0,60}")
_METHOD = re.compile(rb"GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|TRACE|CONNECT")


@dataclass(slots=True)
class _Values:
    """What stood in one place: value → how often in the first and in the second half."""

    limit: int
    seen: dict[bytes, list[int]] = field(default_factory=dict)

    def note(self, value: bytes, half: int) -> bool:
        """Count a value; False once there are too many different ones."""
        counts = self.seen.setdefault(value, [0, 0])
        counts[half] += 1
        return len(self.seen) <= self.limit


def find_facets(
    rows: Sequence[dict[str, Any]],
    texts: Callable[[], Iterable[str]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """The rows of `templates.json` with a row for each combination of facet values behind its
    template.

    `texts` gives the messages anew each time. A new row has `of`, the plain template, and
    `facets`, its values in words.
    """
    wide = [row["wide"] for row in rows]
    matcher = TemplateMatcher([row["template"] for row in rows], wide=wide)
    chosen = _choose(matcher, rows, texts())
    if not chosen:
        return list(rows)
    counts = _combinations(matcher, chosen, texts())
    most = max(FEW, int(GROWTH * len(rows)))
    leaves: dict[int, list[dict[str, Any]]] = {}
    for log_key in sorted(counts, key=lambda key: -rows[key]["count"]):
        found = counts[log_key]
        if not 0 < len(found) <= MAX_LEAVES or sum(map(len, leaves.values())) + len(found) > most:
            continue
        leaves[log_key] = [
            _leaf(rows[log_key], values, count) for values, count in sorted(found.items())
        ]
        known = len(rows[log_key].get("facets", ()))
        names = ", ".join(" ".join(leaf["facets"][known:]) for leaf in leaves[log_key])
        say(f"facet: {names} of {rows[log_key]['template']!r}")
    out: list[dict[str, Any]] = []
    for log_key, row in enumerate(rows):
        of_row = leaves.get(log_key, [])
        rest = row["count"] - sum(leaf["count"] for leaf in of_row)
        if of_row:
            facets = [*row.get("facets", ()), REST]
            row = {**row, "count": max(rest, 0), "facets": facets}
        out += [row, *of_row]
    return out


# --- which parameters -----------------------------------------------------------------------------

# Place in the template → how a value is called, and what stands for it in the leaf's template.
_Facets = dict[int, Callable[[bytes], tuple[str, str]]]


def _choose(
    matcher: TemplateMatcher, rows: Sequence[dict[str, Any]], texts: Iterable[str]
) -> dict[int, _Facets]:
    """The facets of each template that has some."""
    values = _count_values(matcher, rows, texts)
    chosen: dict[int, _Facets] = {}
    for log_key, places in values.items():
        template = str(rows[log_key]["template"])
        for place, found in places.items():
            if {value.decode() for value in found.seen} <= {*rows[log_key].get("facets", ())}:
                # A field says it already.
                continue
            facet = _facet(template, place, found)
            if facet is not None:
                chosen.setdefault(log_key, {})[place] = facet
    return chosen


def _count_values(
    matcher: TemplateMatcher, rows: Sequence[dict[str, Any]], texts: Iterable[str]
) -> dict[int, dict[int, _Values]]:
    """The values of all places that may be facets."""
    open_places: dict[int, dict[int, _Values]] = {}
    for log_key, row in enumerate(rows):
        if row["count"] >= MIN_COUNT:
            places = _promising(row["template"])
            if places:
                open_places[log_key] = places
    seen: Counter[int] = Counter()
    for text in texts:
        message = text.encode()
        log_key = matcher.match(message)
        places = open_places.get(log_key, {})
        if not places:
            continue
        half = int(seen[log_key] >= rows[log_key]["count"] / 2)
        seen[log_key] += 1
        slots = matcher.slots(log_key, message)
        for place in list(places):
            if not slots or not places[place].note(slots[place], half):
                del places[place]
    return open_places


def _promising(template: str) -> dict[int, _Values]:
    """Places whose name, or what stands before them, says that they hold a state."""
    places: dict[int, _Values] = {}
    for place, found in enumerate(WILDCARD.finditer(template)):
        before = template[max(0, found.start() - _BEFORE) : found.start()]
        kind = found[0]
        if kind == "<num>" and _is_code(template, found):
            places[place] = _Values(_MAX_CODES)
        elif _says(kind, before):
            places[place] = _Values(MAX_VALUES)
        elif kind in ("<*>", "<str>"):
            # A method or a state says what it is by itself.
            places[place] = _Values(MAX_VALUES)
    return places


def _says(kind: str, before: str) -> bool:
    """Whether what stands before a wildcard says that it holds a state, or a route."""
    if kind == "<path>":
        return _ROUTE.search(before) is not None
    if kind == "<str>" and _NAMED_IN_QUOTES.search(before):
        return True
    return kind in ("<num>", "<*>", "<code>", "<str>") and _NAMED.search(before) is not None


def _facet(template: str, place: int, values: _Values) -> Callable[[bytes], tuple[str, str]] | None:
    """How values of a place are called, where it is a facet."""
    found = list(WILDCARD.finditer(template))[place]
    before = template[max(0, found.start() - _BEFORE) : found.start()]
    seen = values.seen
    if found[0] == "<num>" and _is_code(template, found) and all(map(_CODE.fullmatch, seen)):
        if is_stable(_by_class(seen)):
            return _http_class
        return None
    if found[0] == "<path>":
        is_route = is_stable(seen) and all(map(_ROUTE_TEXT.fullmatch, seen))
        return _as_it_is if is_route and len(seen) > 1 else None
    named = _says(found[0], before)
    if not seen or (len(seen) == 1 and not named) or not _are_states(before, seen):
        return None
    if found[0] == "<str>":
        return _as_it_is if _say_what_happened(before, seen) else None
    return _as_it_is if _say_how_it_went(seen, named=named) else None


def _say_what_happened(before: str, seen: Collection[bytes]) -> bool:
    """Whether texts in quotes are states, and not names: `session opened`, but for `Open Door`."""
    if not all(map(_PHRASE.fullmatch, seen)):
        return False
    if _NAMED.search(before):
        return True
    if _NAMED_IN_QUOTES.search(before):
        return not any(map(_CAPITAL_WITHIN.search, seen))
    return all(map(_has_state, seen)) and not any(map(_CAPITAL.search, seen))


def _say_how_it_went(seen: Collection[bytes], *, named: bool) -> bool:
    """Whether values are states: where their place has a name, any words or numbers are."""
    if named and all(_NUMBER.fullmatch(value) or _WORD.fullmatch(value) for value in seen):
        return True
    return all(map(_METHOD.fullmatch, seen)) or all(value.lower() in _STATES for value in seen)


def _is_code(template: str, wildcard: re.Match[str]) -> bool:
    """Whether a wildcard stands where an HTTP code does.

    Behind its name, or first behind a route.
    """
    if _HTTP.search(template[max(0, wildcard.start() - _BEFORE) : wildcard.start()]):
        return True
    if template[: wildcard.start()].endswith(":"):
        # a port
        return False
    request = _REQUEST.search(template)
    if request is None:
        return False
    # What has a name of its own, as in `user=17`, is no code.
    between = _PAIR.sub("", template[request.end() : wildcard.start()])
    return "<num>" not in between


_STATES = frozenset(word.encode() for word in CONSTANTS)


def _has_state(phrase: bytes) -> bool:
    """Whether one of the words in quotes is a state, as in `session opened`."""
    return not _STATES.isdisjoint(phrase.lower().split())


def _by_class(seen: dict[bytes, list[int]]) -> dict[bytes, list[int]]:
    classes: dict[bytes, list[int]] = {}
    for value, counts in seen.items():
        total = classes.setdefault(value[:1], [0, 0])
        total[0] += counts[0]
        total[1] += counts[1]
    return classes


def is_stable(seen: dict[bytes, list[int]]) -> bool:
    """Whether both halves of the log have the same values, but for rare ones."""
    total = sum(map(sum, seen.values()))
    one_sided = [sum(counts) for counts in seen.values() if not all(counts)]
    return all(count < _SHARE * total for count in one_sided) and sum(one_sided) <= _SHARE * total


def _are_states(before: str, seen: dict[bytes, list[int]]) -> bool:
    """Whether values are stable, and do not say how often something was tried."""
    return is_stable(seen) and not (_TRIES.search(before) and _is_counted(seen))


def _is_counted(seen: dict[bytes, list[int]]) -> bool:
    """Whether values are a row of numbers, each much rarer than the one before it."""
    times = {int(value): sum(counts) for value, counts in seen.items() if value.isdigit()}
    row = range(min(times, default=0), min(times, default=0) + len(times))
    if len(times) < max(len(seen), 2) or row[0] not in _FIRST or set(times) != set(row):
        return False
    return all(times[number + 1] <= _RARER * times[number] for number in row[:-1])


def _http_class(value: bytes) -> tuple[str, str]:
    digit = value[:1].decode()
    return f"{digit}xx", f"{digit}<num>"


def _as_it_is(value: bytes) -> tuple[str, str]:
    text = value.decode("utf-8", "replace")
    return text, text


# --- their leaves
# -----------------------------------------------------------------------------------

# Place, the value's name, what stands for it in the template.
_Combination = tuple[tuple[int, str, str], ...]


def _combinations(
    matcher: TemplateMatcher, chosen: dict[int, _Facets], texts: Iterable[str]
) -> dict[int, Counter[_Combination]]:
    """How often each template has which combination of facet values."""
    counts: dict[int, Counter[_Combination]] = {log_key: Counter() for log_key in chosen}
    for text in texts:
        message = text.encode()
        log_key = matcher.match(message)
        facets = chosen.get(log_key)
        if facets is None:
            continue
        slots = matcher.slots(log_key, message)
        if slots:
            named = [(place, *name_of(slots[place])) for place, name_of in facets.items()]
            counts[log_key][tuple(named)] += 1
    return counts


def _leaf(row: dict[str, Any], values: _Combination, count: int) -> dict[str, Any]:
    """The row of one combination; `wide` counts the wildcards that are left."""
    template = row["template"]
    filled = {place: text for place, _, text in values}
    pieces = WILDCARD.split(template)[::2]
    wildcards = [found[0] for found in WILDCARD.finditer(template)]
    text = pieces[0]
    wide = []
    left = 0
    for place, wildcard in enumerate(wildcards):
        part = filled.get(place, wildcard)
        if place in row.get("wide", ()) and place not in filled:
            wide.append(left)
        left += WILDCARD.search(part) is not None
        text += part + pieces[place + 1]
    return {
        "template": text,
        "count": count,
        "example": "",
        "wide": wide,
        "of": template,
        "facets": [*row.get("facets", ()), *(name for _, name, _ in values)],
        "plain": row.get("plain", template),
    }


def other_leaves(templates: Sequence[str], seen: Collection[int]) -> dict[int, dict[int, int]]:
    """The plain templates that none of training fell to, each with its leaves that were `seen`, and
    which of its wildcards holds the facet of each.

    >>> other_leaves(["gave <num> in <num> ms", "gave 2<num> in <num> ms", "bye"], {1, 2})
    {0: {1: 0}}
    """
    by_head: dict[str, list[int]] = {}
    for leaf in sorted(seen):
        by_head.setdefault(templates[leaf][:_HEAD], []).append(leaf)
    found: dict[int, dict[int, int]] = {}
    for plain, text in enumerate(templates):
        if plain in seen or not WILDCARD.search(text):
            continue
        pieces = WILDCARD.split(text)[::2]
        for leaf in by_head.get(text[:_HEAD], ()) if len(pieces[0]) >= _HEAD else sorted(seen):
            values = _filled(pieces, templates[leaf])
            if values is not None:
                slots = [
                    slot for slot, value in enumerate(values) if WILDCARD.fullmatch(value) is None
                ]
                if slots:
                    found.setdefault(plain, {})[leaf] = slots[0]
    return found


def _filled(pieces: Sequence[str], text: str) -> list[str] | None:
    """What stands in a text between `pieces`, at least one character each; None where the text is
    not made of them.

    Each piece is looked for as far to the left as it can be, so that nothing is tried twice. A
    regular expression with as many gaps as a template of ThunderBird has takes a second for one
    pair of templates.

    >>> _filled(["gave ", " in ", " ms"], "gave 2<num> in <num> ms")
    ['2<num>', '<num>']
    """
    first, *middle, last = pieces
    if not text.startswith(first) or not text.endswith(last):
        return None
    values = []
    begin = len(first)
    for piece in middle:
        found = text.find(piece, begin + 1)
        if found < 0:
            return None
        values.append(text[begin:found])
        begin = found + len(piece)
    end = len(text) - len(last)
    if end <= begin:
        return None
    return [*values, text[begin:end]]
