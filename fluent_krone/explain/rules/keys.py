"""Secrets after a key or after words that announce them: `password=`, `<pin>…`, sentences."""

from __future__ import annotations

import re

from .base import (
    ABOUT_SECRETS,
    ALONE,
    EQUALS,
    FOREIGN_KEYS,
    IS_MASK,
    MASKED,
    NAMED_KEYS,
    NUMBERED,
    QUOTE,
    SECRET_KEYS,
    SHORT_KEYS,
    SHORT_TAILS,
    Rule,
    after,
    keyed,
)

# Like SHORT_KEYS, at the end of a name in camel case: `userPin`.
_CAMEL_KEYS = "Pass|Pw|Pin|Otp|Sid|Psk|Cvv|Cvc|Ssn|Pat|Seed"
# The end of a name that is no other word: `bindpw`, `authPass`, but not `bypass`.
_ENDING = r"(?:pw|pwd|(?<!by)(?<!com)(?<!sur)(?<!over)(?<!under)(?<!tres)(?<!multi)pass)"
# Schemes of the header `Authorization`.
_SCHEME = (
    r"(?>(?:(?:bearer|basic|digest|token|apikey|negotiate|ntlm|kerberos|aws4-hmac-sha256)"
    r"\s{1,4})?)"
)
# Quotation marks around a value in a sentence, also those of other languages.
_OPENS = "[\"'`«„“‘]"
_UNTIL = "[^\"'`»“”’]"
# A word that holds letters and digits, or signs, as passwords do and names of things seldom do.
_MIXED = (
    rf"(?!{IS_MASK})(?![\w.-]{{2,20}}[=:][0-9]{{1,4}}(?!\w))"
    r"(?=[^\s,;]{0,60}[0-9])(?=[^\s,;]{0,60}(?:[^\W\d_]|[!@#$%^&*]))[^\s,;]{6,}"
)
# Words that talk about a secret but are not one: `password is required`.
_TALK = (
    r"(?!(?:not|no|invalid|valid|incorrect|correct|wrong|right|required|missing|empty|expired|too"
    r"|set|being|been|now|already|weak|strong|ok|accepted|rejected|an?|the|null|none|unknown"
    r"|blank|never|about|only|still|un?used|changed|reset|stored|encrypted|hashed|needed"
    r"|mandatory|optional|disabled|enabled|allowed|denied|as|to|in|on|at|by|from|for|with|of|and"
    r"|or|was|is|has|will|must|can|cannot|can't|does|did|failed|longer|shorter|authentication"
    r"|auth|policy|file|manager|rotation|check|changed|mismatch|validation|refresh|request"
    r"|service|store|hash)(?![\w-]))"
)
# Not a word after which something other than the secret is quoted.
_NO_LINK = r"(?!(?:for|of|in|on|by|from|to|at|user|file|policy|column|field|für|von|pour|para)\s)"
# A single word that may be a secret.
_WORD = rf"(?!{IS_MASK}){_TALK}(?:\"[^\"]+\"?|'[^']+'?|[^\s\"',;]+(?<![.,:!?)]))"
# What was done with a password that follows.
_TRIED = "(?:tried|entered|given|provided|supplied|used|typed)"
# Words after which `code is 200` or `key is x` tells of no secret.
_NO_CODES = (
    *("status", "error", "exit", "return", "response", "reply", "result", "reason"),
    *("country", "language", "currency", "product", "color", "area", "zip", "source"),
    *("vendor", "event", "fault", "op"),
    *("primary", "foreign", "partition", "cache", "routing", "sort", "row", "public"),
)
_CODES = "".join(rf"(?<!{word}[ _-])(?<!{word}: )" for word in _NO_CODES)
# Not a small word, nor a mask.
_NO_PROSE = rf"(?!{IS_MASK})(?![A-Za-z]{{1,12}}[.,:]?(?:\s|$)|[0-9]{{1,3}}(?!\S))"
# The digits of a code that is sent to a person; and such digits in groups.
_GROUPS = r"(?=(?:[0-9][ -]?){4,10}(?![\w-]))[0-9]{1,4}(?:[ -][0-9]{1,4}){1,5}(?![\w-])"
_DIGITS = "(?:[0-9]{4,8}|(?:[0-9]{2,4}[ -]){1,3}[0-9]{2,4})"
# Words for such a code in other languages.
_FOREIGN_CODES = (
    "код|验证码|驗證碼|校验码|認証コード|認証番号|確認コード|인증\\s?번호"
    "|인증\\s?코드|mã xác (?:nhận|thực)|kodu|κωδικός"
    "|(?:best[aä]tigungs|bekr[aä]ftelse|bekreftelses|zugangs|sicherheits|freischalt|anmelde"
    "|verificatie)"
    "(?:code|kode|kod)|vahvistuskoodi|kod (?:weryfikacyjny|dostępu)|code de \\S{1,16}"
    "|c[oó]digo de \\S{1,16}"
    "|codice di \\S{1,16}|رمز التحقق|קוד"
    "|(?:clave|contrase\\S{1,2}a) de un solo uso|mot de passe à usage unique|einmal(?:code"
    "|kennwort|passwort)"
)


