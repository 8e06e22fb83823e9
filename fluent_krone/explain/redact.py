"""Masks what must not leave the machine: secrets, tokens, addresses, names of users.

A mask too many costs an explanation some sense; a mask too few costs a secret. So a rule that is in
doubt masks. Every rule takes time that is linear in the text's length: look-behinds fix where it
starts, and repeats are bounded or cannot fail after they matched.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise

from ..errors import ConfigError

# Passes of all rules over a text. Two suffice for almost every text; the limit ends the rare ones
# whose masks reveal further secrets again and again.
_ROUNDS = 5
# Characters of a text that the operator's expressions see, since those may be slow; the rest of the
# text does not leave.
MAX_LENGTH = 2000

_MASKS = "num|ip|id|hex|path|url|str|word|user|email|mac|card|secret|token|redacted"
_MASK = re.compile(rf"(<(?:\*|{_MASKS})>)")
# A value that consists of masks alone: nothing is left to hide.
_MASKED = rf"(?:<(?:\*|{_MASKS})>|[:./@_-]){{1,8}}(?=$|[\s&;,)\]}}\"'])"

_SECRETS = (
    "passw(?:or)?d|passwd|passphrase|passcode|(?!(?-i:PWD=/))pwd|secret|token|api[_-]?key"
    "|(?:access|private|account|auth)[_-]?key"
    "|credentials?|session[_-]?id|jsessionid|signature"
)
_USERS = (
    "user(?:[_-]?name|[_-]?id)?|(?<![a-z/])login|logname|principal|owner|account"
    "|(?<![a-z])(?:[er]?uid|r?user)"
)
# Possessive repeats: what follows is the value, which never begins with white space.
_EQUALS = r"[\\\"']{0,4}+\s{0,4}+[=:]{1,2}+>?+\s{0,4}+"
_SCHEME = r"(?:(?:bearer|basic|digest|token|apikey|negotiate|ntlm)\s{1,4})?+"
# A quoted value ends only at its quote; a bare one ends at white space, `;`, `&`, or a comma that
# ends an item.
_IN = r"|,(?!\s|$|[\w.-]{1,40}[=:])"
_VALUE = (
    rf"(?:(\\{{0,2}}\")(?!{_MASKED})[^\"]+|(\\{{0,2}}')(?!{_MASKED})[^']+"
    rf"|(?!{_MASKED})(?:[^\s&;,\"'\\]{_IN})(?:[^\s&;,]{_IN})*)"
)
_ALONE = "(?<![a-z0-9])"


def _rule(pattern: str, mask: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    expression = re.compile(pattern, re.IGNORECASE)
    return lambda text: expression.sub(mask, text)


def _keyed(key: str, mask: str, *, then: str = "") -> Callable[[str], str]:
    """A rule for a value of any form that stands after its key."""
    return _rule(rf"({key}){_VALUE}{then}", rf"\1\2\3{mask}")


def _if_card(match: re.Match[str]) -> str:
    """Luhn's check: every second digit from the right counts double."""
    digits = [int(character) for character in match[0] if character.isdigit()]
    double = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return match[0] if (sum(digits[-1::-2]) + sum(double)) % 10 else "<card>"


def _if_ip6(match: re.Match[str]) -> str:
    try:
        ipaddress.IPv6Address(match[0])
    except ValueError:  # a time of day, a name in C++
        return match[0]
    return "<ip>" if match[0].strip(":") else match[0]


def _if_random(match: re.Match[str]) -> str:
    """Mask a word that changes between small letters, capitals and digits more than a name does."""
    longest = max(re.split(r"[^A-Za-z0-9]+", match[0]), key=len)
    kinds = ["0" if c.isdigit() else "A" if c.isupper() else "a" for c in longest]
    changes = sum(a != b for a, b in pairwise(kinds))
    random = (
        len(longest) >= 12
        and "0" in kinds
        and len(set(kinds)) > 1
        and changes >= 0.3 * (len(kinds) - 1)
    )
    return "<token>" if random else match[0]


