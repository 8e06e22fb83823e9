"""What rules are made of: masks, keys that announce a secret, and the values after them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Rule = Callable[[str], str]
Mask = str | Callable[[re.Match[str]], str]

_NAMES = "num|ip|id|hex|path|url|str|word|user|email|mac|card|phone|iban|secret|token|redacted"
MASK = re.compile(rf"(<(?:\*|{_NAMES})>)")
# A value that consists of masks alone: nothing is left to hide.
MASKED = rf"(?:<(?:\*|{_NAMES})>|[:./@_-]){{1,8}}(?=$|[\s&;,)\]}}\"'])"
# One mask.
IS_MASK = rf"<(?:\*|{_NAMES})>"
# The beginning and the end of a word of letters and digits.
ALONE = "(?<![a-z0-9])"
ENDS = "(?![a-z0-9])"

# Wherever they stand in a name, these make its value a secret: `DB_PASSWORD`, `clientSecret2`.
SECRET_KEYS = (
    "passw(?:or)?d|passwd|passwort|kennwort|passphrase|passcode|(?!(?-i:PWD=/))pwd|secret|token"
    "|(?:api|access|private|account|auth|encryption|signing|sign|master|shared|session|storage"
    "|license|licence|deploy|service|admin|client|consumer|subscription|webhook|ssh|hmac|aes|jwt"
    "|stripe|pre-?shared|subscription|write|host|app|application|product|activation|recovery"
    "|wallet)[ _-]?keys?"
    "|credentials?|sess(?:ion)?[_-]?id|sessid|signature|mnemonic|security[ _-]answer|csrf|xsrf"
)
# Parts of which every one of these keys holds at least one.
SECRET_HINTS: tuple[str, ...] = (
    "pass",
    "pwd",
    "kennwort",
    "secret",
    "token",
    "key",
    "credential",
    "sess",
    "signature",
    "mnemonic",
    "answer",
    "csrf",
    "xsrf",
)
# These do so only as a whole word of a name: `DB_PASS`, `pin`, `userPin`, but not `passed`.
SHORT_KEYS = (
    "pass|pw|pin|otp|totp|hotp|sid|psk|cvv2?|cvc2?|csc|ssn|community|nonce|seed|sig|pat|tan|puk"
    "|2fa|mfa|salt"
)
# A quotation mark, also as HTML and URLs write it.
QUOTE = r"(?:[\\\"'`]|&quot;|&#34;|&#39;|%22|%27)"
# Possessive repeats: what follows is the value, which never begins with white space.
EQUALS = rf"{QUOTE}{{0,4}}+\s{{0,4}}+(?:[=:]{{1,2}}+>?+|%3[ad])\s{{0,4}}+"
# A quoted value ends only at its quote; a bare one ends at white space, `;`, `&`, `<`, or a comma
# that ends an item.
_IN = r"|,(?!\s|$|[\w.-]{1,40}[=:])"
_VALUE = (
    rf"(?:(\\{{0,2}}\")(?!{MASKED})[^\"]+|(\\{{0,2}}')(?!{MASKED})[^']+"
    rf"|(?!{MASKED})(?!&quot;|&#3[49];|%2[27])(?:[^\s&;,\"'\\]{_IN})(?:[^\s&;,]{_IN})*"
    rf"|(?:&quot;|&#3[49];|%2[27])(?!{IS_MASK})[^&%\s]+)"
)


def rule(pattern: str, mask: Mask) -> Rule:
    """A rule that replaces whatever an expression matches, in capitals or small letters."""
    expression = re.compile(pattern, re.IGNORECASE)

    def apply(text: str) -> str:
        return expression.sub(mask, text)

    return apply


def keyed(key: str, mask: str, *, then: str = "") -> Rule:
    """A rule for a value of any form after its key."""
    return rule(rf"({key}){_VALUE}{then}", rf"\1\2\3{mask}")


def after(words: str, value: str, mask: str) -> Rule:
    """A rule for a value of one form after some words, which stay."""
    return rule(rf"({words}){value}", rf"\1{mask}")


def only_with(hints: Sequence[str], *rules: Rule) -> Rule:
    """Rules that are tried only on texts that hold one of the hints, in small letters.

    Looking for a few substrings takes a hundredth of the time of an expression that begins with
    many alternatives, and most texts hold none.
    """

    def apply(text: str) -> str:
        lower = text.lower()
        if not any(hint in lower for hint in hints):
            return text
        for one in rules:
            text = one(text)
        return text

    return apply
