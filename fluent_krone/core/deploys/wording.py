"""What the words of templates tell of steps: which are alike, and which are one but for a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# Words that two templates must share, beside their wildcards, to be variants of one step.
_ENOUGH_ALIKE = 2
# A key names steps where at least this share of the templates has it, and where at least this share
# of these has a value of its own there.
_NAMES_MOST = 0.5
# Templates from which on that can be said.
_ENOUGH_TEMPLATES = 4
# New templates for which it is remembered whether they have another status.
_REMEMBERED = 4_096
_WILDCARDS = re.compile(r"(?:<[*a-z]+>|\W)+")
_WORD = re.compile(r"<[*a-z]+>|[^\W_]+")
# What may stand behind a word of a sentence.
_PUNCTUATION = ".,:;()|"
# A word such as `event=cart.loaded` or `msg="cart loaded"`: a key and its value.
_KEY_VALUE = re.compile(r"([\w.\-]+)=(.+)")
_QUOTED_VALUE = re.compile(r'([\w.\-]+)="([^"]*)"')
# A key of how a step ended, alone or as the last part of a name.
_STATUS_KEY = re.compile(
    r"(?:.*[._-])?(?:status|state|code|rc|result|outcome|verdict|reply|response|decision)",
    re.IGNORECASE,
)
# A word of a template: a value in quotation marks is one, however many blanks it has, and pairs of
# a key and a value may have other signs than blanks between them, as in `39=<num>|54=<num>|`.
_IN_WORD = r"(?:(?![|;,&][\w.\-]+=)\S)"
_TEMPLATE_WORD = re.compile(rf"""[\w.\-]+="[^"]*"{_IN_WORD}*|{_IN_WORD}+""")
_WILDCARD = re.compile(r"<[*a-z]+>")
# What programs write where they have no value, perhaps with its unit.
_NO_VALUE = re.compile(
    r"[-+]?(?:nan|null|nil|none|undefined|inf(?:inity)?|n/a)(?:ms|[smh%])?", re.IGNORECASE
)