def _both(match: re.Match[str]) -> str:
    return match[1] + "<secret>" + (match[2] + "<secret>" if match[2] else "")


# Types of columns: `password VARCHAR(255)`.
_COLUMN = r"(?!(?:n?(?:var)?(?:char|binary)2?|text|blob|int|bytea|raw|string)\()"
# A list of values in SQL, with quoted texts and calls in it.
_SQL_ROW = r"\((?>(?:'[^']{0,999}'|\"[^\"]{0,999}\"|\([^()]{0,99}\)|[^()'\"])*)\)"
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
        rf"(?:[\s,]{{1,4}}|:\s?\{{[^{{}}\n]{{0,60}}"
        rf"|[^{{}}\n]{{0,60}},\s{{0,2}}){QUOTE}{{0,2}}(?:string_?)?val(?:ue)?{EQUALS}",
        "<secret>",
    ),
    keyed(
        rf"(?:{SECRET_KEYS}){ABOUT_SECRETS}[\w.-]{{0,20}}(?>(?:{QUOTE}?\])?){EQUALS}", "<secret>"
    ),
    keyed(rf"(?:{FOREIGN_KEYS})\S{{0,2}}(?:\s{{1,2}}[^\W\d_]{{2,14}})?{EQUALS}", "<secret>"),
    # Password changed from 'hunter1' to 'hunter2'.
    Rule(
        r"(passw(?:or)?d\s{1,2}(?:was\s)?(?:changed\s)?from\s{1,2})[\"'][^\"'<]{1,80}[\"']"
        r"(\s{1,2}to\s{1,2})[\"'][^\"'<]{1,80}[\"']",
        r"\1<secret>\2<secret>",
    ),
    # Any other key of a name, where its value is long and made of letters and digits.
    after(
        rf"(?<![a-z])[\w.-]{{0,40}}key{EQUALS}[\"']?",
        r"(?=[a-z-]{0,40}[0-9])(?=[0-9-]{0,40}[a-z])(?![0-9a-f]{8}-)[a-z0-9+/_-]{20,}={0,2}"
        r"(?![\w.:/-])",
        "<secret>",
    ),
    after(
        rf"(?:{FOREIGN_KEYS}|passwort|kennwort)"
        r"(?:\s{1,4}(?:für|pour|para|per|för|voor|de|du|di)\s{1,4}(?:\S{1,20}\s{1,4})?\S{1,64})?"
        r"\s{1,4}(?:es|est|ist|lautet|é|è|is|är|er|on|je|jest|to)\s{0,2}:?\s{1,4}",
        _WORD,
        "<secret>",
    ),
    after(
        rf"(?:{FOREIGN_KEYS}|passwort|kennwort)"
        r"(?:(?:\s{1,4}\S{1,16}){1,2}\s{1,4}(?:auf|à|a|en|на|til|till|naar))?\s{1,4}",
        _MIXED,
        "<secret>",
    ),
    # API key 'hunter2'.
    after(rf"(?:{NAMED_KEYS})\s{{1,4}}(?=[\"'])[\"']", rf"(?!{IS_MASK})[^\"']+", "<secret>"),
    # password entered 'hunter2'; not: password for 'bob'.
    after(
        rf"(?:{FOREIGN_KEYS}|passw(?:or)?d|passwort|kennwort|passphrase)"
        rf"(?:\s{{1,4}}{_NO_LINK}[^\s\"'=]{{1,20}}){{0,3}}\s{{1,4}}{_OPENS}",
        rf"(?!{IS_MASK}){_UNTIL}+",
        "<secret>",
    ),
    # INSERT INTO users (name, password) VALUES ('bob', '…'). Which value it is, is not told.
    after(
        r"insert\s{1,4}(?:ignore\s{1,4})?into\s{1,4}\S{1,100}?\s{0,4}\([^()]{0,400}?"
        rf"(?:{SECRET_KEYS}|(?<![a-z])(?:{SHORT_KEYS})(?![a-z]))[^()]{{0,400}}\)\s{{0,4}}"
        r"values\s{0,4}",
        rf"(?!\(<secret>\)|\(\s{{0,4}}(?:\?|[:$@][\w]"
        rf"|%s)){_SQL_ROW}(?>(?:\s{{0,4}},\s{{0,4}}{_SQL_ROW})*)",
        "(<secret>)",
    ),
    keyed(
        rf"{ALONE}(?:[a-z0-9]{{1,30}}[_.-]){{0,4}}(?:{SHORT_KEYS}|[a-z]{{1,12}}{_ENDING})"
        rf"{NUMBERED}{SHORT_TAILS}\]?{EQUALS}",
        "<secret>",
    ),
    keyed(rf"(?-i:(?<=[a-z])(?:{_CAMEL_KEYS})){SHORT_TAILS}{EQUALS}", "<secret>"),
    # Options of commands and settings, without a sign between: bindpw hunter2, privPass hunter2.
    after(rf"{ALONE}(?!ssh)[a-z]{{1,12}}{_ENDING}\s{{1,4}}(?!-)", _WORD, "<secret>"),
    # Forms: name="password", empty line, value.
    after(
        rf"name={QUOTE}(?:{SECRET_KEYS}|{SHORT_KEYS}){QUOTE}\s{{2,8}}", r"(?!<|-)\S+", "<secret>"
    ),
    # A key that is closed like a text, and the next text behind it: ("password", "…"), of Erlang,
    # PHP, property lists and beans: <key>password</key><string>….
    after(
        rf"(?:{SECRET_KEYS})[\w.-]{{0,20}}(?:{QUOTE}{{1,2}}|</\w{{1,12}}>)"
        rf"(?>(?:[\s,;:=>|(]|s:[0-9]{{1,4}}:|(?!{IS_MASK})</?\w{{1,12}}>){{1,12}})(?<=[\s,;:>])"
        rf"(?!<{{0,2}}[\"']{{0,2}}{IS_MASK})<{{0,2}}+[\"']{{0,2}}+",
        rf"(?!{IS_MASK}|value=|/)(?:(?<=[\"'])[^\"']+|(?<=>)[^<>\"']+(?=<)|(?<=<)[^<>\"']+(?=>))",
        "<secret>",
    ),
    # XML: <password>…</password>, <ns:pin type="x">…</ns:pin>.
    after(
        rf"<(?:[\w.-]{{1,40}}:)?[\w.-]{{0,40}}(?:{SECRET_KEYS})[\w.-]{{0,20}}"
        rf"(?:\s[^<>]{{0,200}})?>",
        rf"(?!{IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    after(
        rf"<(?:[\w.-]{{1,40}}:)?(?:[\w]{{1,30}}[_.-])?(?:{SHORT_KEYS})(?:\s[^<>]{{0,200}})?>",
        rf"(?!{IS_MASK})(?!\s*<)[^<]+(?=</)",
        "<secret>",
    ),
    # What a link that is sent to a person ends with.
    after(
        r"/[\w-]{0,20}(?:reset|invit\w{1,6}|confirm\w{0,6}|verif\w{1,8}|activat\w{1,4}"
        r"|unsubscribe|magic|onetime)(?:/|\?[a-z]{1,12}=)",
        rf"(?!{IS_MASK})(?=[\w-]{{0,60}}[0-9])(?=[\w-]{{0,60}}[a-z])[\w-]{{8,}}={{0,2}}",
        "<secret>",
    ),
    keyed(r"[?&#;](?:sig|key|code|auth|ticket|assertion|hash|s|sid|k|pwd|pw|pass)=", "<secret>"),
    # The state and the verifier of OAuth are random.
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
        r"(?<![a-z])(?:mysqli?|PDO(?:->__construct)?|create_engine|\w{0,30}(?:connect(?:ion)?"
        r"|login|bind|auth\w{0,12}"
        r"|addlogin|adduser|crypt|hmac)\w{0,12})\s?\(?(?<=[\s(])"
        r"(?>(?:[^(),\"'\n]{0,80}(?:\"[^\"\n]{0,80}\"|'[^'\n]{0,80}')?[^(),\"'\n]{0,20},){1,5})"
        r"\s{0,4}[\"']",
        rf"(?!{IS_MASK}|[0-9]{{1,5}}[\"'])[^\"']+(?=[\"']\s{{0,4}}(?:\)|;|$))",
        "<secret>",
    ),
    # Messages of protocols: {"op": "login", "args": ["bob", "hunter2"]}.
    after(
        r"(?<![a-z])(?:login|auth\w{0,12}"
        r"|bind)[\"'][^\n\[]{0,30}\[\s{0,2}[\"'][^\"']{1,64}[\"']\s{0,2},\s{0,2}[\"']",
        rf"(?!{IS_MASK})[^\"']+(?=[\"']\s{{0,2}}\])",
        "<secret>",
    ),
    # Commands of Redis and of ZooKeeper: ACL SETUSER bob >hunter2, addauth digest bob:hunter2.
    after(r"setuser\s[^\n]{1,80}?\s>", rf"(?!{IS_MASK})\S+", "<secret>"),
    after(r"addauth\s{1,4}\S{1,20}\s{1,4}[^\s:]{1,64}:", rf"(?!{IS_MASK})\S+", "<secret>"),
    # Commands of IMAP: a1 LOGIN bob hunter2.
    after(
        r"(?-i:(?<!\w)LOGIN)\s{1,4}[^\s:=]{1,64}\s{1,4}",
        rf"(?:(?!\"{IS_MASK})\"[^\"]+\"|{_NO_PROSE}[^\s\"']+)",
        "<secret>",
    ),
    after(r"(?-i:(?<!\w)IDENTIFY)\s{1,4}(?:[^\s:=]{1,64}\s{1,4})?", _MIXED, "<secret>"),
    # SQL: USER bob USING hunter2, ATTACH … KEY 'hunter2'; LDAP: bind as '…' with '…'.
    after(r"user\s{1,4}\S{1,64}\s{1,4}using\s{1,4}[\"']?", rf"(?!{IS_MASK})[^\s\"';]+", "<secret>"),
    after(
        r"(?<![a-z])(?:attach|pragma)\s[^\n]{0,80}?key\s{0,2}=?\s{0,2}[\"']",
        rf"(?!{IS_MASK})[^\"']+",
        "<secret>",
    ),
    after(
        r"(?<![a-z])(?:bind|login|logon|auth\w{0,12})\s[^\n]{0,80}?\swith\s{1,2}[\"']",
        rf"(?!{IS_MASK})[^\"']+",
        "<secret>",
    ),
    # Commands of Redis and of SMTP: AUTH hunter2, AUTH bob hunter2, AUTH PLAIN Ym9i.
    after(
        r"(?-i:(?<![A-Za-z])AUTH\s{1,4}(?:[\w-]{1,40}\s{1,4})?)[\"']?",
        rf"(?!{IS_MASK}|S?CRAM-|DIGEST-)(?=\S{{0,60}}[0-9]"
        rf"|\S{{0,200}}=(?!\S))[^\s,;\"'=]{{6,}}={{0,2}}(?![^\s\"'])",
        "<secret>",
    ),
    after(
        rf"(?<![a-z])auth{EQUALS}[\"']{{0,2}}", r"(?=[a-z0-9+/=_-]{12})[a-z0-9+/=_-]+", "<secret>"
    ),
    # Sentences: the password is …, password for bob is …, with password ….
    after(
        rf"(?:{SECRET_KEYS}|(?<![a-z])(?:pass|pin|otp|puk|tan|{_CODES}(?:code|key)))"
        rf"(?:\s{{1,4}}(?:for|of)\s{{1,4}}(?:(?:the\s{{1,4}})?(?:user"
        rf"|account)\s{{1,4}})?\S{{1,64}})?{_SAID}",
        _WORD,
        "<secret>",
    ),
    after(
        rf"(?:{SECRET_KEYS})\s{{1,4}}(?:for"
        rf"|of)\s{{1,4}}(?:\S{{1,40}}\s{{1,4}}){{0,2}}\S{{1,64}}:\s{{1,4}}",
        _MIXED,
        "<secret>",
    ),
    # Password entered: hunter2, password attempt: hunter2. How many attempts there were is no
    # secret, and neither is whether a password was given.
    after(
        rf"(?:passw(?:or)?ds?|passwd|passphrase|passcode)\s{{1,4}}"
        rf"(?:{_TRIED}(?:\s{{0,4}}:|\s{{1,4}}(?:was|were):?)|(?:attempt|guess)s?\s{{0,4}}:)\s{{1,4}}",
        rf"(?!(?:yes|true|false|once|twice|ok)(?![\w-])|[0-9]{{1,3}}(?:/[0-9]{{1,3}})?(?![^\s,;.])"
        rf"|(?<=s: )[0-9]+(?![^\s,;.])){_WORD}(?:,\s{{1,2}}[^\s,;:=<>]+(?=,|;|\Z)){{0,9}}",
        "<secret>",
    ),
    # Settings of command-line tools: config set --secret dbPassword hunter2.
    after(
        rf"(?<!\S)--secret\s{{1,4}}(?:--?[\w-]{{1,20}}\s{{1,4}}){{0,2}}[\w.-]{{0,30}}"
        rf"(?:{SECRET_KEYS})\w{{0,10}}\s{{1,4}}",
        rf"(?!to\s){_WORD}",
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
        rf"(?<![a-z])(?:[a-z0-9]{{1,20}}[_-]){{0,3}}(?:{SECRET_KEYS}|pass|pw|psk|community"
        rf"|requirepass"
        r"|masterauth)\s{1,4}",
        rf"{_COLUMN}{_MIXED}",
        "<secret>",
    ),
    # Tries to guess a password: login attempt [root/hunter2], trying admin:hunter2.
    after(
        r"(?<![a-z])(?:(?:login|auth\w{0,12}|guess\w{0,3}|brute\S{0,6})\s{1,4}(?:attempts?|try"
        r"|tried|guess|incorrect|failed|ok)"
        r"|tr(?:y|ied|ying)|attempt(?:s|ed|ing)?|credentials?|combos?)"
        r"(?:\s{1,4}(?:with|using|as|for|of|login|credentials?|user)){0,2}:?\s{1,4}[\[('\"b]{0,3}"
        r"(?!https?:|[0-9])[\w.@-]{1,40}'?(?::|/(?=[^\s\]]{1,40}\]))",
        rf"(?!/|{IS_MASK}|[0-9]{{1,5}}(?!\w))(?:(?=[^\s/\])]{{0,40}}[0-9!@#$%^&*])|(?<=root.)"
        rf"|(?<=admin.))"
        r"[^\s/\])]{3,40}(?![/\w])",
        "<secret>",
    ),
    after(
        r"(?:isakmp\s{1,4}key|key-string|(?:tacacs|radius)(?:-server)?:?\s(?:[^,;]{0,60}?\s)??key"
        r"|authentication\s{1,4}text|message-digest-key\s{1,4}[0-9]{1,3}\s{1,4}md5)"
        r"\s{1,4}(?:[0-9]\s{1,4})?",
        rf"(?!{IS_MASK})\S+",
        "<secret>",
    ),
    after(r"(?:password|secret)\s{1,4}[0-9]\s{1,4}", rf"(?!{IS_MASK})\S{{6,}}", "<secret>"),
    after(
        r"(?<![a-z])(?:snmp-server\s{1,4})?community\s{1,4}(?:string\s{1,4})?", _WORD, "<secret>"
    ),
    # 482 913 is your code, use 482913 as your sign-in code.
    Rule(
        rf"(?<![\w-])(?:[a-z]{{1,3}}-)?{_DIGITS}(?=\s{{1,4}}(?:is|as|ist|est|es|è|é|jest|är|это)"
        r"\s{1,4}(?:\S{1,20}\s{1,4}){1,4}\S{0,12}(?:code|pin|otp|password|c[oó]digo|codice|kod"
        r"|код))",
        "<secret>",
    ),
    # Your code: 482913. Code 48-29-13 expires in 10 minutes.
    after(
        r"(?<![a-z])(?:your|enter|use|ihr|dein|votre|ton|tu|su|il\s{1,4}tuo|twój|ваш|sent|send)"
        r"\s(?:\S{1,20}\s{1,4}){0,4}?\S{0,16}(?:code|pin|c[oó]digo|codice|kod"
        r"|код)(?:\s\S{1,12}){0,3}?[\s:=]{1,4}",
        rf"{_DIGITS}(?![\w-])",
        "<secret>",
    ),
    after(
        r"(?:code|pin|otp)(?:(?:\+|%20)\w{1,10}){0,3}(?:\+|%20|[\"']\s?:\s?[\"'])",
        r"[0-9]{6}(?!\w)",
        "<secret>",
    ),
    after(
        rf"(?<![a-z]){_CODES}(?:code|c[oó]digo|codice)[\s:=]{{1,3}}",
        rf"(?:{_GROUPS}|[0-9]{{6}}(?![\w.-]))",
        "<secret>",
    ),
    # The command of FTP and POP3: PASS hunter2; not a test that passed.
    after(
        r"(?<![a-z])(?:command|ftpd?|pop3d?|user\s{1,2}\S{1,64}|c)[:;>]?\s{1,4}(?-i:PASS)\s{1,4}",
        rf"(?!{IS_MASK})\S+",
        "<secret>",
    ),
    after(
        r"sp_password\s{1,4}(?:@\w{1,12}\s?=\s?)?'[^']{0,80}',\s{0,4}'",
        rf"(?!{IS_MASK})[^']+",
        "<secret>",
    ),
    # Codes in other languages: Ihr Code lautet …, votre code de connexion est ….
    after(
        r"(?:code|c[oó]digo|codice|kod|код|(?<![a-z])tan|(?<![a-z])pin)(?:\s{1,4}\S{1,20}){0,3}?"
        r"\s{1,4}(?:lautet|ist|est|es|è|é|jest)\s{0,4}:?\s{1,4}",
        rf"(?:{_GROUPS}|[0-9]{{3,8}})(?!\w)",
        "<secret>",
    ),
    after(
        rf"(?:{_FOREIGN_CODES})(?:\s{{1,4}}[^\s0-9:=]{{1,20}}){{0,5}}[\s:=]{{1,4}}",
        rf"{_DIGITS}(?![\w-])",
        "<secret>",
    ),
    # 2FA: expected 119284, got 119283.
    Rule(
        r"((?<![a-z])(?:2fa|mfa|otp|totp|hotp|pin|tan)\W[^\n]{0,40}?(?:expected|wanted|got"
        r"|received|entered|was)"
        r"\s{1,4})[0-9]{4,8}(?:(\W{1,3}(?:but\s)?(?:expected|got|received|entered"
        r"|was)\s{1,4})[0-9]{4,8})?(?!\w)",
        _both,
    ),
    # Codes for the day on which the second factor is lost come in lists.
    after(
        r"(?<![a-z])(?:recovery|backup|scratch|emergency)[\s_-]?(?:codes?|keys?)\W{1,6}",
        rf"(?!{IS_MASK})(?=[a-z-]{{0,20}}[0-9])[\w-]{{4,}}"
        r"(?>(?:[,;\s\"']{1,4}(?=[a-z-]{0,20}[0-9])[\w-]{4,})*)",
        "<secret>",
    ),
    # Codes that are sent to a person.
    after(
        r"(?<![a-z])(?:otp|totp|pin|puk|tan|passcode|cvv2?|cvc2?|csc"
        r"|(?:one[ -]?time|verification|security|confirmation|auth(?:entication|orization)?"
        r"|login|access|2fa|mfa|t?otp|hotp|sms|recovery|backup|pairing|door|voucher"
        r"|reset|activation|unlock|card|pass|pin)[ _-]?(?:code|password|passcode|pin"
        r"|token(?=\s)))s?"
        r"(?:\s{1,4}(?:for|of|to|from)\s{1,4}\S{1,64})?[\s:=#\"'(]{1,4}(?:is|was"
        r"|are)?[\s:=#\"'(]{0,4}",
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
