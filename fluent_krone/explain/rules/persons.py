"""Names of users, where the words around them say so."""

from __future__ import annotations

from .base import EQUALS, IS_MASK, QUOTE, Rule, after, keyed

_USER_KEYS = (
    "user(?:[ _-]?name|[_-]?id)?|(?<![a-z/])login|logname|principal|owner|account|kunde|benutzer"
    "|(?<![a-z])(?:[er]?uid|r?user|usr|acct|email|mail|(?<![.])cn|samaccountname|upn|nick(?:name)?|screen[_-]?name)"
)
# Words after `user` that are no names.
_NO_NAME = (
    r"(?!(?:user|client|is|was|has|had|not|the|an?|does|did|agent|data|ids?|name|session|account|mode|space|request"
    r"|input|error|count|defined|group|list|table|interface|profile|process|config\w*|manual|code|thread"
    r"|time|cpu|and|or|to|for|from|with|in|on|at|by|of|cannot|can|may|must|will|action|event|info\w*"
    r"|role|service|login|logged|level|limit|quota|pool|store|cache|key|token|password|type|value|who"
    r"|that|this|realm|already|authentication|unknown|database|settings|scope)(?![\w.-]))"
)
# Names of fields that hold the name of a person.
_PERSON_KEYS = (
    "(?:first|last|sur|given|family|full|middle|maiden|customer|contact|patient|employee"
    "|account|subscriber|recipient|sender|card[ _-]?holder|holder|passenger|guest|student|vor|nach)"
    "[ _-]?names?|cardholder|patient|kundenname|benutzername|utilisateur|usuario|utente|gebruiker"
    "|пользователь|用户名?|ユーザー名?"
)
_NAME = rf"(?!{IS_MASK}){_NO_NAME}[\w.@+\\-]{{1,64}}(?<![.,:;])"
_DOES = (
    r"(?=[\"']?[\s,]{1,4}(?:has|was|is|had|did|does|logged|logs?|signed|authenticated|connected|disconnected"
    r"|created|deleted|locked|unlocked|failed|not|tried|attempted|requested|from|with|at|on|added"
    r"|removed|switched|changed|granted|denied|registered|entered|left|joined|successfully|opened"
    r"|closed|started|stopped|accessed|uploaded|downloaded|executed|ran|set|reset|updated|exceeded"
    r"|could|cannot|can|sent|received|expired|unknown|invalid|via|over|using|in|to)(?!\w))"
)
PERSONS: tuple[Rule, ...] = (
    # Names of persons after their key, of one word or several: customer name: Ada King.
    after(
        rf"(?:(?<![a-z])|(?<=[a-z])(?-i:(?=[A-Z])))(?:{_PERSON_KEYS}){EQUALS}{QUOTE}?",
        rf"(?!{IS_MASK})(?-i:[^\W\d_][\w.'-]{{0,40}}(?:,? [A-ZÀ-Þ][\w.'-]{{0,40}}){{0,3}})",
        "<user>",
    ),
    # The name before an address: From: "King, Ada" <ada@example.com>.
    Rule(r"\"[^\"<>]{2,60}\"(?=\s{0,2}<<email>>)", "<user>"),
    Rule(
        r"(?-i:(?<!\w)[A-ZÀ-Þ][\w.'-]{0,40}(?: [A-ZÀ-Þ][\w.'-]{0,40}){1,3})(?=\s{0,2}<<email>>)",
        "<user>",
    ),
    after(r"(?<![a-z])new\s{1,4}user:\s{1,4}name=", rf"(?!{IS_MASK})[^\s,;]+", "<user>"),
    # Streets with a number: Hauptstraße 12, 5 Long Lane.
    Rule(
        r"(?<!\w)(?-i:[A-ZÄÖÜ])[\w.-]{2,30}(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse)"
        r"\s[0-9]{1,4}\s?[a-z]?(?!\w)(?:,? [0-9]{4,5} (?-i:[A-ZÄÖÜ])[\w.-]{1,40})?",
        "<redacted>",
    ),
    Rule(
        r"(?-i:(?<![\w.])[0-9]{1,5}[A-Za-z]?,? (?!Google )"
        r"(?:[A-Z][\w.']{1,20} ){0,2}[A-Z][\w.']{1,20} "
        r"(?:(?:Street|Avenue|Road|Lane|Boulevard|Drive)\b,?|(?:St|Ave|Rd|Ln|Blvd|Dr)[.,])"
        r"(?: (?:Apt|Suite|Unit)\.? [\w-]{1,6})?"
        r"(?:,? [A-Z][a-z]{2,20})?(?:,? [A-Z]{2})?(?:,? [0-9]{5}(?:-[0-9]{4})?)?)",
        "<redacted>",
    ),
    after(
        rf"(?<![a-z])(?:street|home|postal|billing|shipping|mailing|residential)"
        rf"[ _-]?(?:addr(?:ess)?(?:[ _-]?line)?[_-]?[0-9]?){EQUALS}",
        rf"(?!{IS_MASK})(?:\"[^\"]+\"|'[^']+'|[\w. ßäöü-]{{1,60}}[0-9][\w]{{0,6}}|[^\s,;]+)",
        "<redacted>",
    ),
    # `logname= uid=0` has no name.
    keyed(rf"(?:{_USER_KEYS}){EQUALS}(?!(?<=\s)[a-z_]{{1,40}}=)", "<user>"),
    keyed(
        r"(?<![a-z])(?:(?:for|by|from|invalid|as|of|to|unknown|illegal) user\s{1,4}+"
        r"|user\s{1,4}+(?=[\"']))",
        "<user>",
    ),
    keyed(
        r"(?<![a-z])(?:password|publickey|keyboard-interactive(?:/pam)?|gssapi-with-mic) for "
        r"(?:invalid user )?+(?!user\s)",
        "<user>",
        then=r"(?=\s+from\s)",
    ),
    Rule(rf"((?<![a-z])user(?:name)?\s{{1,4}}){_NAME}{_DOES}", r"\1<user>"),
    Rule(
        r"((?<![a-z])(?:log(?:ged|s|in|on)?[ -]?(?:in|on)?|sign(?:ed)?[ -]?in|auth\w{0,12}"
        r"|access|connect(?:ed|ion)?|running|session|su|impersonat\w{1,5})\s{1,4}"
        r"(?:(?:failed|failure|succeeded|success\w{0,4}|denied|granted|attempt|error"
        r"|opened|closed|rejected|refused|accepted)s?\s{1,4})?"
        r"(?:for|by|as|of)\s{1,4}(?:user\s{1,4})?)" + _NAME,
        r"\1<user>",
    ),
    Rule(
        rf"((?<![a-z])account\s{{1,4}}){_NAME}(?=\s{{1,4}}(?:(?:was|has\s{{1,4}}been|is)\s{{1,4}})?"
        r"(?:un)?(?:locked|disabled|enabled|suspended)(?!\w))",
        r"\1<user>",
    ),
    # Users in other languages, where no verb comes at once.
    Rule(
        r"((?<![a-z])(?:benutzer|utilisateur|usuario|utente|gebruiker|пользователь)\s{1,4})"
        r"(?!(?:ist|wird|wurde|hat|nicht|kann|und|oder|est|a|n'est|non|no|ha|es|is|heeft|niet|не"
        r"|existe|inconnu|desconocido|unbekannt|angemeldet|abgemeldet|sconosciuto)(?!\w))" + _NAME,
        r"\1<user>",
    ),
    Rule(rf"((?<![a-z])sudo(?:\[[0-9]{{1,7}}\])?:\s{{1,8}}){_NAME}(?=\s{{1,4}}:)", r"\1<user>"),
    Rule(rf"((?<![a-z])by\s{{1,4}}){_NAME}(?=\(uid)", r"\1<user>"),
    Rule(
        rf"(?<![\w.:-])(?!{IS_MASK}){_NO_NAME}[a-z][\w.-]{{1,40}}"
        r"(?=\s{1,4}(?:logged|signed)\s{1,4}(?:in|out|on|off)(?!\w))",
        "<user>",
    ),
    # A Windows domain and its user; not a key of the registry.
    Rule(
        r"(?-i:(?<![\w\\:])(?!HK)([A-Z][A-Z0-9-]{1,14}\\{1,2}))(?!<)[a-z][\w.-]{1,40}(?![\w\\])",
        r"\1<user>",
    ),
    Rule(
        rf"([/\\]{{1,4}}(?:home|users|mail|spool/cron|var/mail)[/\\]{{1,4}}+)(?!{IS_MASK})[^\s/\\:;,\"')\]]+",
        r"\1<user>",
    ),
)
