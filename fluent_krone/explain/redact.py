"""Masks what must not leave the machine: secrets, tokens, addresses, names of users.

A mask too many costs an explanation some sense; a mask too few costs a secret. So a rule that is in
doubt masks. What no pattern can know stays: names of persons, customers, projects and hosts.
"""

from __future__ import annotations

import bisect
import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

from ..errors import ConfigError
from .rules import MASK, RULES, Choice, Folded

# Passes of all rules over a text. Two suffice for almost every text; the limit ends the rare ones
# whose masks reveal further secrets again and again.
_ROUNDS = 5
# Characters of a text that the operator's expressions see, since those may be slow; the rest of the
# text does not leave.
MAX_LENGTH = 2000
# Texts for which it is remembered which rules can match them, up to some kilobytes each.
_SHAPES_KEPT = 1_000
# Every digit as "0".
_ZEROED = bytes.maketrans(b"123456789", b"000000000")
_BEYOND_PRINT = re.compile("[^ -~]")
# Characters that end a line or a word without being a blank.
_BLANKS = "\t\n\v\f\r\x85\u2028\u2029"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# The sign of our own cuts. It would become three dots.
_KEPT = "…"


def redactor(extra: Sequence[str] = ()) -> Callable[[str], str]:
    """A function that masks what must not leave. Masking a masked text changes nothing.

    `extra` are the operator's own expressions, each as `/regex/`; what they match becomes
    `<redacted>`. They may be slow, so they see only MAX_LENGTH characters of a text, and the rest
    is left out. Raises ConfigError for an expression that is broken or that matches empty text.

    >>> redactor()("login failed for user bob from 10.0.0.7, password=hunter2")
    'login failed for user <user> from <ip>, password=<secret>'
    >>> redactor(["/order [0-9]+/"])("lost order 17 of <num>")
    'lost <redacted> of <num>'
    """
    expressions = [_expression(item) for item in extra]

    if not expressions:
        return _redact
    return lambda text: _redact(_also(expressions, _redact(text)[:MAX_LENGTH]))


def plain(text: str) -> str:
    """The text on one line, without characters that cannot be seen.

    Control, bidirectional, zero-width and private characters would hide words from a reader, or
    split a secret so that no rule finds it.
    """
    if text.isascii() and text.isprintable():
        return text
    return _BEYOND_PRINT.sub(_plainly, text)


def _plainly(found: re.Match[str]) -> str:
    character = found[0]
    if character in _BLANKS:
        return " "
    if _unseen(character):
        return ""
    return character


def _redact(text: str) -> str:
    """Apply all rules until none finds more: a mask may reveal what another rule then finds."""
    text = _in_ascii(text)
    numbers = _rules_for(text)
    # The rule that changed the text last, and its round. When that rule has seen the text again,
    # all have seen it.
    last = -1
    last_round = -1
    for rounds in range(_ROUNDS):
        place = 0
        while place < len(numbers):
            number = numbers[place]
            place += 1
            if last_round >= 0 and last_round < rounds and number > last:
                return text
            masked = RULES[number](text)
            if masked != text:
                text = masked
                last = number
                last_round = rounds
                numbers = _rules_for(text)
                place = bisect.bisect_right(numbers, number)
        if last_round < rounds:
            break
    return text


def _rules_for(text: str) -> list[int]:
    """The numbers of the rules that can match a text."""
    return _may_match(text.encode("utf-8", "surrogatepass").translate(_ZEROED))


# Alerts of one kind differ in numbers and ids, mostly, and which rules can match does not depend on
# which digits a text has.
@functools.lru_cache(_SHAPES_KEPT)
def _may_match(shape: bytes) -> list[int]:
    """The numbers of the rules that can match a text, whose digits are all "0" here."""
    return _choice().of(Folded(shape.decode("utf-8", "surrogatepass")))


@functools.cache
def _choice() -> Choice:
    """Which rules can match a text; made at the first text, since many programs redact none."""
    return Choice(rule.needs for rule in RULES)


def _in_ascii(text: str) -> str:
    """The text with full-width and other decorated letters as plain ones, which rules find."""
    if text.isascii():
        return text
    return _BEYOND_ASCII.sub(_plain_letter, text)


def _plain_letter(found: re.Match[str]) -> str:
    character = found[0]
    if character == _KEPT:
        return character
    normal = unicodedata.normalize("NFKC", character)
    if normal.isascii() and normal.isprintable():
        return normal
    return character


def _unseen(character: str) -> bool:
    selects = (
        "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    )  # a glyph's variant
    return (
        selects
        or character in "\u034f\u115f\u1160\u3164\uffa0"
        or unicodedata.category(character)[0] == "C"
    )


def _expression(item: str) -> re.Pattern[str]:
    if not (len(item) > 2 and item.startswith("/") and item.endswith("/")):
        raise ConfigError(f"explain_redact takes /regex/es, got {item!r}")
    try:
        expression = re.compile(item[1:-1].replace(r"\/", "/"))
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"explain_redact: {item} is not a regular expression: {error}") from None
    if expression.match(""):
        raise ConfigError(
            f"explain_redact: {item} matches empty text: it would mask every gap between characters"
        )
    return expression


def _also(expressions: Sequence[re.Pattern[str]], text: str) -> str:
    """Mask what the expressions match, but not inside masks, whose names they may match too."""
    for expression in expressions:
        pieces = MASK.split(text)  # text, mask, text, mask …
        pieces[::2] = [expression.sub("<redacted>", piece) for piece in pieces[::2]]
        text = "".join(pieces)
    return text
