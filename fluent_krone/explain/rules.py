r"""The rules by which `redact` masks secrets, tokens, addresses and persons.

Each rule is an expression and the mask that replaces what it finds. A rule takes time that is
linear in the text's length: a look-behind fixes where it may start, and repeats are bounded or
possessive. Rules are written for whole kinds of secrets, not for single examples:

1. Values after a key that announces them: `password=`, `"client_secret":`, `<pin>…</pin>`.
2. Arguments of commands: `curl -u`, `mysql -p`, `sshpass -p`.
3. Tokens whose issuer gave them a form: `ghp_…`, `AKIA…`, `hvs.…`.
4. Addresses, numbers of cards, accounts and phones.
5. What looks drawn by lot. It is masked because most unknown kinds of secrets look like that.
6. Names of users, where the words around them say so.

We looked at the plugins of detect-secrets. They cover the third kind only, and need `requests` and
PyYAML; their forms are among ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise

Rule = Callable[[str], str]
Mask = str | Callable[[re.Match[str]], str]

_NAMES = "num|ip|id|hex|path|url|str|word|user|email|mac|card|phone|iban|secret|token|redacted"
MASK = re.compile(rf"(<(?:\*|{_NAMES})>)")
# A value that consists of masks alone: nothing is left to hide.
_MASKED = rf"(?:<(?:\*|{_NAMES})>|[:./@_-]){{1,8}}(?=$|[\s&;,)\]}}\"'])"
_IS_MASK = rf"<(?:\*|{_NAMES})>"
_ALONE = "(?<![a-z0-9])"
_ENDS = "(?![a-z0-9])"

# --- keys that announce a secret

# Wherever they stand in a name, these make its value a secret: `DB_PASSWORD`, `clientSecret2`.
_SECRET_KEYS = (
    "passw(?:or)?d|passwd|passwort|kennwort|passphrase|passcode|(?!(?-i:PWD=/))pwd|secret|token"
    "|(?:api|access|private|account|auth|encryption|signing|sign|master|shared|session|storage"
    "|license|licence|deploy|service|admin|client|consumer|subscription|webhook|ssh|hmac|aes|jwt"
    "|stripe|pre-?shared|subscription|write|host|app|application|product|activation|recovery"
    "|wallet)[ _-]?keys?"
    "|credentials?|sess(?:ion)?[_-]?id|sessid|signature|mnemonic|security[ _-]answer|csrf|xsrf"
)
# These do so only as a whole word of a name: `DB_PASS`, `pin`, `userPin`, but not `passed`.
_SHORT_KEYS = (
    "pass|pw|pin|otp|totp|hotp|sid|psk|cvv2?|cvc2?|csc|ssn|community|nonce|seed|sig|pat|tan|puk"
    "|2fa|mfa|salt"
)
_CAMEL_KEYS = "Pass|Pw|Pin|Otp|Sid|Psk|Cvv|Cvc|Ssn|Pat|Seed"
_QUOTE = r"(?:[\\\"'`]|&quot;|&#34;|&#39;|%22|%27)"
# Possessive repeats: what follows is the value, which never begins with white space.
_EQUALS = rf"{_QUOTE}{{0,4}}+\s{{0,4}}+(?:[=:]{{1,2}}+>?+|%3[ad])\s{{0,4}}+"
_SCHEME = (
    r"(?:(?:bearer|basic|digest|token|apikey|negotiate|ntlm|kerberos|aws4-hmac-sha256)\s{1,4})?+"
)
# A quoted value ends only at its quote; a bare one ends at white space, `;`, `&`, `<`, or a comma
# that ends an item.
_IN = r"|,(?!\s|$|[\w.-]{1,40}[=:])"
_VALUE = (
    rf"(?:(\\{{0,2}}\")(?!{_MASKED})[^\"]+|(\\{{0,2}}')(?!{_MASKED})[^']+"
    rf"|(?!{_MASKED})(?!&quot;|&#3[49];|%2[27])(?:[^\s&;,\"'\\]{_IN})(?:[^\s&;,]{_IN})*"
    rf"|(?:&quot;|&#3[49];|%2[27])(?!{_IS_MASK})[^&%\s]+)"
)
# A single word that may be a secret: not a mask, and not a word that talks about the secret.
_TALK = (
    r"(?!(?:not|no|invalid|valid|incorrect|correct|wrong|right|required|missing|empty|expired|too"
    r"|set|being|been|now|already|weak|strong|ok|accepted|rejected|an?|the|null|none|unknown"
    r"|blank|never|about|only|still|un?used|changed|reset|stored|encrypted|hashed|needed"
    r"|mandatory|optional|disabled|enabled|allowed|denied|as|to|in|on|at|by|from|for|with|of|and"
    r"|or|was|is|has|will|must|can|cannot|can't|does|did|failed|longer|shorter|authentication"
    r"|auth|policy|file|manager|rotation|check|changed|mismatch|validation|refresh|request"
    r"|service|store|hash)(?![\w-]))"
)
_WORD = rf"(?!{_IS_MASK}){_TALK}(?:\"[^\"]+\"?|'[^']+'?|[^\s\"',;]+(?<![.,:!?)]))"
_SAID = (
    r"(?:\s{1,4}(?:(?:(?:is|was|are|has\s+been)\s{1,4})?(?:set|changed|reset|updated)\s{1,4}to"
    r"|is|was|are|equals|=)\s{1,4}|\s{1,4}(?:is|was):\s{0,4})"
)


def _rule(pattern: str, mask: Mask) -> Rule:
    expression = re.compile(pattern, re.IGNORECASE)

    def apply(text: str) -> str:
        return expression.sub(mask, text)

    return apply


def _keyed(key: str, mask: str, *, then: str = "") -> Rule:
    """A rule for a value of any form after its key."""
    return _rule(rf"({key}){_VALUE}{then}", rf"\1\2\3{mask}")


def _after(words: str, value: str, mask: str) -> Rule:
    """A rule for a value of one form after some words, which stay."""
    return _rule(rf"({words}){value}", rf"\1{mask}")


_KEYS = (
    _rule(
        r"-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", "<secret>"
    ),
    _rule(r"PuTTY-User-Key-File-[0-9]:[\s\S]*", "<secret>"),
    _rule(rf"(?<=://)(?!{_MASKED})[^\s/?#\"']{{1,256}}@", "<secret>@"),
    _after(rf"cookie2?{_EQUALS}[\"']?+", rf"(?!{_MASKED})[^\"'\r\n]+", "<secret>"),
    _after(
        rf"authorization{_EQUALS}[\\\"']{{0,4}}+digest\s{{1,4}}+",
        rf"(?!{_MASKED})[^\r\n]+",
        "<secret>",
    ),
    _after(
        rf"authorization{_EQUALS}[\\\"']{{0,4}}+{_SCHEME}",
        rf"(?!{_MASKED})[^\s\"'\\;,]+",
        "<secret>",
    ),
    _after(r"password\s{0,4}\(\s{0,4}[\"']", rf"(?!{_IS_MASK})[^\"']+", "<secret>"),
    # A list of pairs: {"name": "DB_PASSWORD", "value": "…"}, <add key="Password" value="…"/>.
    _keyed(
        rf"(?:{_SECRET_KEYS}|(?<![a-z])(?:{_SHORT_KEYS}))[\w.-]{{0,20}}{_QUOTE}{{0,2}}"
        rf"[\s,]{{1,4}}{_QUOTE}{{0,2}}value{_EQUALS}",
        "<secret>",
    ),
    _keyed(rf"(?:{_SECRET_KEYS})[\w.-]{{0,20}}(?:{_QUOTE}\])?+{_EQUALS}", "<secret>"),
    _keyed(
        rf"{_ALONE}(?:[a-z0-9]{{1,30}}[_.-]){{0,4}}(?:{_SHORT_KEYS})[_-]?[0-9]{{0,3}}{_EQUALS}",
        "<secret>",
    ),
    _keyed(rf"(?-i:(?<=[a-z])(?:{_CAMEL_KEYS}))[0-9]{{0,3}}{_EQUALS}", "<secret>"),
    # Tuples and arrays: ("password", "…").
    _keyed(rf"(?:{_SECRET_KEYS})[\w.-]{{0,20}}{_QUOTE}\s{{0,4}},\s{{0,4}}(?=[\"'])", "<secret>"),
    # XML: <password>…</password>, <ns:pin type="x">…</ns:pin>.
    _after(
        rf"<(?:[\w.-]{{1,40}}:)?[\w.-]{{0,40}}(?:{_SECRET_KEYS})[\w.-]{{0,20}}(?:\s[^<>]{{0,200}})?>",
        rf"(?!{_IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    _after(
        rf"<(?:[\w.-]{{1,40}}:)?(?:[\w]{{1,30}}[_.-])?(?:{_SHORT_KEYS})(?:\s[^<>]{{0,200}})?>",
        rf"(?!{_IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    _keyed(r"[?&#;](?:sig|key|code|auth|ticket|assertion|hash|s|sid|k|pwd|pw|pass)=", "<secret>"),
    _after(
        rf"(?<![a-z])auth{_EQUALS}[\"']{{0,2}}", r"(?=[a-z0-9+/=_-]{12})[a-z0-9+/=_-]+", "<secret>"
    ),
    # Sentences: the password is …, password for bob is …, with password ….
    _after(
        rf"(?:{_SECRET_KEYS}|(?<![a-z])(?:pass|pin|otp|puk|tan|code|key))"
        rf"(?:\s{{1,4}}(?:for|of)\s{{1,4}}\S{{1,64}})?{_SAID}",
        _WORD,
        "<secret>",
    ),
    _after(
        r"(?<![a-z])(?:with|using|new|old|default|temporary|temp|initial)\s{1,4}"
        r"(?:password|passphrase|passwd|secret|pin|token)\s{1,4}",
        _WORD,
        "<secret>",
    ),
    _after(r"(?<![a-z])login\s{1,4}\S{1,64}\s{1,4}password\s{1,4}", _WORD, "<secret>"),
    _after(
        r"(?<![a-z])(?:passw(?:or)?d|passwd|pass|passphrase|pwd|pw|secret|token|psk|community)\s{1,4}",
        rf"(?!{_IS_MASK})(?=[^\s,;]{{0,60}}[0-9])(?=[^\s,;]{{0,60}}[a-z!@#$%^&*])[^\s,;]{{6,}}",
        "<secret>",
    ),
    _after(r"(?:password|secret)\s{1,4}[0-9]\s{1,4}", rf"(?!{_IS_MASK})\S{{6,}}", "<secret>"),
    _after(
        r"(?<![a-z])(?:snmp-server\s{1,4})?community\s{1,4}(?:string\s{1,4})?", _WORD, "<secret>"
    ),
    # Codes that are sent to a person.
    _after(
        r"(?<![a-z])(?:otp|totp|pin|puk|tan|passcode|cvv2?|cvc2?|csc|(?:one[ -]?time|verification|security"
        r"|confirmation|auth(?:entication|orization)?|login|access|2fa|mfa|sms|recovery|backup"
        r"|reset|activation|unlock|card|pass|pin)[ _-]?(?:code|password|passcode|pin))s?"
        r"(?:\s{1,4}(?:for|of|to|from)\s{1,4}\S{1,64})?[\s:=#\"'(]{1,4}(?:is|was|are)?[\s:=#\"'(]{0,4}",
        r"(?=[a-z-]{0,8}[0-9])[a-z0-9]{3,10}(?:[ -][0-9]{3,6})?(?![\w<])",
        "<secret>",
    ),
    _after(
        r"(?<![a-z])(?:dob|date[ _-]of[ _-]birth|birth[ _-]?da(?:te|y)|passport|tax[ _-]?id|vat[ _-]?id"
        r"|nino|nhs|national[ _-]id|driver'?s?[ _-]licen[cs]e|insurance|social[ _-]security)"
        r"(?:[ _-]?(?:no|nr|num|number|id))?\.?[\s:=#\"']{1,5}",
        rf"(?!{_IS_MASK})(?=[a-z]{{0,3}}[ -]?[0-9])[a-z0-9](?:[ ./-]?[a-z0-9]){{5,16}}",
        "<id>",
    ),
)

# --- arguments of commands

_COMMANDS = (
    _keyed(
        rf"(?<![\w-])(?:--?|/)[\w-]{{0,20}}(?:{_SECRET_KEYS})[\w-]{{0,20}}(?:\s{{1,4}}+|:)",
        "<secret>",
    ),
    _keyed(r"(?<![\w-])--?(?:[a-z0-9]{1,20}-){0,3}(?:pass|pw|pin|otp|psk)\s{1,4}+", "<secret>"),
    _after(
        r"(?<!\S)(?:-u|--user|--proxy-user|--basic|--credentials?)[\s=]{0,4}[\"']?",
        rf"(?!{_MASKED})[^\s:\"'-][^\s:\"']{{0,80}}:[^\s\"']+",
        "<secret>",
    ),
    _after(
        r"(?<![\w-])(?:mysql\w{0,12}|mariadb[\w-]{0,12}|xtrabackup|mycli|pgloader)(?:\s[^|;\n]{0,120}?)?"
        r"\s-p",
        rf"(?!{_IS_MASK})[^\s-]\S*",
        "<secret>",
    ),
    _after(
        r"(?<![\w-])(?:sshpass|docker\s{1,4}login|podman\s{1,4}login|helm\s{1,4}registry|az\s{1,4}login|plink|pscp"
        r"|zip|7z|unzip|mongo\w{0,8}|rabbitmqadmin|ipmitool|nmcli|oc\s{1,4}login|smbclient|mount\.cifs|sqlcmd"
        r"|sqlplus|bcp|kinit|cqlsh|influx|ftp|lftp)(?:\s[^|;\n]{0,120}?)?\s-(?:p|pw|P|w)\s{0,4}[\"']?",
        rf"(?!{_IS_MASK})[^\s\"'-][^\s\"']*",
        "<secret>",
    ),
    _after(
        r"(?<![\w-])(?:redis-cli|ldap[a-z]{1,12}|valkey-cli|keydb-cli)(?:\s[^|;\n]{0,120}?)?"
        r"\s(?:-a|-w)\s{1,4}[\"']?",
        rf"(?!{_IS_MASK})[^\s\"']+",
        "<secret>",
    ),
    _after(r"(?<!\S)-U\s{0,4}[\"']?", r"[^\s%\"']{1,64}%[^\s\"']+", "<secret>"),
    _after(
        r"htpasswd\s{1,4}-\w{0,4}b\w{0,4}\s{1,4}\S{1,200}\s{1,4}\S{1,64}\s{1,4}",
        rf"(?!{_IS_MASK})\S+",
        "<secret>",
    ),
    _after(
        r"(?<![a-z])(?:echo|printf)\s{1,4}(?:-\w{1,4}\s{1,4})?",
        rf"(?!{_IS_MASK})[^\s|]{{1,200}}(?=\s{{0,4}}\|\s{{0,4}}(?:sudo|passwd|chpasswd|su|kinit|openssl|docker|cryptsetup))",
        "<secret>",
    ),
    _after(
        r"identified\s{1,4}by\s{1,4}(?:password\s{1,4})?[\"']?",
        rf"(?!{_IS_MASK})[^\s\"';]+",
        "<secret>",
    ),
    _after(r"password\s{1,4}(?=[\"'])[\"']", rf"(?!{_IS_MASK})[^\"']+", "<secret>"),
    # user/password@service, as Oracle and Kerberos write it; not a package or an image.
    _rule(
        r"(?<![\w/.@-])[\w$#.-]{1,40}/(?!<)[^\s/@:,;]{1,60}@(?!sha256:|v?[0-9]+\.|latest)(?=[\w/\[<])",
        "<secret>@",
    ),
    # user:password@host without a scheme.
    _rule(
        rf"(?<![\w/.:@-])(?!{_IS_MASK})[\w.+-]{{1,40}}:(?!<)[^\s:@/,;<]{{1,60}}@(?=[\w\[<])",
        "<secret>@",
    ),
)

# --- tokens whose form tells their issuer

_PREFIXES = (
    # GitHub, GitLab, Slack, npm, PyPI, Hugging Face, Google
    "gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox[a-z][.-]|xapp-|npm_|pypi-|hf_|ya29\\.|1//0|GOCSPX-|AIza"
    # OpenAI, Anthropic, Stripe, DigitalOcean, SendGrid, Shopify, Square, Docker Hub
    "|sk-|[sprw]k_(?:live|test)_|whsec_|do[opr]_v1_|SG\\.|shp(?:at|ca|pa|ss)_|sq0[a-z]{3}-|dckr_pat_"
    # Vault, Databricks, Grafana, Atlassian, Bitbucket, Postman, New Relic, Sentry, Linear, Notion
    "|hv[sbr]\\.|dapi(?=[0-9a-f]{10})|gl(?:sa|c)_|ATATT3x|ATBB|ATCTT3x|PMAK-|NRAK-|NRJS-|sntry[su]_|lin_api_|ntn_|secret_"
    # Supabase, PlanetScale, Pulumi, Doppler, Netlify, Fly, RubyGems, Artifactory, Alibaba, Tencent
    "|sbp_|pscale_[a-z]{2,8}_|pul-|dp\\.(?:pt|st|sa|ct|scim)\\.|nf[pc]_|fo1_|fm2_|rubygems_|AKCp|LTAI|AKID|AQVN"
    # Mailgun, age, Terraform, Facebook, EasyPost, Flutterwave, Dropbox, Figma, Airtable, Replicate
    "|key-(?=[0-9a-f]{20})|AGE-SECRET-KEY-|tfr?_|EAAC|EZ[AT]K|FLW(?:SECK|PUBK)|sl\\.[A-Z]|figd_|r8_|pat(?=[A-Z0-9]{14}\\.)"
    # CircleCI, Buildkite, Clojars, Contentful, Adafruit, Confluent, Prefect, Groq, xAI, Perplexity
    "|CCIPAT_|bk(?:ua|at)_|CLOJARS_|CFPAT-|aio_|cflt|pnu_|gsk_|xai-|pplx-|tskey-|sgp_|lsv2_|phc_|phx_"
)
_FORMS = (
    _rule(
        r"((?<![a-z])(?:bearer|basic|negotiate|ntlm|apikey|digest)\s{1,4})(?=[a-z._~+/=-]{0,7}[0-9A-Z]|\S{16})"
        r"[a-z0-9._~+/=-]{8,}",
        r"\1<token>",
    ),
    _rule(rf"{_ALONE}(?:A[KS]IA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{{16}}(?![A-Za-z0-9_-])", "<token>"),
    _rule(rf"{_ALONE}(?:{_PREFIXES})[\w.~/+=-]{{10,}}", "<token>"),
    _rule(rf"{_ALONE}(?:AC|SK|AP|CA|SM|MM|PN|CN)[0-9a-f]{{32}}{_ENDS}", "<token>"),
    # Azure AD: three characters, a digit, `Q~`.
    _rule(r"(?<![\w.~-])[\w.~-]{3}[0-9]Q~[\w.~-]{20,}", "<token>"),
    _rule(rf"{_ALONE}[0-9a-f]{{32}}-us[0-9]{{1,2}}{_ENDS}", "<token>"),
    # Telegram, Vault's first form, Kubernetes bootstrap tokens, Terraform Cloud, Discord.
    _rule(r"(?<![\w:])[0-9]{8,10}:[\w-]{30,}", "<token>"),
    _rule(rf"{_ALONE}s\.[a-z0-9]{{20,}}{_ENDS}", "<token>"),
    _rule(r"(?<![\w.-])[a-z0-9]{6}\.(?=[a-z]{0,15}[0-9])[a-z0-9]{16}(?![\w.-])", "<token>"),
    _rule(r"(?<![\w.-])[\w-]{10,20}\.atlasv1\.[\w-]{20,}", "<token>"),
    _rule(r"(?<![\w.-])[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{25,40}", "<token>"),
    _rule(r"(?<=hooks\.slack\.com/services/)[\w/]+", "<token>"),
    _rule(r"(?<=hooks\.slack\.com/workflows/)[\w/]+", "<token>"),
    _rule(r"((?:discord|discordapp)\.com/api/webhooks/)[\w/-]+", r"\1<token>"),
    _rule(
        r"((?:webhook\.office\.com|outlook\.office\.com)/webhook\w{0,3}/)[\w@/.-]+", r"\1<token>"
    ),
    _rule(rf"{_ALONE}eyJ[\w-]{{5,}}\.[\w.-]+", "<token>"),
    # Hashes of passwords: crypt, bcrypt, argon2, Kerberos, LDAP.
    _rule(
        r"(?<![\w$])\$(?:2[abxy]?|1|5|6|7|y|apr1|argon2\w{0,2}|krb5\w{0,10}|pbkdf2[\w-]{0,12}|scrypt|P|H|sha1|md5)"
        r"\$[^\s\"',;]{8,}",
        "<secret>",
    ),
    _rule(
        r"\{(?:S?SHA[0-9]{0,3}|S?MD5|CRYPT|BCRYPT|PBKDF2[\w-]{0,8}|ARGON2)\}[^\s\"',;<]+",
        "<secret>",
    ),
    _rule(r"((?<![a-z])ssh-(?:rsa|dss|ed25519)\s{1,4})[a-z0-9+/=]{16,}", r"\1<token>"),
)

# --- addresses, and numbers of cards, accounts and phones


def _if_card(match: re.Match[str]) -> str:
    """Luhn's check: every second digit from the right counts double."""
    digits = [int(character) for character in match[0] if character.isdigit()]
    double = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    if (sum(digits[-1::-2]) + sum(double)) % 10:
        return match[0]
    return "<card>"


