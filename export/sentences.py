"""Read one log sentence as an operator would: which entity it is about, which action, which status.

Word lists (`words.py`) and the order of the words decide; no model is asked. A sentence is read
in four steps:

1. Labels in front (`sshd[<*>]: `, `[HSM] `) are taken off. The first that is not a level names
   the entity. Among pairs, `msg="…"` is the sentence; without it, a pair such as `step=debit`
   names the action, and one such as `service=bank` the entity.
2. The rest becomes tokens. Each token may stand for a verb, may be part of a name, or neither.
3. The strongest verb is the action: `failed to open` opens, `starting to transfer` transfers.
4. Without a label, the entity is the phrase before the first verb, else what stands behind the
   action.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fluent_krone.reading.templates import WILDCARD

from . import words

NONE = "none"
# A phrase of more words than this is a clause, not a name.
_PHRASE_WORDS = 3
# A method's name stands at the front of the line, if at all; this many characters are searched.
_METHOD_WITHIN = 80

_STATUS = tuple(
    (name, re.compile(rf"(?<![\w-])(?:{rule})(?![\w-])", re.IGNORECASE))
    for name, rule in words.STATUS_RULES
)
_WORD = re.compile(r"[A-Za-z][\w$'-]*(?:(?:[./]|::)[A-Za-z_][\w$-]*)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# `sshd(pam_unix)[<*>]: `, `kernel: `
_LABEL = re.compile(r"\s*([A-Za-z_/][\w./$-]*)(?:\([^()]*\))?(?:\[[^\[\]]*\])?:(?= |\Z)\s*")
# `[HSM] `, `[INFO]: `, `[a.c:<*>]: `
_TAG = re.compile(r"\s*\[(?:([A-Za-z_][\w.$-]*)|[^\[\]]*)\]:?(?: |\Z)\s*")
# `NameSystem.addStoredBlock: `, `Monitor::serve()`
_METHOD = re.compile(r"([A-Z]\w*)(?:\.|::)([a-z]\w*)(?:\(\)|: )")
_TOKEN = re.compile(rf"([A-Za-z]*)(?:[_-]?(?:{WILDCARD.pattern})[\w-]*)+|{_WORD.pattern}")
# The request line of an access log, or a request in a message: the route is what it is about, the
# method what is done to it.
_REQUEST = re.compile(r"(?<![^\s\"])(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[^\s?\"]*)")
# A pair of logfmt, and the pair that is the sentence: `msg="request received" code=<num>`.
_PAIR = re.compile(r"(?<!\S)([\w.@$-]+)=(\"[^\"]*\"|\S*)(?!\S)")
_SAID = re.compile(r"(?<!\S)(?i:msg|message|event|text)=\"([^\"]*[A-Za-z]{2}[^\"]*)\"(?!\S)")
# Without a sentence, the pair that names what happened, and the one that names who did it.
_FEWEST_PAIRS = 2
_HAPPENED = re.compile(
    r"(?:event|action|activity|step|stage|phase|task|operation|op|command)(?:[._-]?(?:name|type))?",
    re.IGNORECASE,
)
_ELSE_HAPPENED = re.compile(r"method|msg", re.IGNORECASE)
_WHO = re.compile(r"component|module|service|logger|app(?:lication)?|unit", re.IGNORECASE)
# What follows an exception's name is its own message, not what the line says.
_CAUSE = re.compile(r"[\w.$]*[\w$](?:Exception|Error)\b")
_TIMED_OUT = re.compile(r"tim(?:e|ed|es|ing)[ -]?out", re.IGNORECASE)
_LETTERS = re.compile(r"[A-Za-z]{2}")
# A value of a pair that is a name: up to three words without a wildcard.
_A_NAME = re.compile(r"[A-Za-z]{2}[\w./:-]*(?: [\w./:-]+){0,2}")
# Stems that lost a silent `e` before their ending: `creat|ed`, `believ|ing`.
# After two vowels and after `e` none is lost (`repeat|ed`, `enter|ed`), except in `requir|ed`,
# `initiat|ed`, `creat|ed` and `adher|ed`.
_LOST_E = re.compile(
    r"(?:(?:(?<![aeiou])|(?<=qu))[aiou][rt]|(?:[iu]|cre|ine|rme)at|(?:[do]h|rf)er"
    r"|[cvuz]|[^n]g|[bdgkpt]l|s)$"
)
_ENDINGS = ("ing", "ied", "ies", "ed", "es", "s")
_NEW_CLAUSE = (": ", ". ", "; ", "* ")


def read_sentence(text: str, id_names: dict[str, str]) -> tuple[str, str]:
    """Entity and action.

    `id_names` says what ids are called (`blk` → `block`). Either may be empty.
    """
    if request := _REQUEST.search(text):
        return request[2], request[1].lower()
    if method := _METHOD.search(text[:_METHOD_WITHIN]):
        parts = _PARTS.findall(method[2])
        return method[1], lemma(parts[0]) or method[2]
    label, rest = _take_labels(text)
    if _is_of_pairs(rest):
        if sentence := _SAID.search(rest):
            rest = sentence[1]
        else:
            names = _names_in_pairs(rest)
            label = label or _named(_WHO, names)
            if action := _named(_HAPPENED, names) or _named(_ELSE_HAPPENED, names):
                return label, action.lower()
    said = _CAUSE.split(rest, maxsplit=1)[0]
    if not _LETTERS.search(said):
        said = rest
    return _of_words(label, _tokens(_TIMED_OUT.sub("timeout", said), id_names))


def _of_words(label: str, tokens: Sequence[_Token]) -> tuple[str, str]:
    """Entity and action of a sentence; the entity is its label, where it has one."""
    verbs = [i for i, token in enumerate(tokens) if token.verb is not None]
    if not verbs:
        return label or _subject(tokens), NONE
    at = _action_at(tokens, verbs)
    entity = (
        label
        or _subject(tokens[: verbs[0]])
        or _inner_noun(tokens[at].text)
        or _phrase(tokens[at + 1 :])
        or _phrase(tokens[verbs[0] : at])
    )
    return entity, tokens[at].verb or NONE


def _is_of_pairs(text: str) -> bool:
    """Whether a text has no words of its own beside its pairs.

    >>> _is_of_pairs('msg="connection refused" code=<num>')
    True
    >>> _is_of_pairs('failed to connect to <ip> msg="connection refused"')
    False
    """
    return _LETTERS.search(WILDCARD.sub("", _PAIR.sub("", text))) is None


def _names_in_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of a line that have a name for their value; none where the line is a single pair.

    >>> _names_in_pairs("sev=INFO saga=<id> step=open, amount=<num>")
    [('sev', 'INFO'), ('step', 'open')]
    """
    pairs = [(found[1], found[2].strip('",;')) for found in _PAIR.finditer(text)]
    if len(pairs) < _FEWEST_PAIRS:
        return []
    return [(name, value) for name, value in pairs if _A_NAME.fullmatch(value)]


