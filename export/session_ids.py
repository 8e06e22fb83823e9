"""The ids that a message holds, each as a value for `--session-key` that would find it.

What they are worth says `session_key.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .words import word_set

# Fields that say what and where, not in which execution.
NOT_KEYS = word_set(
    """
    message msg log text time timestamp @timestamp ts date level severity host hostname component
    logger line label pri uptime
    """
)
# Names of executions.
ONE_EXECUTION = "trace|request|req|correlation|transaction|txn|session|operation|execution|job|run"
# Nouns of things that have a number: `order 17` names an order. Behind any other word a number is
# just a number, as in `after 17 tries`.
NOUNS = re.compile(
    r"(?:\w*[_.-])?(?:id|uuid|req|request|trace|span|session|sess|txn|transaction|order|job|task|blk"
    r"|block|batch|conn|connection|call|user|customer|account|client|item|ticket|invoice|payment|cart"
    r"|message|msg|file|upload|download|build|run|step|workflow|shipment|package|parcel|device"
    r"|worker|instance|container|pod|vm|query|command|ride|trip|booking|reservation|case|claim|key"
    r"|robot|agent|runner|machine|vehicle|truck|train|flight|vessel|crane|patient|lot|wafer)s?",
    re.I,
)
# The value of a quoted field of a message: `pod="kube-system/dns-7"`.
QUOTED = re.compile(r"(?<![\w-])(?P<name>[A-Za-z_][\w.]{0,80})=\"(?P<value>[^\"\s]{2,80})\"")
# The first value of a list of such values: `pods=["kube-system/dns-7"]`.
_LISTED = re.compile(r"(?<![\w-])(?P<name>[A-Za-z_][\w.]{0,80})=\[\"(?P<value>[^\"\s]{2,80})\"")
# A name of Kubernetes behind that of its namespace: `application=argocd/shop`.
_IN_NAMESPACE = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z_][\w.-]*)="
    r"(?P<value>[a-z][a-z0-9.-]{0,80}/[a-z0-9][a-z0-9.-]{0,80})(?![\w/:])"
)
# A pair of JSON inside a message.
_JSON_PAIR = re.compile(
    r"\"(?P<name>[A-Za-z_][\w.-]*)\": ?(?:\"(?P<text>[^\"\s]{2,80})\"|(?P<number>-?\d+)(?![\d.]))"
)
# The address of a client, where nothing better tells executions apart.
_ADDRESS = re.compile(
    r"(?P<before>\A(?:\S+ )?|\| +"
    r"|(?<![\w-])(?:src|client|remote|ip|client_ip|remote_addr|SRC|rhost)=|\b(?:from|client:?) |\")"
    r"(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?P<behind>\"|\b(?!\.\d))"
)
_FOUR_NUMBERS = "[0-9]+(?:[.][0-9]+){3}"
# Signs that stand behind an id where none stands before it, as in `5f3a09c1@host`.
_BEHIND = ("@", ":", "|")
# An id behind the name of an execution's id, however it is spelled: `run_id=nightly-2.7`.
_ANY_ID = r"[\w@+-]+(?:[.:][\w@+-]+)*"
_LABELLED = re.compile(
    rf"(?<![\w.-])(?P<name>(?:x[-_])?(?:{ONE_EXECUTION})[-_.]?(?:id|uuid|key))=(?P<value>{_ANY_ID})",
    re.I,
)
# What netfilter says of a packet itself: its length, its number, its ports.
_PACKET = re.compile(r"(?<= DST=)\S+ LEN=.*")
# A date or a clock is no id, whatever stands before it.
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d(?::\d\d)?|\d{1,2}/[A-Z][a-z]{2}/\d{4}")
# Hexadecimal ids of random bits, and their lengths by which one is told from another: a trace from
# its spans.
_HEX = "[0-9a-f]{8,}"
HEX_LENGTHS = (32, 24, 20, 16, 12)
# An id in a message: the word before it with its sign, and the spellings of its value.
_VALUES = {
    # the trace in a `traceparent` of W3C
    "[0-9a-f]{32}(?=-[0-9a-f]{16})": r"[0-9a-f]{32}(?=-[0-9a-f]{16}-)",
    # a message's id of Exim
    "[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}": (
        r"(?=[0-9A-Za-z-]*[0-9])[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}"
    ),
    # one with a number behind it, as WebLogic counts requests
    "[0-9a-f]{8}-[0-9a-f-]{36}": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{8}",
    "[0-9a-f]{8}-[0-9a-f-]{27}": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "[0-9]+(?:_[0-9a-z]+)+": r"[0-9]+(?:_[0-9a-z]+)+",
    "[0-9]+(?:-[0-9]+)+": r"[0-9]+(?:-[0-9]+)+",
    "0x[0-9a-f]+": r"0x[0-9a-f]{4,16}",
    _HEX: r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}",
    # random bytes in base 64, which end with its sign for what is missing of three; a long text has
    # many plus signs and slashes, and is not looked through from each of them on
    r"[0-9A-Za-z+\/]{16,}={1,2}": (
        r"(?<![0-9A-Za-z+/])(?=[0-9A-Z+/]*[a-z])(?=[0-9a-z+/]*[A-Z])(?=[A-Za-z+/]*[0-9])"
        r"[0-9A-Za-z+/]{16,}={1,2}"
    ),
    # random letters and digits of both cases
    "[0-9A-Za-z_-]{16,}": (r"(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[0-9A-Za-z_-]{16,}"),
    # a code of several parts, as ORD-17A
    "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)+": (
        r"[A-Z0-9]+(?:-[A-Z0-9]+)*-(?:[0-9]+[A-Z]|[A-Z]+[0-9])[A-Z0-9]*"
    ),
    # letters and digits in any mixture, as Postfix names a message
    "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,}": r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{6,}",
    # a short one, as `o17`: behind a word only, since names and versions look alike
    "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{2,}": r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{2,5}",
    "-?[0-9]+": r"-?[0-9]+",
}
_RANDOM = "[0-9A-Za-z_-]{16,}"
_CODE = "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)+"
LONG_MIXTURE = "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,}"
_SHORT_MIXTURE = "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{2,}"
# Scripts without blanks between words, and the words of these that stand before a number.
_NO_BLANKS = r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_UNSPACED = re.compile(_NO_BLANKS)
# Signs of vowels are no letters, so that a word seems to begin behind each of them. It is looked
# through from there on as far as this, and once.
_RUN = f"{_NO_BLANKS}{{1,200}}+"
# Characters of a word in such a script, at the most, with the sign behind it.
_LONGEST_UNSPACED = 12
_ID = re.compile(
    rf"(?<![\w-])(?P<before>{_RUN}[:：# 「『【（《“]?|[*#]|№ ?|@ ?|\[|\A\("
    r"|[^\W\d_][\w.]{0,80}?(?:-[^\W\d_]+\.?)?"
    r"(?:[_=:#/°º@~-]|: | #|[°º] | [\"'<(\[$]?|=\")(?:00-)?|)"
    + "(?P<value>"
    + "|".join(f"(?P<v{i}>{text})" for i, text in enumerate(_VALUES.values()))
    + r")(?:(?=-[0-9a-f]{16}-)|(?![A-Za-z0-9_-]|\.\d))"
)
_VALUE_OF = list(_VALUES)
_GROUP_OF_HEX = f"v{_VALUE_OF.index(_HEX)}"
# Words with hyphens between behind another word, as in `container brave-curie`.
HYPHENED = "[0-9a-z]+(?:-[0-9a-z]+)+"
_WORDS = re.compile(rf"(?<![\w-])(?P<before>[^\W\d_]+:? )(?P<value>{HYPHENED})(?![\w-])")
# Ids that say by themselves what they are, whatever stands before them: the address of a network
# card, of a person, of a connection, the number of a bank account, and codes of several parts, one
# of which has letters and digits, as ZN20001-55 and ORD-17A.
TYPED = (
    r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:])",
    r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}(?![\w.])",
    r"(?<![\w.])(?:[0-9]{1,3}[.]){3}[0-9]{1,3}:[0-9]{2,5}(?![\w.])",
    r"\b[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}\b",
    r"\b[A-Z]+[0-9][0-9A-Z]*(?:-[0-9A-Z]+)+\b",
    r"\b[A-Z]+-[0-9]+[A-Z][0-9A-Z]*\b",
)


def _pairs(message: str) -> Iterable[tuple[str, str]]:
    """The options for ids that have a name and a clear end: fields of a message."""
    for found in QUOTED.finditer(message):
        if found["name"].lower() not in NOT_KEYS:
            name = re.escape(found["name"])
            yield f'/{name}="([^"]+)"/', found["value"]
    for found in _LISTED.finditer(message):
        yield f'/{re.escape(found["name"])}=\\["([^"]+)"/', found["value"]
    for found in _IN_NAMESPACE.finditer(message):
        yield f"/{re.escape(found['name'])}=([^\\s,;]+)/", found["value"]
    for found in _JSON_PAIR.finditer(message):
        name = re.escape(found["name"])
        if found["name"].lower() in NOT_KEYS:
            continue
        if found["text"]:
            yield f'/"{name}": ?"([^"]+)"/', found["text"]
        else:
            yield f'/"{name}": ?(-?[0-9]+)/', found["number"]
    yield from _addresses(message)


def ids_in(message: str) -> Iterable[tuple[str, str]]:
    """The options for all ids in a message, each with the id that it finds."""
    message = _PACKET.sub("", message)
    yield from _pairs(message)
    for form in TYPED:
        for found in re.finditer(form, message):
            yield f"/({form})/", found[0]
    for found in _WORDS.finditer(message):
        yield f"/{found['before']}({HYPHENED})/", found["value"]
    labelled = [*_LABELLED.finditer(message)]
    message = _DATE.sub(lambda date: " " * len(date[0]), message)
    spelled = [*_ID.finditer(message)]
    yield from _by_length(found["value"] for found in spelled if found[_GROUP_OF_HEX])
    for found in labelled:
        if not any(one.span("value") == found.span("value") for one in spelled):
            yield f"/{_escaped(found['name'])}=({_ANY_ID})/", found["value"]
    for found in spelled:
        value = _value_of(found, found["before"])
        if value is not None:
            for option in _options(found["before"], value, message[found.end() :][:1]):
                yield option, found["value"]


def of_length(digits: int) -> str:
    """The expression for a hexadecimal id of so many digits."""
    return rf"(?<![0-9a-f])[0-9a-f]{{{digits}}}(?![0-9a-f])"


def _by_length(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The options for hexadecimal ids of several lengths in one message."""
    of_lengths = {len(value): value for value in values}
    if len(of_lengths) > 1:
        for digits in of_lengths.keys() & set(HEX_LENGTHS):
            yield f"/{of_length(digits)}/", of_lengths[digits]


