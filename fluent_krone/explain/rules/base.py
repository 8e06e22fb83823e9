"""What rules are made of: masks, keys that announce a secret, and the values after them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from .needs import Need, needs

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
# Names that hold one of these, but whose values only tell something about a secret:
# `max_tokens=4096`, `password_file=/etc/x`, `tokenType`.
ABOUT_SECRETS = (
    r"(?!(?<=token)s[\w-]{0,20}[\"']?\s{0,4}[=:]\s{0,4}[0-9]{1,9}(?![\w.-])"
    r"|s?[_.-]?(?:file|path|dir|type|length|len|ttl|count|age|expir\w{1,6}|timeout|limit|policy"
    r"|algorithm|endpoint|ur[il])s?[\"']?\s{0,4}[=:])"
)
# Words for a password and a code in other languages, as `keyed` takes them.
FOREIGN_KEYS = (
    r"contrase\S{1,2}a|(?<![a-z])clave(?![a-z])|palabra\s{1,4}de\s{1,4}paso"
    r"|mots?\s{1,4}de\s{1,4}passe|(?<![a-z])mdp(?![a-z])|(?<![a-z])senha|palavra-?passe"
    r"|parola(?:\s{1,4}d'ordine)?|wachtwoord|(?<![a-z])has[lł]o|l[oö]senord|passord|adgangskode"
    r"|kodeord|salasana|(?<![a-z])heslo|jelsz[oó]|(?<![a-z])[sş]ifre|kata\s{1,4}sandi"
    r"|m[aậ]t\s{1,4}kh[aẩ]u|zugangsdaten|geheimnis|zugangscode|lozinka|geslo|parool|slaptažodis"
    r"|пароль|пароля|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호|κωδικός|סיסמה|كلمة المرور"
    r"|पासवर्ड|รหัสผ่าน"
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


class Rule:
    """Replaces whatever an expression matches, in capitals or small letters, by a mask.

    >>> rule = Rule("port [0-9]+", "port <num>")
    >>> rule("Port 80 is open"), rule.needs
    ('port <num> is open', ((b'port 0',),))
    """

    def __init__(self, pattern: str, mask: Mask) -> None:
        self.pattern = pattern
        self._mask = mask

    # Compiling takes longer than looking for needs does, and most rules are never tried.
    @functools.cached_property
    def _sub(self) -> Callable[[Mask, str], str]:
        return re.compile(self.pattern, re.IGNORECASE).sub

    @functools.cached_property
    def needs(self) -> tuple[Need, ...]:
        """What a text must hold for a match."""
        return needs(self.pattern)

    def __call__(self, text: str) -> str:
        return self._sub(self._mask, text)


def keyed(key: str, mask: str, *, then: str = "") -> Rule:
    """A rule for a value of any form after its key."""
    return Rule(rf"({key}){_VALUE}{then}", rf"\1\2\3{mask}")


def after(words: str, value: str, mask: str) -> Rule:
    """A rule for a value of one form after some words, which stay."""
    return Rule(rf"({words}){value}", rf"\1{mask}")