def _if_ip6(match: re.Match[str]) -> str:
    """Not an address are, for example, a time of day and a name in C++."""
    try:
        ipaddress.IPv6Address(match[0])
    except ValueError:
        return match[0]
    if not match[0].strip(":"):
        return match[0]
    return "<ip>"


_IBAN_COUNTRIES = (
    "AD|AE|AL|AT|AZ|BA|BE|BG|BH|BR|BY|CH|CR|CY|CZ|DE|DK|DO|EE|EG|ES|FI|FO|FR|GB|GE|GI|GL|GR|GT|HR"
    "|HU|IE|IL|IQ|IS|IT|JO|KW|KZ|LB|LC|LI|LT|LU|LV|LY|MC|MD|ME|MK|MR|MT|MU|NL|NO|PK|PL|PS|PT|QA|RO"
    "|RS|SA|SC|SD|SE|SI|SK|SM|ST|SV|TL|TN|TR|UA|VA|VG|XK"
)
_ADDRESSES = (
    _rule(
        r"(?<![\w.%+-])[\w.%+-]{1,64}(?:@|%40)(?:[a-z0-9-]{1,63}\.){1,8}[a-z][a-z0-9-]{0,62}",
        "<email>",
    ),
    # A password after an address, as in lists of leaked accounts; not a port.
    _rule(r"(<email>):(?![0-9]{1,5}(?![\w]))(?!<)[^\s,;\"']{4,}", r"\1:<secret>"),
    # root@web1, but not org.example.Thing@1b2c3d4e
    _rule(
        r"(?<![\w.%+@-])[\w.%+-]{1,64}@(?![0-9a-f]{4,8}(?![\w.-])|sha256:|v?[0-9]+\.[0-9]+\.[0-9]+(?![\w.]))(?=[\w<\[])",
        "<user>@",
    ),
    _rule(r"(?<![0-9a-f:-])(?:[0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}(?![0-9a-f:-])", "<mac>"),
    _rule(r"(?<![\w.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.])", "<mac>"),
    _rule(r"(?<![\w-])[0-9a-f]{6}-[0-9a-f]{6}(?![\w-])(?<![0-9]{6}-[0-9]{6})", "<mac>"),
    _rule(
        rf"{_ALONE}(?<![_-])(?=[0-9]{{0,11}}[a-f])(?=[a-f]{{0,11}}[0-9])[0-9a-f]{{12}}(?![\w-])",
        "<mac>",
    ),
    _after(
        r"(?<![a-z])(?:mac|hw_?addr|bssid|ether)(?:[ _-]?addr(?:ess)?)?[\s:=]{1,4}",
        r"[0-9a-f]{12}(?!\w)",
        "<mac>",
    ),
    _rule(
        r"(?<![\w:])(?=[0-9a-f]{0,4}:)[0-9a-f:]{2,39}"
        r"(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])",
        _if_ip6,
    ),
    _rule(r"(?<![0-9])(?<![0-9]\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])", "<ip>"),
    _rule(rf"{_ALONE}ip(?:-[0-9]{{1,3}}){{4}}(?![0-9])", "<ip>"),
)
_NUMBERS = (
    _rule(
        r"(?<![0-9])(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){2}[ -][0-9]{1,7})(?![0-9])",
        _if_card,
    ),
    _rule(r"(?<![0-9])3[0-9]{3}[ -][0-9]{6}[ -][0-9]{5}(?![0-9])", _if_card),
    _rule(
        rf"{_ALONE}(?:{_IBAN_COUNTRIES})[0-9]{{2}}(?=(?:[ -]?[a-z0-9]){{11,30}})"
        r"(?:[ -]?[a-z]{0,4}[0-9][a-z0-9]{0,3}){2,8}(?![a-z0-9])",
        "<iban>",
    ),
    _after(
        r"(?<![a-z])(?:iban|account|acct|konto|routing|sort[ _-]code|bic|swift)(?:[ _-]?(?:no|nr|num|number))?"
        r"\.?[\s:=#\"']{1,4}",
        r"(?=[a-z]{0,8}[0-9])[a-z0-9](?:[ -]?[a-z0-9]){5,33}(?!\w)",
        "<iban>",
    ),
    # Social security numbers of the USA, national insurance numbers of the United Kingdom.
    _rule(r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])", "<id>"),
    _after(
        r"(?<![a-z])(?:ssn|social\s{1,4}security(?:\s{1,4}number)?)[\s:=#]{1,4}",
        r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}(?!\w)",
        "<id>",
    ),
    _rule(
        rf"{_ALONE}[a-ceghj-pr-tw-z]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[a-d](?!\w)", "<id>"
    ),
    # Phones: with a country code, as written in North America, with a slash, or after their key.
    _rule(r"(?<![\w.+])(?:\+|00)[1-9](?:[ .()/-]{0,2}[0-9]){7,14}(?![\w])", "<phone>"),
    _rule(
        r"(?<![\w.-])(?:1[-. ])?(?:\([0-9]{3}\) ?|[0-9]{3}[-. ])[0-9]{3}[-.][0-9]{4}(?![\w.-])",
        "<phone>",
    ),
    _rule(r"(?<![\w./-])0[1-9][0-9]{1,4}[/-][0-9]{6,9}(?![\w./-])", "<phone>"),
    _after(
        r"(?<![a-z])(?:phone|mobile|tel|telephone|msisdn|cell|fax|handy|whatsapp|sms\s{1,4}to|called|dialed"
        r"|call\s{1,4}from|caller)(?:[ _-]?(?:no|nr|num|number|id))?\.?[\s:=#\"']{1,5}",
        r"\+?\(?[0-9](?:[ ().\/-]{0,2}[0-9]){5,14}(?!\w)",
        "<phone>",
    ),
)