def _named(what: re.Pattern[str], pairs: Sequence[tuple[str, str]]) -> str:
    """The value of the first pair with such a name; empty where there is none."""
    return next((value for name, value in pairs if what.fullmatch(name)), "")


def read_status(text: str) -> str:
    """How it went, by the gravest word of the text; `none` where no word says."""
    for name, rule in _STATUS:
        found = rule.search(text)
        if found and name == "not":
            return f"not {found[1].lower()}"
        if found:
            return name
    return NONE


def lemma(word: str) -> str | None:
    """The verb that `word` is a form of, or None: received, receiving, receives → receive.

    >>> [lemma(w) for w in ("Receiving", "stopped", "denied", "was", "block", "sending", "packet")]
    ['receive', 'stop', 'deny', None, 'block', 'send', None]
    """
    word = word.lower()
    if word in words.AUXILIARY or word in words.STOP or word in words.NOT_VERBS:
        return None
    if word in words.IRREGULAR:
        return words.IRREGULAR[word]
    if _is_verb(word):
        return word
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 2:
            known = next(filter(_is_verb, _without_ending(stem, ending)), None)
            if known:
                return known
            if ending in ("ing", "ed") and len(stem) >= 4 and word.isalpha():
                return _guess(stem)
    return words.NOMINAL.get(word)


def _is_verb(word: str) -> bool:
    return word in words.VERBS or word in words.WEAK


def _without_ending(stem: str, ending: str) -> list[str]:
    """The verbs that a form may come from: `deni|ed` from deny, `stopp|ed` from stop."""
    if ending in ("ied", "ies"):
        return [stem + "y"]
    found = [stem + "e", stem]
    if stem[-1] == stem[-2]:
        found.append(stem[:-1])
    return found


def _guess(stem: str) -> str:
    """A verb that no list holds: a doubled consonant is undone, or the silent e given back."""
    if stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    if _LOST_E.search(stem):
        return stem + "e"
    return stem


@dataclass(slots=True)
class _Token:
    text: str
    # The verb that the token may stand for.
    verb: str | None
    # Whether the token may be part of a name.
    noun: bool
    # What an id is called: `block` for `blk_<*>`; empty for any other token.
    id_of: str
    # Whether a wildcard or punctuation follows, so that a phrase ends here.
    ends: bool
    # Whether it is the name of a pair, as in `trace=<id>`: that says what a value is.
    names_value: bool = False


