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

# Keys that are secrets.
NAMED_KEYS = (
    "(?:api|access|priv(?:ate)?|pass|account|auth|encryption|signing|sign|master"
    "|shared|session|storage|license|licence|deploy|service|admin|client|consumer|subscription"
    "|webhook|ssh|hmac|aes|jwt|stripe|pre-?shared|write|host|app|application|product|activation"
    "|recovery|wallet|wi-?fi|wlan|wpa[23]?|wep)[ _-]?keys?"
)
# Wherever they stand in a name, these make its value a secret: `DB_PASSWORD`, `clientSecret2`.
SECRET_KEYS = (
    "passw(?:or)?d|passwd|passwort|kennwort|pass[ _-]?phrase|pass[ _-]?code|(?!(?-i:PWD=/))pwd"
    f"|secret|(?<!unexpected )token|{NAMED_KEYS}"
    "|credentials?|sess(?:ion)?[_-]?id|sessid|signature|mnemonic|security[ _-]answer"
    "|security[_-]?code|csrf|xsrf"
)
# Names that hold one of these, but whose values only tell something about a secret:
# `max_tokens=4096`, `password_file=/etc/x`, `tokenType`; keys that are counted; places in a source,
# `TokenService.java:118`, and classes in front of a message, `PasswordController : started`.
ABOUT_SECRETS = (
    r"(?!(?<=token)s[\w-]{0,20}[\"']?\s{0,4}[=:]\s{0,4}[0-9]{1,9}(?![\w.-])"
    r"|(?:(?<=token)s?|(?<=key)s?|(?<=keys))\s?[=:]\s?[0-9]{1,3}(?![\w.-])"
    r"|(?-i:[A-Z][a-z]{3,}\w{0,30})\s{1,20}:\s"
    r"|[\w-]{0,40}\.(?:java|kt|scala|py|go|rb|rs|php|[jt]sx?|cs|c|cc|cpp|h):[0-9]{1,6}(?!\w)"
    r"|\w{0,30}(?:exception|error)s?\s{0,2}:|iz\w{1,10}|:(?:auth|chauthtok|session|account)\)"
    r"|s?[_.-]?(?:file|name|path|dir|type|length"
    r"|len|ttl|count|age|expir\w{1,6}|timeout|limit|policy"
    r"|algorithm|endpoint|ur[il])s?[\"']?\s{0,4}[=:])"
)
# Words for a password and a code in other languages, as `keyed` takes them.
FOREIGN_KEYS = (
    r"contrase\S{1,2}a|(?<![a-z])clave(?![a-z])|palabra\s{1,4}de\s{1,4}paso"
    r"|mots?[\s_-]{0,4}de[\s_-]{0,4}passe|(?<![a-z])mdp(?![a-z])|(?<![a-z])senha|palavra-?passe"
    r"|parol[aăe](?:\s{1,4}d'ordine)?|wachtwoord|wagwoord|lykilor[dð]|(?<![a-z])has[lł]o"
    r"|l[oö]senord|passord|adgangskode"
    r"|kodeord|salasana|(?<![a-z])heslo|jelsz[oó]|gesl[oa](?![a-z])|(?<![a-z])[sş]ifre"
    r"|kata\s{1,4}sandi"
    r"|m[aậ]t\s{1,4}kh[aẩ]u|zugangsdaten|geheimnis|zugangscode|lozink[ae]|parool|slaptažodis"
    r"|парол[ьяие]|парола|лозинка|סיסמא|گذرواژه|رمز عبور|密码|密碼|口令"
    r"|パスワード|暗証番号|비밀번호|암호|κωδικός"
    r"|סיסמה|كلمة المرور"
    r"|पासवर्ड|รหัสผ่าน"
)
# These do so only as a whole word of a name: `DB_PASS`, `pin`, `userPin`, but not `passed`.
SHORT_KEYS = (
    "pass|pw|pin|otp|totp|hotp|sid|psk|cvv2?|cvc2?|csc|ssn|community|nonce|seed|sig|pat|tan|puk"
    "|2fa|mfa|salt|jwt|bearer"
)
# What may stand behind them: `otpCode`, `pin_value`, `pass2`.
SHORT_TAILS = "(?:[_-]?(?:codes?|value|hash|plain|new|old|confirm(?:ation)?|[0-9]{1,3}))?"
# What is no secret behind some of them: `seed=42`, and a test that passed, `--- PASS: TestLogin`.
NUMBERED = r"(?!(?<=--- pass):|(?:(?<=seed)|(?<=nonce)|(?<=salt))\s?[=:]\s?[0-9]{1,10}(?![\w-]))"
# A quotation mark, also as HTML and URLs write it.
QUOTE = r"(?:[\\\"'`]|&quot;|&#34;|&#39;|%22|%27)"
# Nothing of it is given back: what follows is the value, which never begins with white space.
EQUALS = rf"(?>{QUOTE}{{0,4}})\s{{0,4}}+(?:[=:]{{1,2}}+>?+|->|%3[ad])\s{{0,4}}+"
# What programs write around a value: b'…', Some("…"), SecretStr('…'), string(7) "…", {"S": "…"}.
WRAPPED = (
    r"(?>(?:[bru]{1,2}(?=[\"'])|[|>][+-]?\s{1,8}|string\([0-9]{1,6}\)\s{1,4}"
    r"|\{\s{0,2}\"[a-z_]{1,12}\"\s{0,2}:\s{0,2}"
    r"|[(\[]{1,2}(?=[\"'])|(?:[\w.&*]{1,40}|\[\][\w.]{1,20})[(\[{]{1,2}(?=[\"']))?)"
)
# Values that tell of no secret.
_NOTHING = (
    r"(?!(?:none|null|yes|no|nil|absent|failed|success|ok|error|denied|password|true|false"
    r"|undefined|unset|missing|empty|required|disabled"
    r"|enabled)(?![\w.-]))"
)
# A quoted value ends only at its quote; a list at its bracket; a bare one ends at white space, `;`,
# `&`, `<`, a comma that ends an item, or the sign ” that ends a line in a sentence about an alert.
_IN = r"|,(?!\s|$|[\w.-]{1,40}[=:])|”(?!\W|$)"
_VALUE = (
    rf"(?:(\\{{0,2}}\")(?!{MASKED})[^\"]+|(\\{{0,2}}')(?!{MASKED})[^']+"
    rf"|\[(?!{MASKED})[^\[\]]{{2,200}}\]"
    rf"|(?!{MASKED}){_NOTHING}(?!&quot;|&#3[49];|%2[27])(?:[^\s&;,\"'\\]{_IN})(?:[^\s&;,”]{_IN})*"
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
    return Rule(rf"({key}{WRAPPED}){_VALUE}{then}", rf"\1\2\3{mask}")


def after(words: str, value: str, mask: str) -> Rule:
    """A rule for a value of one form after some words, which stay."""
    return Rule(rf"({words}){value}", rf"\1{mask}")
