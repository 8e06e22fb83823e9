"""Words that look random. Most unknown kinds of secrets look like that."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from .base import ALONE, Rule

# The least share of neighbouring characters that change their kind (small letter, capital, digit)
# in a random word. In names and paths it is below; of the words that `head -c 15 /dev/urandom
# | base64` gives, 97 of 100 are above.
_MANY_CHANGES = 0.3
_MOST_CHANGES = 0.5
# Parts of names: a capital with small letters, or small letters. A text that consists of them, in
# this share of its characters, is no random word.
_WORDS = re.compile("[A-Z][a-z]{3,}|[a-z]{4,}")
_MOSTLY = 0.7
# Signs that people put into passwords, and that names and paths do not have.
_SIGNS = "!@#$%^&*?~+"
# Characters from which a word of two kinds is judged, and from which one of all three kinds is.
_LONG = 20
_SHORT = 12
# Of a word with signs in it, this many of its characters are capitals, small letters and digits
# each.
_MIXED = 2
# The share of neighbouring characters that differ in kind in such a word.
_TURNS = 0.6
# Characters before a word in which we look for what announces it.
_LOOK_BACK = 40
# Hashes of what is public (a commit, an image, a file), and identifiers that only number something.
# A hash that is not announced like this may be that of a password, and an identifier a token.
_PUBLIC = re.compile(
    r"(?<![a-z])(?:(?:commit|revision|rev|head|md5sum|e-?tag|checksum|merge|parent|container|image|layer"
    r"|manifest)(?:[ _-](?:id|hash|is now at|at|sha))?[\s:=\"'@(]{1,4}(?:sha256:)?[0-9a-f]{7,64}"
    r"|sha(?:1|256|512):[0-9a-f]{40,128}"
    r"|(?:request|trace|span|correlation|transaction|order|job|task|event|message|run|build|batch)"
    r"[_-]?id[\"']?[\s:=]{1,3}[\"']?[0-9a-f]{8}[0-9a-f-]{8,28})$",
    re.IGNORECASE,
)
# An address in memory, but no number of a session.
_ADDRESS = re.compile(r"(?<!session )(?<!session=)(?<!session:)0x[0-9a-f]{1,16}", re.IGNORECASE)
# A product and its version, as browsers name themselves: AppleWebKit/537.
_PRODUCT = re.compile("[A-Za-z]{2,30}/[0-9A-Z]{1,6}")


def _kinds(word: str) -> list[str]:
    kinds = []
    for character in word:
        if character.isdigit():
            kinds.append("0")
        elif character.isupper():
            kinds.append("A")
        elif character.isalpha():
            kinds.append("a")
        else:
            kinds.append("!")
    return kinds


def _changes(kinds: list[str]) -> float:
    """The share of neighbours that differ."""
    return sum(one != other for one, other in pairwise(kinds)) / max(len(kinds) - 1, 1)


def _is_named(word: str) -> bool:
    """Whether a word consists of words, as names in code do: `DataXceiverServer2Runner`."""
    covered = sum(len(part) for part in _WORDS.findall(word))
    return covered >= _MOSTLY * len(word)


def _is_announced(match: re.Match[str]) -> bool:
    """Whether a word is said to be the hash of something public, or to number something."""
    start = match.start()
    said = match.string[max(start - _LOOK_BACK, 0) : match.end()]
    return _PUBLIC.search(said) is not None


def _is_harmless(match: re.Match[str]) -> bool:
    if _ADDRESS.fullmatch(match.string, *match.span()) or _PRODUCT.fullmatch(match[0]):
        return True
    return _is_announced(match)


def _unless_announced(mask: str) -> Callable[[re.Match[str]], str]:
    def masked(match: re.Match[str]) -> str:
        if _is_announced(match):
            return match[0]
        return mask

    return masked


def _if_random(match: re.Match[str]) -> str:
    """Mask a word that changes between small letters, capitals and digits more than a name does."""
    parts = re.split(r"[^A-Za-z0-9]+", match[0])
    judged = [max(parts, key=len)]
    if not re.search(r"[_-]|=(?=[^=])", match[0]):
        # Base64 has `+` and `/` within one word.
        judged.append("".join(parts))
    for part in judged:
        kinds = _kinds(part)
        distinct = set(kinds)
        if len(part) < _SHORT or len(distinct) < 2 or _is_named(part):
            continue
        least = _MOST_CHANGES
        if "0" in distinct and (len(part) >= _LONG or len(distinct) == 3):
            least = _MANY_CHANGES
        if _changes(kinds) >= least and not _is_harmless(match):
            return "<token>"
    if _is_mixed(match[0]) and not _is_harmless(match):
        return "<token>"
    return match[0]


def _is_mixed(word: str) -> bool:
    """Whether capitals, small letters, digits and signs take turns: `9XzR+tPq-LmN4vB7`."""
    kinds = _kinds(word)
    few = min(kinds.count(kind) for kind in "Aa0")
    return len(word) >= _SHORT and few >= _MIXED and _changes(kinds) >= _TURNS


def _if_password(match: re.Match[str]) -> str:
    """Mask a word of letters, digits and signs that change as often as in a made-up password."""
    word = match[0]
    kinds = _kinds(word)
    signs = sum(character in _SIGNS for character in word)
    if signs < 2 or "0" not in kinds or not {"a", "A"} & set(kinds):
        return word
    if _changes(kinds) < _MOST_CHANGES:
        return word
    return "<secret>"


def _if_seed(match: re.Match[str]) -> str:
    """Mask base32 that holds a digit; without one it may be a word in capitals."""
    if any(character.isdigit() for character in match[0]):
        return "<secret>"
    return match[0]


RANDOM_WORDS: tuple[Rule, ...] = (
    Rule(
        rf"{ALONE}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![0-9a-z])",
        _unless_announced("<id>"),
    ),
    Rule(
        rf"{ALONE}(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{{32,}}(?![0-9a-z])",
        _unless_announced("<token>"),
    ),
    Rule(r"(?-i:(?<![\w-])[A-Z2-7]{16,64}={0,6}(?![\w-]))", _if_seed),
    Rule(r"(?-i:(?<![\w-])[A-Z2-7]{4}(?:[ -][A-Z2-7]{4}){3,15}(?![\w-]))", _if_seed),
    Rule(r"(?<![a-z0-9+/_=-])[a-z0-9+/_=-]{12,}", _if_random),
    Rule(r"(?<!\S)(?=[^\s<>]{10,64}(?!\S))[\w!@#$%^&*?~+-]+(?!\S)", _if_password),
)