def _take_labels(text: str) -> tuple[str, str]:
    """The first label in front that is no level, and the text behind all labels."""
    label = ""
    rest = text
    while found := _LABEL.match(rest) or _TAG.match(rest):
        name = (found[1] or "").rsplit("/", 1)[-1]
        if not label and name.lower() not in words.SEVERITY:
            label = name
        rest = rest[found.end() :]
    return label, rest


def _tokens(text: str, id_names: dict[str, str]) -> list[_Token]:
    tokens: list[_Token] = []
    # Whether a clause begins here: there a verb stands in its base form (`open file …`).
    clause = True
    for found in _TOKEN.finditer(text):
        is_value = WILDCARD.search(found[0]) is not None
        before = tokens[-1].text.lower() if tokens else ""
        token = _token(found[0], is_value, clause or before in words.BEFORE_BASE)
        if is_value:
            prefix = (found[1] or "").lower()
            token.id_of = id_names.get(prefix, prefix)
        behind = text[found.end() : found.end() + 1]
        token.ends = behind not in ("", " ", "*")
        token.names_value = behind == "="
        if token.names_value:
            token.verb = None
        tokens.append(token)
        goes_on = clause and is_value and not token.id_of
        clause = goes_on or text[found.end() : found.end() + 2] in _NEW_CLAUSE
    for i, token in enumerate(tokens):
        if _is_subject(tokens[i : i + 3]):
            token.verb = None
    return tokens


def _token(word: str, is_value: bool, base_form: bool) -> _Token:
    lower = word.lower()
    is_status = read_status(word) != NONE and not lower.endswith("ing")
    if is_value or is_status:
        return _Token(word, None, noun=False, id_of="", ends=False)
    verb = _verb(word, base_form)
    is_small = lower in words.STOP or lower in words.AUXILIARY
    return _Token(word, verb, not is_small and verb not in words.WEAK, "", ends=False)


def _verb(word: str, base_form: bool) -> str | None:
    """The verb in a word.

    `receiving`, `receiveBlock`; a bare `block` only where a clause begins.
    """
    parts = _PARTS.findall(word)
    lower = word.lower()
    if len(parts) > 1 and word[0].islower() and "-" not in word:
        first = parts[0].lower()
        return first if first in words.VERBS else None
    if len(word) > 1 and word.isupper():
        return None
    found = lemma(word)
    is_form = (
        lower.endswith(("ing", "ed"))
        or lower in words.NOMINAL
        or (lower in words.IRREGULAR and lower != "read")
    )
    if is_form or (base_form and found == lower):
        return found
    return None


def _is_subject(tokens: Sequence[_Token]) -> bool:
    """Whether a word is not what is done but what it is done to: the first of `request received`.

    In `load cached file` it is what is done, and the next word belongs to the one behind it; and in
    `stop requested` it is what is to be done.
    """
    word, done, *behind = (*tokens, None)
    if word is None or done is None or word.ends or word.verb != word.text.lower():
        return False
    lower = done.text.lower()
    if done.verb is None or not (lower.endswith("ed") or lower in words.IRREGULAR):
        return False
    if done.verb in words.DELEGATING:
        return False
    return done.ends or behind[0] is None or behind[0].text.lower() in words.PREPOSITIONS


def _subject(tokens: Sequence[_Token]) -> str:
    """The first phrase that is no name of a pair, or else such a name, as of `job=<id> sent`."""
    said = [token for token in tokens if not token.names_value]
    return _phrase(said) or _phrase(tokens)


def _phrase(tokens: Sequence[_Token]) -> str:
    """The first noun phrase: a few words, up to a wildcard, a small word or a verb."""
    phrase: list[str] = []
    for token in tokens:
        if token.id_of and not phrase:
            return token.id_of
        if token.noun and (token.verb is None or token.verb == token.text.lower()):
            phrase.append(token.text)
        elif phrase:
            break
        if phrase and (token.ends or len(phrase) == _PHRASE_WORDS):
            break
    return " ".join(phrase)


def _inner_noun(word: str) -> str:
    """What a verb in camel case acts on: `receiveBlock` → `block`."""
    return " ".join(_PARTS.findall(word)[1:]).lower()


def _action_at(tokens: Sequence[_Token], verbs: Sequence[int]) -> int:
    """The place of the word that names the action; any verb says more than `try`."""
    strong = [i for i in verbs if tokens[i].verb not in words.WEAK] or verbs
    for i in strong[1:]:
        if tokens[strong[0]].verb in words.CONTROL and tokens[i - 1].text.lower() == "to":
            return i
    return next((i for i in strong if tokens[i].text.lower() not in words.NOMINAL), strong[0])