def labelled(name: str) -> str:
    """The expression for the value behind a name, as in `call=7a@b`, `call: 7a`, `"call": "7a"`."""
    return rf'\b{name}"?[=:] ?"?([^\s",;}}]+)'


def _options(before: str, value: str, behind: str) -> Iterable[str]:
    """The options for an id that is spelled as `value`, by what stands before and behind it."""
    is_number = value == "-?[0-9]+"
    if _UNSPACED.match(before):
        # Where the word before it begins, nothing tells. Each of its possible beginnings is one,
        # and that which most messages have wins.
        shortest = 1 + before.endswith(" ")
        for length in range(shortest, min(len(before), _LONGEST_UNSPACED) + 1):
            yield f"/{_escaped(before[-length:])}({value})/"
    elif before.endswith(("_", "-")):
        yield f"/{_escaped(before)}{value}/"
    elif is_number and before.endswith("/") and not NOUNS.fullmatch(before.rstrip("/")):
        # `curl/7` names nothing, while `after 17` is looked into by `session_key.py`.
        return
    elif before:
        yield f"/{_escaped(before)}({value})/"
    elif not is_number:
        yield f"/{value}/"
        # The sign behind an id tells it from numbers and hashes that the message has as well.
        if behind in _BEHIND:
            yield f"/({value}){re.escape(behind)}/"


