"""Addresses of machines and mailboxes, and numbers of cards, accounts, persons and phones."""

from __future__ import annotations

import ipaddress
import re

from .base import ALONE, Rule, after


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
ADDRESSES: tuple[Rule, ...] = (
    Rule(
        r"(?<![\w.%+-])[\w.%+-]{1,64}(?:@|%40)(?:[a-z0-9-]{1,63}\.){1,8}[a-z][a-z0-9-]{0,62}",
        "<email>",
    ),
    Rule(r"\"[^\"@<>]{1,64}\"@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}", "<email>"),
    # joe [at] example [dot] com
    Rule(
        r"(?<![\w.%+-])[\w.%+-]{1,64}\s?[\[({] ?at ?[\])}]\s?[\w-]{1,63}"
        r"(?:\s?(?:[\[({] ?(?:dot|\.) ?[\])}]|\.)\s?[\w-]{1,63}){1,8}",
        "<email>",
    ),
    # A password after an address, as in lists of leaked accounts; not a port.
    Rule(r"(<email>):(?![0-9]{1,5}(?![\w]))(?!<)[^\s,;\"']{4,}", r"\1:<secret>"),
    # root@web1, but not org.example.Thing@1b2c3d4e, nor a class with its line, ZooKeeperServer@325
    Rule(
        r"(?<![\w.%+@-])[\w.%+-]{1,64}@(?![0-9]{1,6}(?![\w.-])|[0-9a-f]{4,8}(?![\w.-])|sha256:"
        r"|v?[0-9]+\.[0-9]+\.[0-9]+(?![\w.]))(?=[\w<\[])",
        "<user>@",
    ),
    Rule(r"(?<![0-9a-f:-])(?:[0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}(?![0-9a-f:-])", "<mac>"),
    Rule(r"(?<![\w.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.])", "<mac>"),
    Rule(r"(?<![\w-])[0-9a-f]{6}-[0-9a-f]{6}(?![\w-])(?<![0-9]{6}-[0-9]{6})", "<mac>"),
    Rule(
        # Not the short numbers of what Docker and git keep.
        rf"{ALONE}(?<![_-])(?<!container )(?<!commit )(?<!image )(?<!layer )"
        r"(?=[0-9]{0,11}[a-f])(?=[a-f]{0,11}[0-9])[0-9a-f]{12}(?![\w-])",
        "<mac>",
    ),
    after(
        r"(?<![a-z])(?:mac|hw_?addr|bssid|ether)(?:[ _-]?addr(?:ess)?)?[\s:=]{1,4}",
        r"[0-9a-f]{12}(?!\w)",
        "<mac>",
    ),
    Rule(
        r"(?<![\w:])(?=[0-9a-f]{0,4}:)[0-9a-f:]{2,39}"
        r"(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:])",
        _if_ip6,
    ),
    Rule(r"(?<![0-9])(?<![0-9]\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])", "<ip>"),
    Rule(rf"{ALONE}ip(?:-[0-9]{{1,3}}){{4}}(?![0-9])", "<ip>"),
    # Names of machines that are their addresses: guest-10-0-0-7, 10-0-0-7.example.com.
    Rule(r"(?<=[a-z]-)(?:[0-9]{1,3}-){3}[0-9]{1,3}(?![\w-])", "<ip>"),
    Rule(r"(?<![\w.-])(?:[0-9]{1,3}-){3}[0-9]{1,3}(?=\.[a-z])", "<ip>"),
)
# Names of registers that number persons, and of what is written beside such a number.
_REGISTERS = (
    "dob|of[ _-]birth|birth[ _-]?da(?:te|y)|born(?:[ _]on)?|geburtsdatum|passport"
    "|geboren(?:\\.|[ _])(?:am)?|n[eé]e?[ ]le|geb\\.|nat[oa][ ]il|fecha[ _]de[ _]nacimiento"
    "|birthdate"
    "|date[ _]de[ _]naissance|data[ _]di[ _]nascita|data[ _]de[ _]nascimento|geboortedatum"
    "|fødselsdato|syntymäaika|data[ _]urodzenia|дата[ _]рождения|生年月日|出生日期"
    "|pasaporte|passeport|passaporto|paspoort|paszport|reisepass|personalausweis|ausweis"
    "|identity[ _-]card|id[ _-]card|tax[ _-]?(?:id|file)"
    "|vat[ _-]?(?:id|reg\\w{0,10})|ust-?id|uid-nummer|partita[ _]iva|taxpayer|steuerzahler"
    "|n(?:ational)?[ _-]?insurance|nino|nhs|national[ _-]id|driv(?:er\\S{0,2}|ing)[ _-]licen[cs]e"
    "|permis[ _]de[ _]conduire|licencia[ _]de[ _]conducir|patente[ _]di[ _]guida"
    "|residen(?:ce|t)[ _-]permit|voter[ _-]?id|visa[ _-](?:no|nr|num\\w{0,4})"
    "|(?:student|patient|employee)[ _-]?(?:id|no|nr|num\\w{0,4})|membership[ _-](?:no|num\\w{0,4})"
    "|f[uü]hrerschein|insurance[ _-](?:no|nr|num\\w{0,4}|id|policy)"
    "|social[ _-]security|medicare|steuer-?(?:id|identifikationsnummer|nummer)"
    "|sozialversicherungs|sv-|rentenversicherungs|versicherten|kvnr|cnpj|curp|codice[ _-]fiscale"
    "|s[eé]cu(?:rit[eé][ _]sociale)?|aadhaar|burgerservice|person(?:en?)?nummer"
    "|person(?:al)?n(?:umme)?r|henkil[oö]tunnus|pan card|rfc"
    "|hetu|fodselsnummer|f[oø]dselsnummer|pesel|rodn[eé][ _]?[cč][ií]slo|jmbg|cuit|cuil|cedula"
    "|c[eé]dula|nric|hkid|my[ _-]?number|itin|emirates[ _-]id|imsi|imei|iccid|meid|clabe|snils"
    "|снилс|инн|паспорт|身份证号?码?"
)
# Those of three letters, which are looked for with the sign behind them: `vin` is part of words.
_SHORT_REGISTERS = (
    "cpf|dni|nif|nir|tin|nin|siret|siren|ahv|avs|bsn|cpr|cnp|oib|egn|rut|mrn|vin|rrn|tfn"
)
# A number of a person, in groups and with letters as its register writes it.
_PERSON = (
    r"(?=[a-z]{0,6}[ -]?[0-9])[a-z0-9]"
    r"(?:(?:[./-]| (?=[a-z]{0,3}[0-9]|[a-z](?![a-z0-9])))?[a-z0-9]){5,20}(?![a-z0-9])"
)
# What announces a place on Earth, and what may stand between that and a number.
_PLACES = (
    "geo(?:loc\\w{0,10}|point|hash)?|gps|coord\\w{0,8}|koordinaten|location|position|standort"
    "|latlng"
    "|lat[,/ ]?lo?ng?|point|pos|place|where"
)
_SIGNS = r"[\"']?[\s:=(\[{]{1,4}"
_DEGREES = r"[NSEWO]?\s?[+-]?[0-9]{1,3}\.[0-9]{4,}(?:\s?°?\s?[NSEWO](?!\w))?"
NUMBERS: tuple[Rule, ...] = (
    Rule(
        # Of the long ones, only those of issuers that have them; not the blocks of HDFS.
        r"(?<![0-9])(?<!blk_)(?:[2-6][0-9]{12,15}|(?:5[0678]|6[0-9])[0-9]{15,17}"
        r"|[2-6][0-9]{3}(?:[ -][0-9]{4}){2}[ -][0-9]{1,7})(?![0-9])",
        _if_card,
    ),
    Rule(r"(?<![0-9])3[0-9]{3}[ -][0-9]{6}[ -][0-9]{5}(?![0-9])", _if_card),
    Rule(
        rf"{ALONE}(?<!-)(?:{_IBAN_COUNTRIES})[0-9]{{2}}(?=(?:[ -]?[a-z0-9]){{11,30}})"
        r"(?:[ -]?[a-z]{4})?(?:[ -]?[a-z]{0,4}[0-9][a-z0-9]{0,3}){2,8}(?![a-z0-9])",
        "<iban>",
    ),
    after(
        r"(?<![a-z])(?:iban|account|acct|konto|routing|sort[ _-]code|bic|swift)"
        r"(?:[ _-]?(?:no|nr|num|number))?\.?[\s:=#\"']{1,4}",
        r"(?=[a-z]{0,8}[0-9])[a-z0-9](?:[ -]?[a-z0-9]){5,33}(?!\w)",
        "<iban>",
    ),
    # Social security numbers of the USA, national insurance numbers of the United Kingdom.
    Rule(r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])", "<id>"),
    after(
        r"(?<![a-z])(?:ssn|social\s{1,4}security(?:\s{1,4}number)?)[\s:=#]{1,4}",
        r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}(?!\w)",
        "<id>",
    ),
    Rule(
        rf"{ALONE}[a-ceghj-pr-tw-z]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[a-d](?!\w)", "<id>"
    ),
    # Persons in the registers of countries, announced by their names there.
    after(
        rf"(?<![a-z])(?:{_REGISTERS})"
        r"(?:[ _-]?(?:no|nr|num|number|nummer|id|code))?\.?(?:\s(?-i:[A-Z]{2}))?[\s:=#\"')]{1,5}",
        _PERSON,
        "<id>",
    ),
    after(
        rf"(?<![a-z])(?:{_SHORT_REGISTERS}|(?-i:EIN|NIE|SIN))[ :=\"](?:no|nr|num(?:ber"
        rf"|mer)?)?\.?[\s:=#\"']{{0,5}}",
        _PERSON,
        "<id>",
    ),
    # Dates of birth with the month as a word.
    after(
        r"(?<![a-z])(?:born|geboren|geb\.|né|née|nacid[oa]|nat[oa]|nascid[oa]|urodzon[ya]|född"
        r"|født)"
        r"(?:\s(?:on|am|le|el|il|em))?:?\s{1,2}",
        r"[0-9]{1,2}\.?(?:\sde)?\s[^\W\d_]{3,10}\.?(?:\sde)?\s[0-9]{4}(?!\w)",
        "<id>",
    ),
    # Foreigners in Spain, Brazil (persons and firms), Switzerland, Italy, Mexico, France: their
    # forms are like no other.
    Rule(r"(?-i:(?<![\w-])[XYZ]-?[0-9]{7}-?[A-Z](?![\w-]))", "<id>"),
    Rule(r"(?<![\w.])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![\w.-])", "<id>"),
    Rule(r"(?<![\w.])[0-9]{2}\.[0-9]{3}\.[0-9]{3}/[0-9]{4}-[0-9]{2}(?![\w.-])", "<id>"),
    Rule(r"(?<![\w.])756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}(?![\w.])", "<id>"),
    Rule(r"(?-i:(?<!\w)[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z](?![\w-]))", "<id>"),
    Rule(r"(?-i:(?<!\w)[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[A-Z0-9][0-9](?![\w-]))", "<id>"),
    Rule(
        r"(?<![\w.-])[12] [0-9]{2} (?:0[1-9]|1[0-2]|[2-9][0-9])"
        r" [0-9]{2} [0-9]{3} [0-9]{3} [0-9]{2}(?![\w.-])",
        "<id>",
    ),
    after(
        r"(?:kennzeichen|licen[sc]e[ _-]?plate|number[ _-]?plate|plate[ _-]?n\w{0,5}"
        r"|immatriculation"
        r"|matr[ií]cula|(?<![a-z])targa)[\s:=\"']{1,4}",
        r"(?=[a-zäöü -]{0,8}[0-9])[a-zäöü0-9]{1,8}(?:[ -][a-z0-9]{1,4}){0,3}(?!\w)",
        "<id>",
    ),
    # Places of persons, with four digits behind the point or more: `lat=1.5` may be a latency.
    after(
        rf"(?<![a-z])(?:lat|latitude|lon|lng|long|longitude|breite|l[aä]nge){_SIGNS}",
        r"-?[0-9]{1,3}\.[0-9]{4,}(?!\w|\s?[mnu]?s(?:ec)?(?!\w))",
        "<num>",
    ),
    Rule(
        r"(?<![\w.])-?[1-9][0-9]?\.[0-9]{5,8},\s?-?[0-9]{1,3}\.[0-9]{5,8}(?![\w.]|,\s?-?[0-9])",
        "<num>",
    ),
    after(
        rf"(?<![a-z])(?:{_PLACES})(?:[ _-]?[a-z]{{1,12}}){{0,2}}{_SIGNS}[(\[{{]{{0,2}}",
        rf"{_DEGREES}(?:\s{{0,2}}[,;/|\s]\s{{0,2}}){_DEGREES}(?!\w)",
        "<num>",
    ),
    # In degrees, minutes and seconds.
    Rule(r"[0-9]{1,3}°\s?[0-9]{1,2}['’′]\s?(?:[0-9.]{1,8}(?:\"|”|″|''))?\s?[NSEWO](?!\w)", "<num>"),
    # Phones: with a country code, as written in North America, with a slash, or after their key.
    Rule(r"(?<![\w.+])(?<![0-9][ ])(?:\+|00)[1-9](?:[ .()/-]{0,2}[0-9]){7,14}(?![\w])", "<phone>"),
    Rule(
        r"(?<![\w.-])(?:1[-. ])?(?:\([0-9]{3}\) ?|[0-9]{3}[-. ])[0-9]{3}[-.][0-9]{4}(?![\w.-])",
        "<phone>",
    ),
    Rule(r"(?<![\w./-])0[1-9][0-9]{1,4}[/-][0-9]{6,9}(?![\w./-])", "<phone>"),
    after(
        r"(?:(?<![a-z])(?:tel|fax|mobile?|mobil|m[oó]vil|gsm)|phone|msisdn|handy|whatsapp"
        r"|(?<![a-z])(?:viber|telegram|signal|моб\w{0,8}|сотовый)(?:\s(?:id|number))?"
        r"|ruf(?:nummer)?|telefon\w?|t[eé]l[eé]phone"
        r"|tel[eé]fono|cellulare|celular|telefoon|puhelin|телефон\w?|тел\.|电话|手机号?码?|電話番号?|휴대폰"
        r"|전화)(?:[ _-]?(?:no|nr|num(?:mer|ber|ero)?|n[uú]mero|id))?\.?[\s:=#\"']{1,5}",
        r"\+?\(?[0-9](?:[ ().\/-]{0,3}[0-9]){5,14}(?!\w)",
        "<phone>",
    ),
    # After words that are not about phones alone, only numbers of the length of a phone's.
    after(
        r"(?<![a-z])(?:cell|sms\s{1,4}to|called|dialed|ani|dnis|call\s{1,4}(?:from|to)|caller)"
        r"(?:[ _-]?(?:no|nr|number|id))?\.?[\s:=#\"']{1,5}",
        r"\+?\(?[0-9](?:[ ().\/-]{0,3}[0-9]){8,14}(?!\w)",
        "<phone>",
    ),
    # As written in the United Kingdom and in Russia.
    Rule(r"(?<![\w.-])(?<![0-9] )0[1-9][0-9]{3} [0-9]{6}(?![\w.-]| [0-9])", "<phone>"),
    Rule(r"(?<!\w)[78] ?\([0-9]{3}\) ?[0-9]{3}-[0-9]{2}-[0-9]{2}(?![\w-])", "<phone>"),
)
