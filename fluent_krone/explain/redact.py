"""Masks what must not leave the machine: secrets, tokens, addresses, names of users.

A mask too many costs an explanation some sense; a mask too few costs a secret. So a rule that is in
doubt masks. What no pattern can know stays: names of persons, customers, projects and hosts.
"""

from __future__ import annotations

import functools
import itertools
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
    choice = _choice()
    may_match = choice.of(Folded(text))
    # Rules in a row that have seen this very text and found nothing.
    idle = 0
    for number, rule in itertools.chain.from_iterable(
        itertools.repeat([*enumerate(RULES)], _ROUNDS)
    ):
        idle += 1
        if may_match[number]:
            masked = rule(text)
            if masked != text:
                text = masked
                may_match = choice.of(Folded(text))
                idle = 0
        if idle == len(RULES):
            break
    return text


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