# --- what looks drawn by lot

# The least share of neighbouring characters that change their kind (small letter, capital, digit)
# in a word drawn by lot. In names and paths it is below; of the words that `head -c 15 /dev/urandom
# | base64` gives, 97 of 100 are above.
_MANY_CHANGES = 0.3
_MOST_CHANGES = 0.5
# Parts of names: a capital with small letters, or small letters. A text that consists of them, in
# this share of its characters, is no word drawn by lot.
_WORDS = re.compile("[A-Z][a-z]{3,}|[a-z]{4,}")
_MOSTLY = 0.7
# Signs that people put into passwords, and that names and paths do not have.
_SIGNS = "!@#$%^&*?~+"
# Characters from which a word of two kinds is judged, and from which one of all three kinds is.
_LONG = 20
_SHORT = 12


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


def _if_random(match: re.Match[str]) -> str:
    """Mask a word that changes between small letters, capitals and digits more than a name does."""
    parts = re.split(r"[^A-Za-z0-9]+", match[0])
    judged = [max(parts, key=len)]
    if not re.search(r"[_-]", match[0]):
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
        if _changes(kinds) >= least:
            return "<token>"
    return match[0]


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


_RANDOM = (
    _rule(rf"{_ALONE}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![0-9a-z])", "<id>"),
    _rule(
        rf"{_ALONE}(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{{32,}}(?![0-9a-z])",
        "<token>",
    ),
    _rule(r"(?-i:(?<![\w-])[A-Z2-7]{16,64}={0,6}(?![\w-]))", _if_seed),
    _rule(r"(?-i:(?<![\w-])[A-Z2-7]{4}(?:[ -][A-Z2-7]{4}){3,15}(?![\w-]))", _if_seed),
    _rule(r"(?<![a-z0-9+/_=-])[a-z0-9+/_=-]{12,}", _if_random),
    _rule(r"(?<!\S)(?=[^\s<>]{10,64}(?!\S))[\w!@#$%^&*?~+-]+(?!\S)", _if_password),
)