def _escaped(text: str) -> str:
    """A text in an option, where a slash would end it."""
    return re.escape(text).replace("\\ ", " ").replace("\\-", "-").replace("/", "\\/")


def _addresses(message: str) -> Iterable[tuple[str, str]]:
    """The options for addresses of clients."""
    for found in _ADDRESS.finditer(message):
        # In quotes, it is one without a port: that is the server's.
        if '"' not in (found["before"], found["behind"]):
            before = found["before"]
            if found.start() == 0:
                before = r"^\S+ " if before else "^"
            before = re.sub(" +", " +", before.replace("|", "[|]"))
            form = "[0-9.]+" if before.endswith("=") else _FOUR_NUMBERS
            yield f"/{before}({form})/", found["value"]
        elif found["before"] == found["behind"]:
            yield f'/"({_FOUR_NUMBERS})"/', found["value"]


def _value_of(found: re.Match[str], before: str) -> str | None:
    """How an id in a message is spelled; None where it is too short to be one."""
    value = _VALUE_OF[next(i for i in range(len(_VALUES)) if found[f"v{i}"])]
    if value not in (LONG_MIXTURE, _SHORT_MIXTURE, _RANDOM, _CODE):
        return value
    if before.endswith(" ") or NOUNS.fullmatch(before.rstrip(" :/-=#")):
        if value in (_RANDOM, _CODE):
            return value
        # Ids of one kind may be shorter and longer ones.
        return _SHORT_MIXTURE
    if value == LONG_MIXTURE or (value == _RANDOM and before.endswith(("=", "["))):
        return value
    return None