class Wording:
    """Compares texts with the templates of a bundle, in the order of their log keys."""

    def __init__(self, templates: Sequence[str]) -> None:
        self._templates = templates
        # Worked out when it is first asked for: number of words → log keys and templates.
        self._by_length: dict[int, list[tuple[int, str]]] = {}
        self._naming: frozenset[str] | None = None
        # New template → whether it has another status. It is asked for with each event of a new
        # step, and takes as long as there are templates of that length.
        self._statuses: dict[str, bool] = {}

    def siblings(self, log_key: int) -> list[int]:
        """The log keys whose templates differ from this one's in one word at most, itself first.

        Training may have made a template for each currency, where the new one has a wildcard.
        """
        text = self._templates[log_key]
        return [log_key, *(key for key, old in self._as_long(text) if self._is_variant(text, old))]

    def nearest(self, message: str, log_keys: Sequence[int]) -> int:
        """Of log keys whose templates are alike, the one that a message of a new step fits best.

        The words that only some of the templates have decide: `status=2<num>` fits better than
        `status=<num>` where the message has `status=204`, and not at all where it has `status=503`.
        """
        words = words_of(message)
        olds = {log_key: words_of(self._templates[log_key]) for log_key in log_keys}
        common = set.intersection(*map(set, olds.values()))

        def fit(log_key: int) -> tuple[int, float]:
            own = [word for word in olds[log_key] if word not in common]
            alike = shared_words(message, self._templates[log_key])
            return sum(_fit(word, words) for word in own), alike

        return max(log_keys, key=fit)

    def is_variant(self, text: str) -> bool:
        """Whether a new template is an old one but for one word, as one of a new value is."""
        return any(self._is_variant(text, old) for _, old in self._as_long(text))

    def is_other_status(self, text: str) -> bool:
        """Whether a new template has another status where one of training has one.

        That is another value of a key such as `result`, another word behind such a word, as in
        `cart paid, status lapsed`, another word in capitals, as `DENY` in place of `OK`, another
        word behind a colon where training has several, or a word for no value, as `took=NaN`. It
        may stand in a sentence in quotation marks.
        """
        known = self._statuses.get(text)
        if known is None:
            if len(self._statuses) >= _REMEMBERED:
                self._statuses.clear()
            known = self._statuses[text] = self._has_other_status(text)
        return known

    def _has_other_status(self, text: str) -> bool:
        variants = [old for _, old in self._as_long(text) if self._is_variant(text, old)]
        if self._differ_in_status(text, variants):
            return True
        # What a sentence says names the step, so that it is no variant of another one. How the step
        # ended may be a part of it nevertheless.
        sentences = (_sentences(text, old) for _, old in self._as_long(text))
        return any(
            _variant_word(one, other) is not None and self._differ_in_status(one, [other])
            for one, other in filter(None, sentences)
        )

    def _differ_in_status(self, text: str, olds: Sequence[str]) -> bool:
        """Whether a text has another status than texts from which it differs in one word."""
        pairs = [differing_words(text, old) or [] for old in olds]
        words = words_of(text)
        if any(
            (_is_status(word) and _is_status(old))
            or _stands_behind_status(words, word)
            or (_is_wildcard(old) and _NO_VALUE.fullmatch(_value_of(word)))
            for [(word, old)] in pairs
        ):
            return True
        if len({old for [(word, old)] in pairs if _stands_behind_colon(words, word)}) > 1:
            return True
        # Where all words are in capitals, they tell nothing.
        is_told_by_capitals = not _WILDCARDS.sub("", text).isupper()
        return is_told_by_capitals and any(
            # Several new codes in one place are a wildcard by now, and so may the old ones be.
            (_is_code(old) and (_is_code(word) or _WILDCARDS.fullmatch(word)))
            or (_is_code(word) and _is_wildcard(old))
            for [(word, old)] in pairs
        )

    def says_otherwise(self, text: str) -> int | None:
        """The log key of the template that a new one is but for one word of its sentence.

        None where there is none, or where that word may be a value: it is no plain word, or
        training has several words in that place.
        """
        olds = [(key, old) for key, old in self._as_long(text) if self._is_variant(text, old)]
        if len(olds) != 1:
            return None
        [(log_key, old)] = olds
        differing = differing_words(text, old) or []
        if all(word.strip(_PUNCTUATION).isalpha() for pair in differing for word in pair):
            return log_key
        return None

    def _is_variant(self, text: str, old: str) -> bool:
        """Whether two templates are one but for one word, which does not name the step."""
        word = _variant_word(text, old)
        if word is None:
            return False
        key = _KEY_VALUE.fullmatch(word)
        return key is None or key[1] not in self._naming_keys()

    def _naming_keys(self) -> frozenset[str]:
        """The keys whose value names the step, as `event` does in `event=cart.loaded items=<num>`.

        >>> lines = [f"event={name} service=shop items=<num>" for name in ("a", "b", "c", "d")]
        >>> sorted(Wording(lines)._naming_keys())
        ['event']
        """
        if self._naming is None:
            values: dict[str, Counter[str]] = {}
            for text in self._templates:
                pairs = map(_KEY_VALUE.fullmatch, words_of(text))
                for key, value in {pair.groups() for pair in pairs if pair is not None}:
                    values.setdefault(key, Counter())[value] += 1
            self._naming = frozenset(
                key
                for key, counts in values.items()
                if counts.total() >= max(_ENOUGH_TEMPLATES, _NAMES_MOST * len(self._templates))
                and len(counts) >= _NAMES_MOST * counts.total()
            )
        return self._naming

    def _as_long(self, text: str) -> Sequence[tuple[int, str]]:
        """The templates that have as many words as a text, with their log keys."""
        if not self._by_length:
            for log_key, old in enumerate(self._templates):
                self._by_length.setdefault(len(words_of(old)), []).append((log_key, old))
        return self._by_length.get(len(words_of(text)), ())


def words_of(template: str) -> list[str]:
    """The words of a template; `key="some value"` is one word.

    >>> words_of('msg="cart loaded" items=<num>')
    ['msg="cart loaded"', 'items=<num>']
    >>> words_of("order 39=<num>|54=<num>|")
    ['order', '39=<num>', '54=<num>|']
    """
    return _TEMPLATE_WORD.findall(template)


def differing_words(one: str, other: str) -> list[tuple[str, str]] | None:
    """The words in which two templates differ, in pairs; None where one has more words.

    A wildcard of a new template takes whatever stood there so far, so that its sort tells nothing.

    >>> differing_words("paid <num> EUR to ledger", "paid <num> USD to ledger")
    [('EUR', 'USD')]
    """
    words = words_of(one)
    others = words_of(other)
    if len(words) != len(others):
        return None
    pairs = zip(words, others, strict=True)
    return [
        pair for pair in pairs if _WILDCARD.sub("<*>", pair[0]) != _WILDCARD.sub("<*>", pair[1])
    ]