# --- persons

_USERS = (
    "user(?:[ _-]?name|[_-]?id)?|(?<![a-z/])login|logname|principal|owner|account|kunde|benutzer"
    "|(?<![a-z])(?:[er]?uid|r?user|usr|acct|email|mail|cn|samaccountname|upn|nick(?:name)?|screen[_-]?name)"
)
# Words after `user` that are no names.
_NO_NAME = (
    r"(?!(?:is|was|has|had|not|the|an?|does|did|agent|data|ids?|name|session|account|mode|space|request"
    r"|input|error|count|defined|group|list|table|interface|profile|process|config\w*|manual|code|thread"
    r"|time|cpu|and|or|to|for|from|with|in|on|at|by|of|cannot|can|may|must|will|action|event|info\w*"
    r"|role|service|login|logged|level|limit|quota|pool|store|cache|key|token|password|type|value|who"
    r"|that|this|already|authentication|unknown|database|settings|scope)(?![\w.-]))"
)
_NAME = rf"(?!{_IS_MASK}){_NO_NAME}[\w.@+\\-]{{1,64}}(?<![.,:;])"
_DOES = (
    r"(?=[\"']?[\s,]{1,4}(?:has|was|is|had|did|does|logged|logs?|signed|authenticated|connected|disconnected"
    r"|created|deleted|locked|unlocked|failed|not|tried|attempted|requested|from|with|at|on|added"
    r"|removed|switched|changed|granted|denied|registered|entered|left|joined|successfully|opened"
    r"|closed|started|stopped|accessed|uploaded|downloaded|executed|ran|set|reset|updated|exceeded"
    r"|could|cannot|can|sent|received|expired|unknown|invalid|via|over|using|in|to)(?!\w))"
)
_PERSONS = (
    # `logname= uid=0` has no name.
    _keyed(rf"(?:{_USERS}){_EQUALS}(?!(?<=\s)[a-z_]{{1,40}}=)", "<user>"),
    _keyed(
        r"(?<![a-z])(?:(?:for|by|from|invalid|as|of|to|unknown|illegal) user\s{1,4}+"
        r"|user\s{1,4}+(?=[\"']))",
        "<user>",
    ),
    _keyed(
        r"(?<![a-z])(?:password|publickey|keyboard-interactive(?:/pam)?|gssapi-with-mic) for "
        r"(?:invalid user )?+(?!user\s)",
        "<user>",
        then=r"(?=\s+from\s)",
    ),
    _rule(rf"((?<![a-z])user(?:name)?\s{{1,4}}){_NAME}{_DOES}", r"\1<user>"),
    _rule(
        r"((?<![a-z])(?:log(?:ged|s|in|on)?[ -]?(?:in|on)?|sign(?:ed)?[ -]?in|auth\w{0,12}|access|connect(?:ed|ion)?"
        r"|running|session|su|impersonat\w{1,5})\s{1,4}(?:(?:failed|failure|succeeded|success\w{0,4}|denied|granted|attempt|error"
        r"|opened|closed|rejected|refused|accepted)s?\s{1,4})?(?:for|by|as|of)\s{1,4}(?:user\s{1,4})?)"
        + _NAME,
        r"\1<user>",
    ),
    _rule(rf"((?<![a-z])sudo(?:\[[0-9]{{1,7}}\])?:\s{{1,8}}){_NAME}(?=\s{{1,4}}:)", r"\1<user>"),
    _rule(rf"((?<![a-z])by\s{{1,4}}){_NAME}(?=\(uid)", r"\1<user>"),
    _rule(
        rf"(?<![\w.:-])(?!{_IS_MASK}){_NO_NAME}[a-z][\w.-]{{1,40}}(?=\s{{1,4}}(?:logged|signed)\s{{1,4}}(?:in|out|on|off)(?!\w))",
        "<user>",
    ),
    # A Windows domain and its user; not a key of the registry.
    _rule(
        r"(?-i:(?<![\w\\:])(?!HK)([A-Z][A-Z0-9-]{1,14}\\{1,2}))(?!<)[a-z][\w.-]{1,40}(?![\w\\])",
        r"\1<user>",
    ),
    _rule(
        rf"([/\\]{{1,4}}(?:home|users|mail|spool/cron|var/mail)[/\\]{{1,4}}+)(?!{_IS_MASK})[^\s/\\:;,\"')\]]+",
        r"\1<user>",
    ),
)

RULES: tuple[Rule, ...] = (
    *_KEYS,
    *_COMMANDS,
    *_FORMS,
    *_ADDRESSES,
    *_NUMBERS,
    *_RANDOM,
    *_PERSONS,
)
