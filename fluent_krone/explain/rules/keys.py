"""Secrets after a key or after words that announce them: `password=`, `<pin>…`, sentences."""

from __future__ import annotations

from .base import (
    ABOUT_SECRETS,
    ALONE,
    EQUALS,
    FOREIGN_KEYS,
    IS_MASK,
    MASKED,
    QUOTE,
    SECRET_KEYS,
    SHORT_KEYS,
    Rule,
    after,
    keyed,
)

# Like SHORT_KEYS, at the end of a name in camel case: `userPin`.
_CAMEL_KEYS = "Pass|Pw|Pin|Otp|Sid|Psk|Cvv|Cvc|Ssn|Pat|Seed"
# Schemes of the header `Authorization`.
_SCHEME = (
    r"(?:(?:bearer|basic|digest|token|apikey|negotiate|ntlm|kerberos|aws4-hmac-sha256)\s{1,4})?+"
)
# Words that talk about a secret and are none: `password is required`.
_TALK = (
    r"(?!(?:not|no|invalid|valid|incorrect|correct|wrong|right|required|missing|empty|expired|too"
    r"|set|being|been|now|already|weak|strong|ok|accepted|rejected|an?|the|null|none|unknown"
    r"|blank|never|about|only|still|un?used|changed|reset|stored|encrypted|hashed|needed"
    r"|mandatory|optional|disabled|enabled|allowed|denied|as|to|in|on|at|by|from|for|with|of|and"
    r"|or|was|is|has|will|must|can|cannot|can't|does|did|failed|longer|shorter|authentication"
    r"|auth|policy|file|manager|rotation|check|changed|mismatch|validation|refresh|request"
    r"|service|store|hash)(?![\w-]))"
)
# A single word that may be a secret.
_WORD = rf"(?!{IS_MASK}){_TALK}(?:\"[^\"]+\"?|'[^']+'?|[^\s\"',;]+(?<![.,:!?)]))"
# Words after which `code is 200` or `key is x` tells of no secret.
_NO_CODES = (
    *("status", "error", "exit", "return", "response", "reply", "result", "reason"),
    *("country", "language", "currency", "product", "color", "area", "zip", "source"),
    *("primary", "foreign", "partition", "cache", "routing", "sort", "row", "public"),
)
_CODES = "".join(rf"(?<!{word}[ _-])" for word in _NO_CODES)
# Types of columns: `password VARCHAR(255)`.
_COLUMN = r"(?!(?:n?(?:var)?(?:char|binary)2?|text|blob|int|bytea|raw|string)\()"
# A list of values in SQL, with quoted texts and calls in it.
_SQL_ROW = r"\((?:'[^']{0,999}'|\"[^\"]{0,999}\"|\([^()]{0,99}\)|[^()'\"])*+\)"
# What stands between a key and its value in a sentence.
_SAID = (
    r"(?:\s{1,4}(?:(?:(?:is|was|are|has\s+been)\s{1,4})?(?:set|changed|reset|updated)\s{1,4}to"
    r"|is|was|are|equals|=)\s{1,4}|\s{1,4}(?:is|was):\s{0,4})"
)