_RULES = (
    _rule(
        r"-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", "<secret>"
    ),
    _rule(rf"(?<=://)(?!{_MASKED})[^\s/?#\"']{{1,256}}@", "<secret>@"),
    _rule(rf"(cookie{_EQUALS}[\"']?+)(?!{_MASKED})[^\"'\r\n]+", r"\1<secret>"),
    _rule(
        rf"(authorization{_EQUALS}[\\\"']{{0,4}}+digest\s{{1,4}}+)(?!{_MASKED})[^\r\n]+",
        r"\1<secret>",
    ),
    _rule(
        rf"(authorization{_EQUALS}[\\\"']{{0,4}}+{_SCHEME})(?!{_MASKED})[^\s\"'\\;,]+",
        r"\1<secret>",
    ),
    _keyed(rf"(?:{_SECRETS})[\w.-]{{0,20}}{_EQUALS}", "<secret>"),
    _keyed(rf"(?<![\w-])--?[\w-]{{0,20}}(?:{_SECRETS})[\w-]{{0,20}}\s{{1,4}}+", "<secret>"),
    _keyed(r"[?&]sig=", "<secret>"),
    # Tokens that can be told by their form
    _rule(r"((?<![a-z])(?:bearer|basic)\s{1,4})[a-z0-9._~+/=-]{8,}", r"\1<token>"),
    _rule(rf"{_ALONE}(?:A[KS]IA|ABIA|ACCA)[A-Z0-9]{{16}}(?![A-Za-z0-9_-])", "<token>"),
    _rule(
        rf"{_ALONE}(?:gh[pousr]_|github_pat_|gl[a-z]{{2,5}}-|xox[a-z]-|xapp-|npm_|pypi-|hf_|ya29\.)[\w.-]{{10,}}",
        "<token>",
    ),
    _rule(
        rf"{_ALONE}(?:sk-|[sprw]k_(?:live|test)_|whsec_|do[opr]_v1_|AIza|SG\.)[\w.-]{{12,}}",
        "<token>",
    ),
    _rule(r"(?<=hooks\.slack\.com/services/)[\w/]+", "<token>"),
    _rule(rf"{_ALONE}eyJ[\w-]{{5,}}\.[\w.-]+", "<token>"),
    # Addresses
    _rule(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z0-9-]{1,63}", "<email>"),
    # root@web1, not org.example.Thing@1b2c3d4e
    _rule(r"(?<![\w.%+@-])[\w.%+-]{1,64}@(?![0-9a-f]{4,8}(?![\w.-]))(?=[\w<\[])", "<user>@"),
    _rule(r"(?<![0-9a-f:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-f:-])", "<mac>"),
    _rule(
        r"(?<![\w:])(?=[0-9a-f]{0,4}:)[0-9a-f:]{2,39}"
        r"(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])",
        _if_ip6,
    ),
    _rule(r"(?<![0-9])(?<![0-9]\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])", "<ip>"),
    _rule(rf"{_ALONE}ip(?:-[0-9]{{1,3}}){{4}}(?![0-9])", "<ip>"),
    # Cards, ids, and what looks drawn by lot
    _rule(
        r"(?<![0-9])(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){2}[ -][0-9]{1,7})(?![0-9])",
        _if_card,
    ),
    _rule(r"(?<![0-9])3[0-9]{3}[ -][0-9]{6}[ -][0-9]{5}(?![0-9])", _if_card),
    _rule(rf"{_ALONE}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![0-9a-z])", "<id>"),
    _rule(rf"{_ALONE}(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{{32,}}(?![0-9a-z])", "<token>"),
    _rule(r"(?<![a-z0-9+/_=-])[a-z0-9+/_=-]{20,}", _if_random),
    # Persons
    _keyed(
        rf"(?:{_USERS}){_EQUALS}(?!(?<=\s)[a-z_]{{1,40}}=)", "<user>"
    ),  # `logname= uid=0` has no name
    _keyed(
        r"(?<![a-z])(?:(?:for|by|from|invalid|as|of|to) user\s{1,4}+|user\s{1,4}+(?=[\"']))",
        "<user>",
    ),
    _keyed(
        r"(?<![a-z])(?:password|publickey) for (?:invalid user )?+(?!user\s)",
        "<user>",
        then=r"(?=\s+from\s)",
    ),
    _rule(
        rf"([/\\]{{1,4}}(?:home|users)[/\\]{{1,4}}+)(?!<(?:\*|{_MASKS})>)[^\s/\\:;,\"')\]]+",
        r"\1<user>",
    ),
)


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
    return "".join(
        " " if c in "\t\n\v\f\r\x85\u2028\u2029" else "" if _unseen(c) else c for c in text
    )


def _redact(text: str) -> str:
    """Apply all rules until none finds more: a mask may reveal what another rule then finds."""
    for _ in range(_ROUNDS):
        before = text
        for rule in _RULES:
            text = rule(text)
        if text == before:
            break
    return text


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
        pieces = _MASK.split(text)  # text, mask, text, mask …
        pieces[::2] = [expression.sub("<redacted>", piece) for piece in pieces[::2]]
        text = "".join(pieces)
    return text
