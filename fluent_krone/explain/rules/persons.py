"""Names of users, where the words around them say so."""

from __future__ import annotations

from .base import EQUALS, IS_MASK, QUOTE, Rule, after, keyed

_USER_KEYS = (
    "user(?:[ _-]?name|[_-]?id)?|(?<![a-z/])login(?:[_-]?(?:name|id))?|gebruikers?naam"
    "|u[zż]ytkownik|kullan[iı]c[iı](?:[ _]ad[iı])?"
    "|(?:bruker|anv[aä]ndar)navn|anv[aä]ndarnamn|brugernavn|k[aä]ytt[aä]j[aä]\\w{0,6}"
    "|u[zž]ivatel\\w{0,6}|felhaszn[aá]l[oó]\\w{0,5}"
    "|utilizator|korisnik|χρήστης|משתמש|người dùng|ผู้ใช้|उपयोगकर्ता|اسم المستخدم|사용자(?:명|이름)?"
    "|(?<![a-z])(?:u_?name|set_id|auth[cz]?id|whoami|run_?as|approver|assignee|committer|reviewer)"
    "|(?<![a-z])(?:created|updated|modified|changed|requested|approved|owned|deleted|submitted"
    "|assigned"
    "|signed|issued|triggered|started)[_-]?by|logname|principal|owner|account|kunde|benutzer"
    "|(?<![a-z])(?:[er]?uid|r?user|usr|acct|email|mail|(?<![.])cn|samaccountname|upn"
    "|nick(?:name)?|screen[_-]?name)"
)
# Words after `user` that are no names.
_NO_NAME = (
    r"(?!(?:user|client|is|was|has|had|not|the|an?|does|did|agent|data|ids?|name|session|account"
    r"|mode|space|request"
    r"|input|error|count|defined|group|list|table|interface|profile|process|config\w*|manual|code"
    r"|thread"
    r"|time|cpu|and|or|to|for|from|with|in|on|at|by|of|cannot|can|may|must|will|action|event"
    r"|info\w*"
    r"|role|service|login|logged|level|limit|quota|pool|store|cache|key|token|password|type|value"
    r"|who"
    r"|\w{2,20}ly|been|be|just|now|that|this|realm|already|authentication|unknown|database"
    r"|settings|scope|shell|home)(?![\w.-]))"
)
# Names of fields that hold the name of a person.
_PERSON_KEYS = (
    "(?:first|last|sur|given|family|full|middle|maiden|display|real|legal|customer|contact"
    "|patient|employee"
    "|client|account|subscriber|recipient|sender|card[ _-]?holder|holder|passenger|guest|student"
    "|vor|nach)"
    "[ _-]?names?|kund(?:e|in)|card[ _-]?holder|patient|doctor|beneficiary|insured"
    "|next[ _]of[ _]kin|gecos|name[ _-]?id"
    "|(?<![a-z])(?:nom|pr[eé]nom|nombre|apellidos?|voornaam|achternaam|cognome|sobrenome|imi[eę]"
    "|nazwisko|f[oö]rnamn|efternamn|fornavn|etternavn|etunimi|sukunimi|soyad[iı]?|jm[eé]no"
    "|p[rř][ií]jmen[ií]|empf[aä]nger|absender|ansprechpartner|destinataire|destinatario|mittente"
    "|kontoinhaber\\w{0,2}|inhaber|titulaire|titular|intestatario)"
    "|收件人|寄件人|联系人|받는\\s?사람|получатель|отправитель|фамилия|имя|отчество|ф\\.?и\\.?о\\.?|姓名|氏名|お名前"
    "|성명|kundenname|benutzername|utilisateur|usuario|utente|gebruiker"
    "|пользователь|用户名?|ユーザー名?"
)
# What stands between the key of an address and its value.
_LINE = rf"(?:[ _-]?(?:line)?[ _-]?[0-9]?){EQUALS}"
# A word with a capital, and names of several such words.
_CAPITAL = r"[A-ZÀ-ÞА-Я][\w.'’-]{0,40}"
_NAME = rf"(?!{IS_MASK}){_NO_NAME}[\w.@+\\-]{{1,64}}(?<![.,:;])(?!\suser\s)"
_DOES = (
    r"(?=[\"']?[\s,]{1,4}(?:has|was|is|had|did|does|logged|logs?|signed|authenticated|connected"
    r"|disconnected"
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
    # Without a sign between: cardholder ADA KING, patient Ada King, Frau King.
    after(
        r"(?<![a-z])(?:card[ _-]?holder|patient|passenger|employee|citizen|applicant|buyer|seller"
        r"|payer|payee|borrower|Kundin|Kunde"
        r"|author|impersonating|participant|attendee|(?:message|mail)\sfrom)\s{1,2}[\"']?",
        rf"(?!{IS_MASK})(?-i:{_CAPITAL}(?: {_CAPITAL}){{1,3}}(?!\w))",
        "<user>",
    ),
    # Milliseconds at the end of a sentence are no Ms.: "after 71 ms. No such node".
    after(
        r"(?<![a-z])(?!(?<=[0-9]\s)(?-i:ms))"
        r"(?:Herrn?|Frau|Familie|Mrs?\.?|Ms\.?|Dr\.|Prof\.|Mme|Mlle|Sra?\.|Señora?|Signora?|Sig\.|Pani?|г-н)\s{1,2}",
        rf"(?!{IS_MASK})(?-i:{_CAPITAL}(?: {_CAPITAL}){{0,3}}(?!\w))",
        "<user>",
    ),
    # After keys that may name other things as well, only names of several words.
    after(
        rf"(?<![a-z])(?:author|guest|contact(?:[ _-]?person)?|attn|nurse|teacher"
        rf"|lawyer"
        rf"|(?:signed|reviewed|prepared|written)[ _-]by|name\s(?:of(?:\sthe)?|des|der|du|de\sla"
        rf"|del|della)"
        rf"\s\S{{1,20}}){EQUALS}{QUOTE}?",
        rf"(?!{IS_MASK})(?-i:[A-ZÀ-ÞА-Я][a-zß-ÿа-я'’-]{{1,20}}"
        r"(?: [A-ZÀ-ÞА-Я][a-zß-ÿа-я'’-]{1,20}){1,2}(?![\w:]))",
        "<user>",
    ),
    # A name beside the other things that one writes of a person.
    after(
        rf"(?<![a-z])name{EQUALS}{QUOTE}?",
        rf"(?-i:{_CAPITAL}(?: {_CAPITAL}){{1,3}}(?!\w))(?=[^\n]{{0,80}}(?:street|line1|address"
        r"|postcode|phone|birth|dob|<redacted>|<email>|<phone>))",
        "<user>",
    ),
    # SAML: <Attribute Name="uid"><AttributeValue>ada</AttributeValue>.
    after(
        rf"name={QUOTE}(?:[\w:/.-]{{1,80}}[:/])?\w{{0,20}}(?:{_PERSON_KEYS}|{_USER_KEYS}|sn"
        rf"|street|phone)\w{{0,12}}{QUOTE}"
        r"[^<>]{0,200}>(?:\s{0,4}<[\w.:-]{1,40}value(?:\s[^<>]{0,200})?>)?",
        rf"(?!{IS_MASK}<)[^<>\n]{{1,80}}(?=</)",
        "<user>",
    ),
    # XML: <lastName>King</lastName>, <saml:NameID Format="x">ada</saml:NameID>.
    after(
        rf"<(?:[\w.-]{{1,40}}:)?(?:{_PERSON_KEYS}|{_USER_KEYS}|name[ _-]?id|street|city"
        rf"|addr\w{{0,10}}|zip"
        r"|postal\w{0,6}|phone\w{0,8}|birth\w{0,6})(?:\s[^<>]{0,200})?>",
        rf"(?!{IS_MASK}<)[^<>\n]{{1,80}}(?=</)",
        "<user>",
    ),
    # Numbers that Windows gives to users.
    Rule(r"(?<!\w)S-1-5-21(?:-[0-9]{1,10}){3,5}(?!\w)", "<user>"),
    # The name before an address: From: "King, Ada" <ada@example.com>.
    Rule(
        r"\"[^\"<>]{2,60}\"(?=\s{0,2}<(?:<(?:email|phone|user)>|sips?:|tel:|\+?[0-9]{3,15}>))",
        "<user>",
    ),
    Rule(
        r"(?-i:(?<!\w)[A-ZÀ-Þ][\w.'-]{0,40}(?: [A-ZÀ-Þ][\w.'-]{0,40}){1,3})(?=\s{0,2}<<email>>)",
        "<user>",
    ),
    after(r"(?<![a-z])new\s{1,4}user:\s{1,4}name=", rf"(?!{IS_MASK})[^\s,;]+", "<user>"),
    # Streets with a number: Hauptstraße 12, 5 Long Lane.
    Rule(
        r"(?<!\w)(?-i:[A-ZÄÖÜ])[\w.-]{2,30}[ -]?(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse)"
        r"\s[0-9]{1,4}\s?[a-z]?(?!\w)(?:,? [0-9]{4,5} (?-i:[A-ZÄÖÜ])[\w.-]{1,40})?",
        "<redacted>",
    ),
    Rule(
        r"(?-i:(?<![\w.])[0-9]{1,5}[A-Za-z]?,? (?!Google )"
        r"(?:[A-Z][\w.']{1,20} ){0,2}[A-Z][\w.']{1,20} "
        r"(?:(?:Street|Avenue|Road|Lane|Boulevard|Drive|Grove|Close|Terrace|Crescent|Gardens)\b,?"
        r"|(?:St|Ave|Rd|Ln|Blvd|Dr)(?:[.,]| (?:[NS]?[EW]|[NS])\b,?))"
        r"(?: (?:Apt|Suite|Unit)\.? [\w-]{1,6})?"
        r"(?:,? [A-Z][a-z]{2,20})?(?:,? [A-Z]{2})?(?:,? [0-9]{5}(?:-[0-9]{4})?)?)",
        "<redacted>",
    ),
    # Calle Mayor 5, 14 rue de la Paix.
    Rule(
        r"(?-i:(?<![\w.])(?:[0-9]{1,4}(?: ?bis| ?ter|[A-Za-z])?,? )?"
        r"(?:[Rr]ue|[Aa]venue|[Cc]alle|[Aa]venida|Av\.|[Rr]ua|[Pp]iazza|[Pp]laza|[Vv]iale|[Uu]l\."
        r"|ул\.)"
        r" (?:(?:de[lis]?|dell[ao]|d[aou]s?|l[aeo]s?|l') ?){0,3}[A-ZÀ-ÞА-Я][\w'-]{1,30}"
        r"(?: [A-ZÀ-Þ][\w'-]{1,30}){0,2}(?:,? [0-9]{1,4}[A-Za-z]?(?!\w))?)"
        r"(?:,? (?:[0-9]{4,5}|[0-9]{2}-[0-9]{3}) (?-i:[A-ZÀ-Þ])[\w-]{1,30})?",
        "<redacted>",
    ),
    # A number or a street with one, a code and a town: Am Markt 3, 07743 Jena; 80331 München, ….
    Rule(
        r"(?-i:(?<!\w)(?:[A-ZÀ-Þ][\w.'-]{1,30} ){1,3}[0-9]{1,4}[a-z]?, (?:[A-Z]{1,2}-)?"
        r"(?:[0-9]{4,5}|[0-9]{3} [0-9]{2}) [A-ZÀ-Þ][\w-]{2,30}(?![^\s,.;)\"'}])(?! [a-z]))",
        "<redacted>",
    ),
    Rule(
        r"(?-i:(?<!\w)[0-9]{1,5}[A-Za-z]? (?:[A-Z][\w.']{0,20},? ){1,6}[A-Z]{2} [0-9]{5}(?![\w-]))",
        "<redacted>",
    ),
    # Addresses after their key: of their words one begins with a capital, and one is a number.
    after(
        rf"(?:(?<![a-z])(?:straße|strasse|rue|calle|street(?:[_-]?name)?|line[_-]?[12]|wohnort)"
        rf"|addr(?:ess)?e?|anschrift|direcci[oó]n|domicilio|indirizzo|endere[cç]o|adres|adress"
        rf"|osoite"
        rf"|adresa|адрес|住所|地址|주소){_LINE}{QUOTE}?",
        rf"(?!{IS_MASK})(?-i:(?=[^;\n]{{0,50}}[A-ZÀ-ÞА-Я一-龥가-힣])(?=[^;\n]{{0,60}}[0-9])"
        r"(?:[0-9]{1,5}[A-Za-z]?,? (?=[^;\n]{0,40}[A-Z])|[А-Яа-я]\S{1,}|[A-ZÀ-Þ]\S{2,}"
        r"(?=[^;\n]{0,60}?(?<![0-9])[0-9]{1,5}(?:[-/][0-9]{1,4})?[A-Za-z]?(?:[,;\"'}\])|]|$"
        r"|\s[\w-]{1,20}[=:]))|[一-龥가-힣])"
        r"(?:(?![,\s]{1,2}[\w-]{1,20}[=:])[^;\n\"'<>|=&{}]){4,90})",
        "<redacted>",
    ),
    after(
        rf"(?<![a-z])(?:street|home|postal|billing|shipping|mailing"
        rf"|residential)[ _-]?addr(?:ess)?{_LINE}",
        rf"(?!{IS_MASK})(?:\"[^\"]+\"|'[^']+'|[^\s,;]+)",
        "<redacted>",
    ),
    after(
        rf"(?<![a-z])(?:post(?:al|leitzahl)?[ _-]?code|zip(?:[ _-]?code)?|plz|code[ _]postal"
        rf"|postnr)"
        rf"(?:{EQUALS}|\s{{1,2}}){QUOTE}?",
        r"(?=[a-z -]{0,6}[0-9])[a-z0-9]{2,6}(?:[ -][a-z0-9]{2,4})?(?!\w)",
        "<redacted>",
    ),
    # `logname= uid=0` has no name.
    keyed(rf"(?:{_USER_KEYS}){EQUALS}(?!(?<=\s)[a-z_]{{1,40}}=)", "<user>"),
    keyed(
        r"(?<![a-z])(?:(?:for|by|from|invalid|as|of|to|unknown|illegal|authenticating) user\s{1,4}+"
        rf"{_NO_NAME}"
        r"|user\s{1,4}+(?=[\"'\[]))",
        "<user>",
    ),
    keyed(
        r"(?<![a-z])(?:password|publickey|keyboard-interactive(?:/pam)?|gssapi-with-mic) for "
        r"(?>(?:invalid user )?)(?!user\s)",
        "<user>",
        then=r"(?=\s+(?:from|changed|reset|expired|updated|was|has|is)\s)",
    ),
    Rule(rf"((?<![a-z])user(?:name)?\s{{1,4}}){_NAME}{_DOES}", r"\1<user>"),
    # user ada: …, USER ada (…, user ada 10.0.0.7, for user [ada] -> [ada], to @ada.
    Rule(rf"((?<![a-z])user\s{{1,4}}){_NAME}(?=:\s|\)|\s[(\[]|\s<ip>)", r"\1<user>"),
    after(r"<user>\s\(", rf"{_NAME}(?=\)\s)", "<user>"),
    after(
        r"(?<![a-z])(?:impersonating|on\sbehalf\sof|owner(?:ship)?\s(?:changed|transferred)\sfrom"
        r"|owner(?:ship)?\s(?:changed|transferred)\sfrom\s<user>\sto)\s{1,2}",
        rf"(?!(?:the|a|an)\s){_NAME}",
        "<user>",
    ),
    after(
        r"(?<![a-z])(?:peer|username|role|login|principal|owner|account)\s{1,2}[\"']",
        rf"{_NAME}(?=[\"'])",
        "<user>",
    ),
    # As airlines write it: KING/ADA MRS.
    Rule(r"(?-i:(?<!\w)[A-Z]{2,20}/[A-Z]{2,20} (?:MR|MRS|MS|MISS|MSTR)(?!\w))", "<user>"),
    Rule(rf"(<user>\]?\s{{1,2}}->\s{{1,2}}\[?){_NAME}", r"\1<user>"),
    after(
        r"(?<![a-z])(?:to|from|by|user|mention(?:s|ed)?|follow(?:s|ed)?|block(?:s|ed)?)\s{1,2}@",
        r"(?!timestamp|version|type)[a-z_][\w.]{2,30}(?![\w/])",
        "<user>",
    ),
    # for ada from 10.0.0.7, ada connected from 10.0.0.7, su for root by ada, added ada to group x.
    after(r"\sfor\s{1,2}", rf"{_NAME}(?=\sfrom\s<ip>)", "<user>"),
    Rule(
        rf"(?<![\w.:-])(?!{IS_MASK}){_NO_NAME}[a-z][\w.-]{{1,40}}"
        r"(?=\s(?:dis)?(?:connected|authenticated|logged\sin|signed\sin)\sfrom\s<ip>)",
        "<user>",
    ),
    after(r"<user>\sby\s{1,2}", _NAME, "<user>"),
    after(
        r"(?<![a-z])(?:added|removed)\s{1,2}",
        rf"(?![0-9]){_NAME}(?=\s(?:to|from)\sgroup\s)",
        "<user>",
    ),
    after(r"<user>\\{1,2}\[", _NAME, "<user>"),
    after(
        r"(?<![a-z])(?:assignee|reviewer|approver)\s(?:is|was|(?:changed|set)\sto)\s{1,2}",
        _NAME,
        "<user>",
    ),
    after(r"<user>\)\s(?-i:REPLACE|LIST|DELETE|EDIT)\s\(", r"(?!<)[\w.-]{1,40}", "<user>"),
    # cron: (ada) CMD (…), su: (to root) ada on pts/1.
    Rule(
        r"(?<=\()(?!root\))(?-i:[a-z_][\w.-]{1,31})(?=\)\s{1,2}(?-i:CMD|CMDOUT|CMDEND|RELOAD|MAIL"
        r"|LIST"
        r"|REPLACE|BEGIN EDIT|END EDIT)(?!\w))",
        "<user>",
    ),
    after(r"\(to\s[^\s()]{1,40}\)\s{1,2}", rf"(?!{IS_MASK})[\w.-]{{1,40}}(?=\son\s)", "<user>"),
    # Patients in HL7, and persons in vCard and FHIR.
    Rule(
        r"(?-i:(?<![A-Za-z0-9])(?:PID|NK1|GT1|IN1)\|[0-9]{0,4}\|)(?!<user>)[^\r\n]+", "PID|<user>"
    ),
    after(r"(?-i:(?<!\w)FN:)", rf"(?-i:{_CAPITAL}(?: {_CAPITAL}){{0,3}})", "<user>"),
    after(
        r"\"(?:family|given)\"\s{0,2}:\s{0,2}\[?\"",
        rf"(?!{IS_MASK})(?-i:[A-ZÀ-Þ][a-zß-ÿ][^\"]{{1,60}})",
        "<user>",
    ),
    Rule(
        r"((?<![a-z])(?:log(?:ged|s|in|on)?[ -]?(?:in|on)?|sign(?:ed)?[ -]?in|auth\w{0,12}"
        r"|access|connect(?:ed|ion)?|running|session|slice|su|impersonat\w{1,5})\s{1,4}"
        r"(?:(?:failed|failure|succeeded|success\w{0,4}|denied|granted|attempt|error"
        r"|opened|closed|rejected|refused|accepted)s?\s{1,4})?"
        r"(?:for|by|as|of)\s{1,4}(?:user\s{1,4})?)(?![0-9.]{1,12}(?!\w))" + _NAME,
        r"\1<user>",
    ),
    # Password changed for ada. In access logs: 10.0.0.7 - ada [01/May/2024:…].
    after(
        r"(?:password|passwd|account|keys?)\s(?:was\s)?(?:changed|reset|set|updated|expired"
        r"|locked|unlocked|added)"
        r"\s(?:for|by)\s(?:user\s)?",
        _NAME,
        "<user>",
    ),
    after(r"\s-\s", rf"(?!-){_NAME}(?=\s\[[0-9]{{2}}/)", "<user>"),
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
        rf"([/\\]{{1,4}}(?:home|users|mail|spool/cron|var/mail)[/\\]{{1,4}}+)(?!{IS_MASK}"
        rf"|(?:password|new|me|sign_?[iu][np]|log_?in|search|list)(?![\w.-]))"
        r"(?:[^\s/\\:;,\"')\]]+(?: [^\s/\\:;,\"')\]]+){1,3}(?=\\)|[^\s/\\:;,\"')\]]+)",
        r"\1<user>",
    ),
)