KEYS: tuple[Rule, ...] = (
    Rule(
        r"-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", "<secret>"
    ),
    Rule(r"PuTTY-User-Key-File-[0-9]:[\s\S]*", "<secret>"),
    Rule(rf"(?<=://)(?!{MASKED})[^\s/?#\"']{{1,256}}@", "<secret>@"),
    after(rf"cookie2?{EQUALS}[\"']?+", rf"(?!{MASKED})[^\"'\r\n]+", "<secret>"),
    after(
        rf"authorization{EQUALS}[\\\"']{{0,4}}+digest\s{{1,4}}+",
        rf"(?!{MASKED})[^\r\n]+",
        "<secret>",
    ),
    after(
        rf"authorization{EQUALS}[\\\"'\[]{{0,4}}+{_SCHEME}",
        rf"(?!{MASKED})[^\s\"'\\;,]+",
        "<secret>",
    ),
    after(r"password\s{0,4}\(\s{0,4}[\"']", rf"(?!{IS_MASK})[^\"']+", "<secret>"),
    # A list of pairs: {"name": "DB_PASSWORD", "value": "…"}, <add key="Password" value="…"/>.
    keyed(
        rf"(?:{SECRET_KEYS}|(?<![a-z])(?:{SHORT_KEYS}))[\w.-]{{0,20}}{QUOTE}{{0,2}}"
        rf"[\s,]{{1,4}}{QUOTE}{{0,2}}value{EQUALS}",
        "<secret>",
    ),
    keyed(rf"(?:{SECRET_KEYS}){ABOUT_SECRETS}[\w.-]{{0,20}}(?:{QUOTE}\])?+{EQUALS}", "<secret>"),
    keyed(rf"(?:{FOREIGN_KEYS}){EQUALS}", "<secret>"),
    after(
        rf"(?:{FOREIGN_KEYS})\s{{1,4}}(?:es|est|ist|é|è|is|är|er|jest)\s{{1,4}}", _WORD, "<secret>"
    ),
    # INSERT INTO users (name, password) VALUES ('bob', '…'). Which value it is, is not told.
    after(
        r"insert\s{1,4}(?:ignore\s{1,4})?into\s{1,4}\S{1,100}?\s{0,4}\([^()]{0,400}?"
        rf"(?:{SECRET_KEYS}|(?<![a-z])(?:{SHORT_KEYS})(?![a-z]))[^()]{{0,400}}\)\s{{0,4}}"
        r"values\s{0,4}",
        rf"(?!\(<secret>\))(?=[^\"'\n]{{0,200}}[\"']){_SQL_ROW}(?:\s{{0,4}},\s{{0,4}}{_SQL_ROW})*+",
        "(<secret>)",
    ),
    keyed(
        rf"{ALONE}(?:[a-z0-9]{{1,30}}[_.-]){{0,4}}(?:{SHORT_KEYS})[_-]?[0-9]{{0,3}}{EQUALS}",
        "<secret>",
    ),
    keyed(rf"(?-i:(?<=[a-z])(?:{_CAMEL_KEYS}))[0-9]{{0,3}}{EQUALS}", "<secret>"),
    # Tuples and arrays: ("password", "…").
    keyed(rf"(?:{SECRET_KEYS})[\w.-]{{0,20}}{QUOTE}\s{{0,4}},\s{{0,4}}(?=[\"'])", "<secret>"),
    # XML: <password>…</password>, <ns:pin type="x">…</ns:pin>.
    after(
        rf"<(?:[\w.-]{{1,40}}:)?[\w.-]{{0,40}}(?:{SECRET_KEYS})[\w.-]{{0,20}}(?:\s[^<>]{{0,200}})?>",
        rf"(?!{IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    after(
        rf"<(?:[\w.-]{{1,40}}:)?(?:[\w]{{1,30}}[_.-])?(?:{SHORT_KEYS})(?:\s[^<>]{{0,200}})?>",
        rf"(?!{IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    keyed(r"[?&#;](?:sig|key|code|auth|ticket|assertion|hash|s|sid|k|pwd|pw|pass)=", "<secret>"),
    # The state and the verifier of OAuth are drawn by lot.
    after(
        r"[?&](?:state|code_verifier|code_challenge|nonce)=",
        rf"(?!{IS_MASK})(?=[^\s&]{{0,40}}[0-9])[^\s&\"']{{8,}}",
        "<secret>",
    ),
    after(r"(?<![a-z])u(?:ser)?=[^\s&]{1,64}&p=", rf"(?!{IS_MASK})[^\s&\"']+", "<secret>"),
    # Calls: setPin(4711), mysql_connect("db", "bob", "…"), new PDO('mysql:…', 'bob', '…').
    after(
        r"set\w{0,20}(?:pass(?:word)?|pin|otp|secret|token)\(\s{0,2}[\"']?",
        rf"(?!{IS_MASK})[^\s\"'()]+",
        "<secret>",
    ),
    after(
        r"(?:mysqli?(?:_connect)?|PDO|getConnection|oci_connect|create_engine)\("
        r"(?:[^(),]{1,200},){2}\s{0,4}[\"']",
        rf"(?!{IS_MASK})[^\"']+",
        "<secret>",
    ),
    # Commands of Redis and of SMTP: AUTH hunter2, AUTH PLAIN Ym9i.
    after(
        r"(?-i:(?<![A-Za-z])AUTH\s{1,4}(?:(?:PLAIN|LOGIN|XOAUTH2)\s{1,4})?)[\"']?",
        rf"(?!{IS_MASK})(?=\S{{0,60}}[0-9]|\S{{0,200}}=(?!\S))[^\s,;\"'=]{{6,}}={{0,2}}(?![^\s\"'])",
        "<secret>",
    ),
    after(
        rf"(?<![a-z])auth{EQUALS}[\"']{{0,2}}", r"(?=[a-z0-9+/=_-]{12})[a-z0-9+/=_-]+", "<secret>"
    ),
    # Sentences: the password is …, password for bob is …, with password ….
    after(
        rf"(?:{SECRET_KEYS}|(?<![a-z])(?:pass|pin|otp|puk|tan|{_CODES}(?:code|key)))"
        rf"(?:\s{{1,4}}(?:for|of)\s{{1,4}}(?:(?:the\s{{1,4}})?(?:user|account)\s{{1,4}})?\S{{1,64}})?{_SAID}",
        _WORD,
        "<secret>",
    ),
    after(
        r"(?<![a-z])(?:with|using|new|old|default|temporary|temp|initial)\s{1,4}"
        r"(?:password|passphrase|passwd|secret|pin|token)\s{1,4}",
        _WORD,
        "<secret>",
    ),
    after(r"(?<![a-z])login\s{1,4}\S{1,64}\s{1,4}password\s{1,4}", _WORD, "<secret>"),
    after(
        r"(?<![a-z])(?:passw(?:or)?d|passwd|pass|passphrase|pwd|pw|secret|token|psk|community"
        r"|credentials?|requirepass|masterauth)\s{1,4}",
        rf"(?!{IS_MASK}){_COLUMN}(?=[^\s,;]{{0,60}}[0-9])(?=[^\s,;]{{0,60}}[a-z!@#$%^&*])[^\s,;]{{6,}}",
        "<secret>",
    ),
    after(r"isakmp\s{1,4}key\s{1,4}(?:[0-9]\s{1,4})?", rf"(?!{IS_MASK})\S+", "<secret>"),
    after(r"(?:password|secret)\s{1,4}[0-9]\s{1,4}", rf"(?!{IS_MASK})\S{{6,}}", "<secret>"),
    after(
        r"(?<![a-z])(?:snmp-server\s{1,4})?community\s{1,4}(?:string\s{1,4})?",
        _WORD,
        "<secret>",
    ),
    Rule(
        r"(?<![\w-])(?:[a-z]{1,3}-)?[0-9]{4,8}(?=\s{1,4}is\s{1,4}(?:your|the)\s{1,4}"
        r"(?:[\w-]{1,20}\s{1,4}){0,3}(?:code|pin|otp|passcode|password))",
        "<secret>",
    ),
    # Codes in other languages: Ihr Code lautet …, votre code de connexion est ….
    after(
        r"(?:code|c[oó]digo|codice|kod|код)(?:\s{1,4}\S{1,20}){0,3}?"
        r"\s{1,4}(?:lautet|ist|est|es|è|é|jest)\s{0,4}:?\s{1,4}",
        r"[0-9]{3,8}(?!\w)",
        "<secret>",
    ),
    # Codes for the day on which the second factor is lost come in lists.
    after(
        r"(?<![a-z])(?:recovery|backup|scratch|emergency)[\s_-]?(?:codes?|keys?)\W{1,6}",
        rf"(?!{IS_MASK})(?=[a-z-]{{0,20}}[0-9])[\w-]{{4,}}"
        r"(?:[,;\s\"']{1,4}(?=[a-z-]{0,20}[0-9])[\w-]{4,})*+",
        "<secret>",
    ),
    # Codes that are sent to a person.
    after(
        r"(?<![a-z])(?:otp|totp|pin|puk|tan|passcode|cvv2?|cvc2?|csc"
        r"|(?:one[ -]?time|verification|security|confirmation|auth(?:entication|orization)?"
        r"|login|access|2fa|mfa|sms|recovery|backup|pairing|door|voucher"
        r"|reset|activation|unlock|card|pass|pin)[ _-]?(?:code|password|passcode|pin))s?"
        r"(?:\s{1,4}(?:for|of|to|from)\s{1,4}\S{1,64})?[\s:=#\"'(]{1,4}(?:is|was|are)?[\s:=#\"'(]{0,4}",
        r"(?=[a-z-]{0,8}[0-9])[a-z0-9]{3,10}"
        r"(?:-(?=[a-z]{0,8}[0-9])[a-z0-9]{3,10}|[ -][0-9]{3,6}){0,3}(?![\w<])",
        "<secret>",
    ),
    after(
        r"(?<![a-z])(?:seed|recovery|mnemonic|secret|backup|wallet)"
        r"[\s_-]?(?:phrase|words?)[\s:=\"']{1,5}",
        r"(?:[a-z]{3,8}[\s,]{1,2}){8,23}[a-z]{3,8}(?![a-z])",
        "<secret>",
    ),
)
