"""Secrets that are known by their form.

That of some tokens and hashes tells the issuer: `ghp_…`, `AKIA…`, `hvs.…`, `$2b$…`. Most unknown
kinds of secrets look like random words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from .base import ALONE, ENDS, Rule

_PREFIXES = (
    # GitHub, GitLab, Slack, npm, PyPI, Hugging Face, Google
    "gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox[a-z][.-]|xapp-|npm_|pypi-|hf_|ya29\\.|1//0|GOCSPX-"
    "|AIza"
    # OpenAI, Anthropic, Stripe, DigitalOcean, SendGrid, Shopify, Square, Docker Hub
    "|sk-|[sprw]k_(?:live|test)_|whsec_|do[opr]_v1_|SG\\.|shp(?:at|ca|pa|ss)_|sq0[a-z]{3}-"
    "|dckr_pat_"
    # Vault, Databricks, Grafana, Atlassian, Bitbucket, Postman, New Relic, Sentry, Linear, Notion
    "|hv[sbr]\\.|dapi(?=[0-9a-f]{10})|gl(?:sa|c)_|ATATT3x|ATBB|ATCTT3x|PMAK-|NRAK-|NRJS-"
    "|sntry[su]_|lin_api_|ntn_|secret_"
    # Supabase, PlanetScale, Pulumi, Doppler, Netlify, Fly, RubyGems, Artifactory, Alibaba, Tencent
    "|sbp_|pscale_[a-z]{2,8}_|pul-|dp\\.(?:pt|st|sa|ct|scim)\\.|nf[pc]_|fo1_|fm2_|rubygems_|AKCp"
    "|LTAI|AKID|AQVN"
    # Mailgun, age, Terraform, Facebook, EasyPost, Flutterwave, Dropbox, Figma, Airtable, Replicate
    "|key-(?=[0-9a-f]{20})|AGE-SECRET-KEY-|tfr?_|EAA[A-Z]|Atz[ar]\\||EZ[AT]K|FLW(?:SECK|PUBK)"
    "|sl\\.[A-Z]|figd_|r8_|pat(?=[A-Z0-9]{14}\\.)"
    # CircleCI, Buildkite, Clojars, Contentful, Adafruit, Confluent, Prefect, Groq, xAI, Perplexity
    "|CCIPAT_|bk(?:ua|at)_|CLOJARS_|CFPAT-|aio_|cflt|pnu_|gsk_|xai-|pplx-|tskey-|sgp_|lsv2_|phc_"
    "|phx_"
)
FORMS: tuple[Rule, ...] = (
    Rule(
        r"((?<![a-z])(?:bearer|basic|negotiate|ntlm|apikey|digest|ssws|splunk|jwt"
        r"|hawk)\s{1,4})(?=(?-i:[a-z._~+/=-]{0,7}[0-9A-Z])|\S{16})"
        r"[a-z0-9._~+/=:-]{8,}",
        r"\1<token>",
    ),
    Rule(rf"{ALONE}(?:A[KS]IA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{{16}}(?![A-Za-z0-9_-])", "<token>"),
    Rule(rf"{ALONE}(?:{_PREFIXES})[\w.~/+=-]{{10,}}", "<token>"),
    Rule(rf"{ALONE}(?:AC|SK|AP|CA|SM|MM|PN|CN)[0-9a-f]{{32}}{ENDS}", "<token>"),
    Rule(rf"{ALONE}0x[0-9a-f]{{32,}}(?![0-9a-z])", "<token>"),
    # Azure AD: three characters, a digit, `Q~`.
    Rule(r"(?<![\w.~-])[\w.~-]{3}[0-9]Q~[\w.~-]{20,}", "<token>"),
    Rule(rf"{ALONE}[0-9a-f]{{32}}-us[0-9]{{1,2}}{ENDS}", "<token>"),
    # Telegram, Vault's first form, Kubernetes bootstrap tokens, Terraform Cloud, Discord.
    Rule(r"(?<![\w:])(?:bot)?[0-9]{8,10}:[\w-]{30,}", "<token>"),
    Rule(rf"{ALONE}s\.[a-z0-9]{{20,}}{ENDS}", "<token>"),
    Rule(r"(?<![\w.-])[a-z0-9]{6}\.(?=[a-z]{0,15}[0-9])[a-z0-9]{16}(?![\w.-])", "<token>"),
    Rule(r"(?<![\w.-])[\w-]{10,20}\.atlasv1\.[\w-]{20,}", "<token>"),
    Rule(r"(?<![\w.-])[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{25,40}", "<token>"),
    Rule(r"(?<=hooks\.slack\.com/services/)[\w/]+", "<token>"),
    Rule(r"(?<=hooks\.slack\.com/workflows/)[\w/]+", "<token>"),
    Rule(r"((?:discord|discordapp)\.com/api/webhooks/)[\w/-]+", r"\1<token>"),
    Rule(r"((?:webhook\.office\.com|outlook\.office\.com)/webhook\w{0,3}/)[\w@/.-]+", r"\1<token>"),
    Rule(rf"{ALONE}eyJ[\w-]{{5,}}\.[\w.-]+", "<token>"),
    # Hashes of passwords: crypt, bcrypt, argon2, Kerberos, LDAP.
    Rule(
        r"(?<![\w$])\$(?:2[abxy]?|1|5|6|7|y|apr1|argon2\w{0,2}|krb5\w{0,10}|pbkdf2[\w-]{0,12}"
        r"|scrypt|P|H|sha1|md5)"
        r"\$(?:[^\s\"',;]|,(?=[a-z]=)){8,}",
        "<secret>",
    ),
    Rule(r"(\$ANSIBLE_VAULT;[\w.;]{1,40})\s{1,4}[0-9a-f][0-9a-f\s]{15,}", r"\1 <secret>"),
    Rule(
        r"\{(?:S?SHA[0-9]{0,3}|S?MD5|CRYPT|BCRYPT|PBKDF2[\w-]{0,8}|ARGON2)\}[^\s\"',;<]+",
        "<secret>",
    ),
    # As Django and Werkzeug write them: pbkdf2_sha256$260000$salt$…, scrypt:32768:8:1$salt$….
    Rule(
        r"(?<![\w$])(?:pbkdf2|bcrypt|scrypt|argon2|md5|sha1|sha256"
        r"|sha512)[\w:]{0,24}\$[^\s\"',;]{8,}",
        "<secret>",
    ),
    # Keys of products: groups of letters and digits in capitals.
    Rule(
        r"(?-i:(?<![\w-])(?=[0-9-]{0,30}[A-Z])(?=[A-Z-]{0,30}[0-9])"
        r"(?:[A-Z0-9]{5}(?:-[A-Z0-9]{5}){2,7}|[A-Z0-9]{4}(?:-[A-Z0-9]{4}){3,7})(?![\w-]))",
        "<secret>",
    ),
    Rule(r"((?<![a-z])ssh-(?:rsa|dss|ed25519)\s{1,4})[a-z0-9+/=]{16,}", r"\1<token>"),
)


# --- words that look random -----------------------------------------------------------------------

# The least share of neighbouring characters that change their kind (small letter, capital, digit)
# in a random word. In names and paths it is below; of the words that `head -c 15 /dev/urandom
# | base64` gives, 97 of 100 are above.
_MANY_CHANGES = 0.3
_MOST_CHANGES = 0.5
# Parts of names: a capital with small letters, or small letters. A text that consists of them, in
# this share of its characters, is no random word.
_WORDS = re.compile("[A-Z][a-z]{3,}|[a-z]{4,}")
_MOSTLY = 0.7
# Signs that people put into passwords, and that names and paths do not have.
_SIGNS = "!@#$%^&*?~+"
# Characters from which a word of two kinds is judged, and from which one of all three kinds is.
_LONG = 20
_SHORT = 12
# Of a word with signs in it, this many of its characters are capitals, small letters and digits
# each.
_MIXED = 2
# The share of neighbouring characters that differ in kind in such a word.
_TURNS = 0.6
# Characters before a word in which we look for what announces it.
_LOOK_BACK = 40
# Hashes of what is public (a commit, an image, a file), and identifiers that only number something.
# A hash that is not announced like this may be that of a password, and an identifier a token.
_PUBLIC = re.compile(
    r"(?<![a-z])(?:(?:commit|revision|rev|head|md5sum|e-?tag|checksum|merge|parent|container|image|layer"
    r"|manifest)(?:[ _-](?:id|hash|is now at|at|sha))?[\s:=\"'@(]{1,4}(?:sha256:)?[0-9a-f]{7,64}"
    r"|sha(?:1|256|512):[0-9a-f]{40,128}"
    r"|(?:request|trace|span|correlation|transaction|order|job|task|event|message|run|build|batch)"
    r"[_-]?id[\"']?[\s:=]{1,3}[\"']?[0-9a-f]{8}[0-9a-f-]{8,28})$",
    re.IGNORECASE,
)
# An address in memory, but no number of a session.
_ADDRESS = re.compile(r"(?<!session )(?<!session=)(?<!session:)0x[0-9a-f]{1,16}", re.IGNORECASE)
# A product and its version, as browsers name themselves: AppleWebKit/537.
_PRODUCT = re.compile("[A-Za-z]{2,30}/[0-9A-Z]{1,6}")


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


def _is_announced(match: re.Match[str]) -> bool:
    """Whether a word is said to be the hash of something public, or to number something."""
    start = match.start()
    said = match.string[max(start - _LOOK_BACK, 0) : match.end()]
    return _PUBLIC.search(said) is not None


def _is_harmless(match: re.Match[str]) -> bool:
    if _ADDRESS.fullmatch(match.string, *match.span()) or _PRODUCT.fullmatch(match[0]):
        return True
    return _is_announced(match)


def _unless_announced(mask: str) -> Callable[[re.Match[str]], str]:
    def masked(match: re.Match[str]) -> str:
        if _is_announced(match):
            return match[0]
        return mask

    return masked


def _if_random(match: re.Match[str]) -> str:
    """Mask a word that changes between small letters, capitals and digits more than a name does."""
    parts = re.split(r"[^A-Za-z0-9]+", match[0])
    judged = [max(parts, key=len)]
    if not re.search(r"[_-]|=(?=[^=])", match[0]):
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
        if _changes(kinds) >= least and not _is_harmless(match):
            return "<token>"
    if _is_mixed(match[0]) and not _is_harmless(match):
        return "<token>"
    return match[0]


def _is_mixed(word: str) -> bool:
    """Whether capitals, small letters, digits and signs take turns: `9XzR+tPq-LmN4vB7`."""
    kinds = _kinds(word)
    few = min(kinds.count(kind) for kind in "Aa0")
    return len(word) >= _SHORT and few >= _MIXED and _changes(kinds) >= _TURNS


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


RANDOM_WORDS: tuple[Rule, ...] = (
    Rule(
        rf"{ALONE}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![0-9a-z])",
        _unless_announced("<id>"),
    ),
    Rule(
        rf"{ALONE}(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{{32,}}(?![0-9a-z])",
        _unless_announced("<token>"),
    ),
    Rule(r"(?-i:(?<![\w-])[A-Z2-7]{16,64}={0,6}(?![\w-]))", _if_seed),
    Rule(r"(?-i:(?<![\w-])[A-Z2-7]{4}(?:[ -][A-Z2-7]{4}){3,15}(?![\w-]))", _if_seed),
    Rule(r"(?<![a-z0-9+/_=-])[a-z0-9+/_=-]{12,}", _if_random),
    Rule(r"(?<!\S)(?=[^\s<>]{10,64}(?!\S))[\w!@#$%^&*?~+-]+(?!\S)", _if_password),
)