def _fit(word: str, words: Iterable[str]) -> int:
    """The number of characters that a word of a template asks for; 0 where none of the words of a
    message has them.

    >>> [_fit("status=2<num>", [word]) for word in ("status=204", "status=503")]
    [8, 0]
    """
    literals = _WILDCARD.split(word)
    if any(_is_of(literals, other) for other in words):
        return sum(map(len, literals))
    return 0


def _is_of(literals: Sequence[str], word: str) -> bool:
    """Whether a word has these texts in their order, the first and the last one at its ends.

    >>> _is_of(["status=2", ""], "status=204"), _is_of(["ab", "b"], "ab")
    (True, False)
    """
    if len(literals) == 1:
        return word == literals[0]
    first, *inner, last = literals
    end = len(word) - len(last)
    at = len(first)
    if not word.startswith(first) or not word.endswith(last) or at > end:
        return False
    for literal in inner:
        found = word.find(literal, at, end)
        if found < 0:
            return False
        at = found + len(literal)
    return True


def _only_difference(one: str, other: str) -> tuple[str, str] | None:
    """The pair of words in which alone two templates differ; None where there is no such pair."""
    differing = differing_words(one, other)
    if differing is None or len(differing) != 1:
        return None
    return differing[0]


def _variant_word(text: str, old: str) -> str | None:
    """The word in which alone a template differs from one that has several other words in common
    with it; None where it does not.
    """
    differing = _only_difference(text, old)
    if differing is None:
        return None
    word, _ = differing
    literal = [one for one in words_of(text) if not _WILDCARDS.fullmatch(one)]
    if len(literal) - (word in literal) < _ENOUGH_ALIKE:
        return None
    return word


def _sentences(text: str, old: str) -> tuple[str, str] | None:
    """The sentences in quotation marks, behind the same key, in which alone two templates differ.

    >>> _sentences('code=<num> msg="cart is open"', 'code=<num> msg="cart is full"')
    ('cart is open', 'cart is full')
    """
    differing = _only_difference(text, old)
    if differing is None:
        return None
    one, other = map(_QUOTED_VALUE.fullmatch, differing)
    if one is None or other is None or one[1] != other[1]:
        return None
    return one[2], other[2]


def _is_status(word: str) -> bool:
    """Whether a word such as `result=refused` has a key that says how a step ended."""
    pair = _KEY_VALUE.fullmatch(word)
    return pair is not None and _STATUS_KEY.fullmatch(pair[1]) is not None


def _stands_behind_colon(words: Sequence[str], word: str) -> bool:
    """Whether a word is what a sentence says of something: `unknown` in `Address checked: unknown`.

    The first word of a message may be a component, and what stands behind it the verb.
    """
    at = words.index(word)
    return at > 1 and words[at - 1].endswith(":")


def _stands_behind_status(words: Sequence[str], word: str) -> bool:
    """Whether a word stands behind one that says how a step ended: `order 7 paid, status lapsed`.

    In `order status saved`, it is the verb.
    """
    at = words.index(word)
    if at < 2 or _STATUS_KEY.fullmatch(words[at - 1].strip("(:")) is None:
        return False
    return words[at - 1][-1] == ":" or words[at - 1][0] == "(" or words[at - 2][-1] in _PUNCTUATION


def _is_code(word: str) -> bool:
    """Whether a word, or the value of `key=value`, is written in capitals."""
    return _value_of(word).isupper()


def _is_wildcard(word: str) -> bool:
    """Whether any value stands in a word's place, or behind its key."""
    return _WILDCARD.fullmatch(_value_of(word)) is not None


def _value_of(word: str) -> str:
    """A word, or the value of `key=value`, without the punctuation around it."""
    return word.rpartition("=")[2].strip(_PUNCTUATION)


def shared_words(one: str, other: str) -> float:
    """The share of words that two templates have in common, 0 to 1.

    >>> shared_words("cart of user <num> loaded", "loaded cart of user <num>")
    1.0
    """
    first = Counter(word.lower() for word in _WORD.findall(one))
    second = Counter(word.lower() for word in _WORD.findall(other))
    total = first.total() + second.total()
    if not total:
        return 0.0
    return 2 * (first & second).total() / total
