"""Mask the values of a message: numbers, ids, addresses, paths become typed wildcards.

Masking looks at the place of a digit, never at its value, so it is memoised on the message with
every digit zeroed.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial

from .line_formats import python_regex
from .templates import WILDCARD

# Characters. The rest of a longer message, like its second line and all below, is one wildcard.
MAX_MESSAGE = 2000
# Entries in each of the two memos of an export. Beyond it, a new message is masked anew each time;
# the memos of a log with more shapes than this would grow with the log.
MEMO = 200_000

# Behind these keys stands what happened, not a value.
SAYS = frozenset(("msg", "message", "event", "text", "reason", "err", "error"))

# An id in hexadecimal digits that has none from 0 to 9, as one of 2,500 with eight digits has none.
# No word has so many of these letters.
_HEX_LETTERS = re.compile(r"[a-f]{8,}|[A-F]{8,}")
# Several of them with slashes between, as in `step 3/9` and `delays=0.1/0/0.02/1.3`, are values of
# their own. Three whole numbers may be a date.
_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?"
_VALUE = re.compile(
    r"""
    (?P<url> [A-Za-z][\w+.-]*:// [^\s,;"'<>()\[\]]+ )
  | (?P<uuid> (?<![0-9A-Za-z]) [0-9a-fA-F]{8} (?:-[0-9a-fA-F]{4}){3}
              - [0-9a-fA-F]{12} (?![0-9A-Za-z]) )
  | (?P<ip> (?<![\w.]) [0-9]{1,3} (?:\.[0-9]{1,3}){3} (?: [:/][0-9]+ )? (?![\w.]*[0-9]) )
  | (?P<ip6> (?<![\w:.]) (?=[^\s]*[0-9])
             (?: (?: [0-9a-fA-F]{0,4}: ){3,7} [0-9a-fA-F]{1,4}
               | (?: [0-9a-fA-F]{1,4} (?: :[0-9a-fA-F]{1,4} )* )?
                 :: (?: [0-9a-fA-F]{1,4} (?: :[0-9a-fA-F]{1,4} )* )? )
             (?: %\w+ )? (?! \w | :[\w:] ) )
  | (?P<nums> (?<![\w.$/@-]) (?: NUMBER (?: / NUMBER ){3,} | NUMBER / NUMBER
              | (?=[0-9/]*\.) NUMBER / NUMBER / NUMBER ) (?! [\w/-] | \.\w ) )
  | (?P<day> (?<!\w) [0-9]{1,2} / [A-Z][a-z]{2} / [0-9]{4} (?: :[0-9:]+ )? (?!\w) )
  | (?P<mail> (?<![\w.@/:-]) \w [\w.+-]* @ (?: [\w-]+\. )+ [a-z]{2,10} (?! [\w@:/-] | \.\w ) )
  | (?P<host> (?<![\w.$/@-]) (?: [\w-]+\. )+ [a-z]{2,10} : [0-9]{1,5} (?!\w) )
  | (?P<path> (?<![\w.$<>)*/\\-]) (?! / [0-9]{1,3} (?:\.[0-9]{1,3}){3} (?![\w.]) )
              (?: [A-Za-z]: | ~ | \.{1,2} )? (?: [/\\]+ [\w.@+~%#$&*-]* \w [\w.@+~%#$&*-]* )+ [/\\]*
            | (?<![\w.$/@-]) [\w.-]+ (?: / [\w.-]+ ){2,} )
  | (?P<hex> (?<![\w]) 0x[0-9a-fA-F]+ (?!\w)
            | (?<![\w.]) (?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9]) [0-9a-fA-F]{6,} (?!\w)
            | (?<![\w.-]) HEX_LETTERS (?![\w.-]) )
  | (?P<span> (?<!\w) P (?:[0-9]+[YMWD])* T (?:[0-9]+(?:[.,][0-9]+)?[HMS])+ (?!\w) )
  | (?P<word> (?![$€£¥₩₹₽] ?[0-9]) [A-Za-z_$\x80-\U0010ffff] [\w$]* (?: [.-]+ [\w$]+ )* )
  | (?P<num> [<>~]?[-+]? [0-9]\w* (?: (?: [.:/,_-]+ | (?<=[eE])\+ ) [0-9]\w* )*
              (?: \.[A-Za-z][\w-]* )* %? )
    """.replace("NUMBER", _NUMBER).replace("HEX_LETTERS", f"(?:{_HEX_LETTERS.pattern})"),
    re.VERBOSE,
)
_PREFIXED = re.compile(r"([A-Za-z]+[_-])(?=\S)|([A-Za-z_]+)[0-9]+\Z")
# A number between words, as in `job1037done`; a random code has capitals, or hardly any vowels.
_WITHIN = re.compile(
    r"(?=[A-Za-z]*[aeiouAEIOU])([A-Za-z][a-z]{2,})[0-9]+((?=[a-z]*[aeiou])[a-z]{4,})"
)
# A pod of Kubernetes: its deployment, and two hashes without vowels.
_POD = re.compile(
    r"([a-z][\w.-]*?-)[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"
)
# Digits of other scripts, as Arabic, Persian and Indian ones.
_OTHER_DIGITS = re.compile(r"(?:(?![0-9])\d)+")
# A word that may be random: an id in letters and digits of both cases, or data in base64.
_RANDOM_FROM = 16
_MAYBE_RANDOM = re.compile(rf"(?<![\w+/.-])[A-Za-z0-9_+/-]{{{_RANDOM_FROM},}}={{0,2}}(?![\w+/=.-])")
# In such a word, a stretch of one kind: a word with or without a capital, capitals, or digits.
_STRETCH = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_JOINING = re.compile(r"[_-]")
# Characters of a stretch at the most, on average: the names of programs have four and more. A
# longer word is random for sure where a shorter one may yet be a name.
_SHORT_STRETCH, _LONG_WORD, _SHORT_STRETCH_OF_LONG, _SHORT_STRETCH_OF_DATA = 2.4, 20, 2.8, 4.0
# Characters to a sign between them, at least: names such as TxRx_DMA0_Ch1 have more signs.
_TO_A_SIGN = 8
# Scripts that are written without blanks: digits and Latin letters inside of them are values, what
# stands around them is text.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]"
)
_ASCII = re.compile(r"[\x00-\x7f]+|[\uff10-\uff19]+")
# The request line of an access log, without its quotes.
_REQUEST_LINE = re.compile(
    r"(?P<method>[A-Z]{3,10})(?P<gap> )(?P<path>[^\s?]*)(?P<query>\?\S*)?(?P<rest> HTTP/[0-9.]+)?"
)
# The status that an access log has behind the request.
_STATUS = re.compile(r" [0-9]{3}(?![\w.])")
# The same without quotes, at the start of a message or behind a blank: `GET /orders/17 -> 200`.
_METHODS = "GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS"
_ROUTE = r"(?P<path>/[^\s?\"]*)(?P<query>\?[^\s\"]*)?(?P<rest>)"
_BARE_REQUEST = re.compile(rf"(?<![^\s=])(?P<method>{_METHODS})(?P<gap> +\"?){_ROUTE}")
# The same as fields: `method=GET uri=/orders/17`, and with its server: `https://shop/orders/17`.
_REQUEST_FIELDS = re.compile(
    rf"(?<!\S)(?P<method>[\w.-]*(?i:method|verb)=(?:{_METHODS}))(?P<gap> [\w.()-]+=\"?){_ROUTE}"
)
_SERVER = re.compile(r"https?://[^/]+")
# A word of a session key; and what its pattern has beside its own words: classes, counts, flags and
# names of groups.
_NOT_BLANK = re.compile(r"\S+")
_NO_WORD = re.compile(
    r"\\(?P<sign>\W)|\\\w|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[0-9,]+\}|\(\?P?<\w+>|\(\?[a-zA-Z-]+[:)]"
)
# What a quoted request belongs to, as in `request: "GET /orders/17"`.
_NAMED = re.compile(r"\w ?[:=] ?\Z")
# Segments of a route that are values: with a digit, or too long for a name.
_ROUTE_VALUE = re.compile(r"(?=[^/]*[0-9])[^/]+|[^/]{30,}")
_VERSION = re.compile(r"v[0-9]{1,2}|api[0-9]?|[a-z]+[0-9]?")
# The method of a service, as gRPC names it: `/shop.v1.Orders/Pay`. It says what was asked.
_RPC = re.compile(r"/(?:[a-z][a-z0-9_]*\.)+[A-Z]\w*/[A-Z]\w*")
# Stands for the slash of a route while the rest of a message is masked, where it would make a path.
_SLASH = "\ue000"
_ZEROED = str.maketrans("123456789", "000000000")
# Fields whose names are numbers, as in FIX: `35=D|49=ACME|56=GW`. So many of them, and each number
# before a sign of equality is a name. Its digits stand for themselves while the rest is masked.
_NUMBERED_FIELD = re.compile(r"(?<![^\s|;^~\x01])[0-9]{1,5}(?==)")
_FEWEST_NUMBERED = 3
_KEPT = {ord(digit): 0xE010 + int(digit) for digit in "0123456789"}
_UNKEPT = {kept: digit for digit, kept in _KEPT.items()} | {ord(_SLASH): "/"}
# Blanks that fill a column up, and those between a sign and a number of such a column.
_BLANKS = re.compile(r" {2,}")
_BEFORE_NUMBER = re.compile(r"(?:(?<=\w=)|(?<=[(\[])) +(?=[-+]?[0-9])")
_DIGIT = re.compile(r"[0-9]+")
# The numbers of a duration as ISO 8601 has it, as in PT1.5S.
_AMOUNT = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_LETTER = re.compile(r"[^\W\d_]{2}")
# An apostrophe inside a word opens nothing.
_QUOTED = re.compile(r'"[^"]+"|(?<!\w)\'[^\']+\'(?!\w)')
# GET, SELECT: what was asked stays.
_REQUEST = re.compile(r"[A-Z]{3,} (?=.)")
_SAID = re.compile(rf'\b(?:{"|".join(sorted(SAYS))})"?\s*[=:]\s*\Z', re.IGNORECASE)


def _mask_value(found: re.Match[str]) -> str:
    """The wildcard for one value.

    A word with at most two digits (`eth0`, `ssh2`) is still a word.
    """
    kind = str(found.lastgroup)
    text = found[0]
    if kind == "path" and _RPC.fullmatch(text):
        return text
    if kind == "span":
        return _AMOUNT.sub("<num>", text)
    if kind == "nums":
        return "/".join("<num>" for _ in text.split("/"))
    if kind in ("word", "num") and _UNSPACED.search(text):
        return _ASCII.sub(_mask_ascii, text)
    if kind == "word":
        return _mask_word(text)
    return {"uuid": "<code>", "ip6": "<ip>", "day": "<num>"}.get(kind, f"<{kind}>")


def _mask_word(text: str) -> str:
    """The wildcard for a word with more than two digits, behind the letters that it begins with."""
    if not text.isascii() and _OTHER_DIGITS.search(text):
        text = _OTHER_DIGITS.sub("<*>", text)
    pod = _POD.fullmatch(text)
    if pod:
        return f"{pod[1]}<id>"
    digits = sum(map(len, _DIGIT.findall(text)))
    if digits <= 2:
        return text
    within = _WITHIN.fullmatch(text)
    if within:
        return f"{within[1]}<num>{within[2]}"
    prefix = _PREFIXED.match(text)
    if prefix is None:
        return "<code>"
    if prefix[1]:
        return f"{prefix[1]}<id>"
    return f"{prefix[2]}<num>"


def may_be_random(word: str) -> bool:
    """Whether a word is as long as a random id, and has small letters and capitals in it."""
    is_mixed = re.search("[a-z]", word) and re.search("[A-Z]", word[1:])
    return bool(is_mixed and _MAYBE_RANDOM.fullmatch(word))


def _mask_random(found: re.Match[str]) -> str:
    """`<code>` for a word whose letters and digits follow no rule.

    >>> words = ("JczEEcQm1SxHvA1TdqkAM", "XMLHttpRequestBean")
    >>> [_MAYBE_RANDOM.sub(_mask_random, word) for word in words]
    ['<code>', 'XMLHttpRequestBean']
    """
    text = found[0]
    # No name has these signs of base64.
    is_data = text.endswith("=") or "+" in text
    if text.isupper() or text.islower() or (text.startswith("/") and not is_data):
        return text
    if text.endswith("==") and len(text) % 4 == 0:
        return "<code>"
    stretches = _STRETCH.findall(text)
    longest = _SHORT_STRETCH
    if len(text) >= _LONG_WORD:
        longest = _SHORT_STRETCH_OF_LONG
    if is_data:
        longest = _SHORT_STRETCH_OF_DATA
    signs = len(_JOINING.findall(text))
    if sum(map(len, stretches)) > longest * len(stretches) or signs * _TO_A_SIGN > len(text):
        return text
    return "<code>"


def _mask_ascii(found: re.Match[str]) -> str:
    """What stands between letters of a script without blanks."""
    text = found[0]
    if not text.isascii():
        return "<*>"
    return _VALUE.sub(_mask_value, text)


def _route(path: str) -> str:
    """The shape of a route: segments that are values become `<id>`.

    >>> _route("/api/v2/orders/17/items").replace(_SLASH, "/")
    '/api/v2/orders/<id>/items'
    """
    segments = []
    for segment in path.split("/"):
        if _ROUTE_VALUE.fullmatch(segment) and not _VERSION.fullmatch(segment):
            segments.append("<id>")
        else:
            segments.append(segment)
    return _SLASH.join(segments)


def _mask_request(request: re.Match[str]) -> str:
    """The method and the shape of the route; a query is a value."""
    query = ""
    if request["query"]:
        query = "?<id>"
    path = request["path"]
    server = _SERVER.match(path)
    begin = f"{request['method']}{request['gap']}"
    if server:
        path = path[server.end() :]
        begin += server[0].replace("/", _SLASH)
    return f"{begin}{_route(path)}{query}{request['rest'] or ''}"


class Masker:
    """Message → form.

    `memo` is how many messages, and how many words, are remembered. `light` tokens keep a digit or
    two, so they depend on the very digits and are masked again.
    """

    def __init__(self, session_pattern: str | None, memo: int = MEMO) -> None:
        self._memo = memo
        self._session = re.compile(python_regex(session_pattern)) if session_pattern else None
        self._tokens: dict[str, str] = {}
        self._shapes: dict[str, tuple[str, tuple[int, ...]]] = {}

    def form(self, message: str) -> str:
        """The message with wildcards in place of its values; of several lines only the first."""
        if "<" in message:
            # A log may hold what looks like our wildcards; such a text is a value of any kind.
            message = WILDCARD.sub("<*>", message)
        if self._session is not None:
            message = self._session.sub(_mask_session, message)
        if len(message) > MAX_MESSAGE or "\n" in message:
            message = _first_line(message)
        message = _without_padding(message)
        if len(_NUMBERED_FIELD.findall(message)) >= _FEWEST_NUMBERED:
            message = _NUMBERED_FIELD.sub(lambda name: name[0].translate(_KEPT), message)
        message = _BARE_REQUEST.sub(_mask_request, message)
        if "=/" in message or '="/' in message:
            message = _REQUEST_FIELDS.sub(_mask_request, message)
        if '"' in message or "'" in message:
            message = _QUOTED.sub(_mask_quoted, message)
        shape = message.translate(_ZEROED)
        known = self._shapes.get(shape)
        if known is None:
            known = self._mask(shape)
            if len(self._shapes) < self._memo:
                self._shapes[shape] = known
        form, light = known
        if not light:
            return form.translate(_UNKEPT)
        tokens = form.split(" ")
        raw = message.split(" ")
        for i in light:
            tokens[i] = self._token(raw[i])
        return " ".join(tokens).translate(_UNKEPT)

    def _mask(self, shape: str) -> tuple[str, tuple[int, ...]]:
        raw = shape.split(" ")
        tokens = [self._token(token) for token in raw]
        return " ".join(tokens), tuple(i for i, token in enumerate(tokens) if "0" in token)

    def _token(self, token: str) -> str:
        masked = self._tokens.get(token)
        if masked is None:
            masked = token
            is_word = token.isalpha() and len(token) < _RANDOM_FROM
            if not is_word or _HEX_LETTERS.fullmatch(token):
                masked = _VALUE.sub(_mask_value, _MAYBE_RANDOM.sub(_mask_random, token))
            if len(self._tokens) < self._memo:
                self._tokens[token] = masked
        return masked


def _mask_session(found: re.Match[str]) -> str:
    """`<id>` for the session key: the pattern's first group that took part, or all of the match.

    A wildcard takes one word. So of a key of several words, those that the pattern itself has stay.

    >>> re.sub(r"job [a-z]+-[0-9]+", _mask_session, "job etl-17: started")
    'job <id>: started'
    """
    group = next((g for g in range(1, found.re.groups + 1) if found[g]), 0)
    if not found[group]:
        return found[0]
    start, end = (at - found.start() for at in found.span(group))
    words = _NOT_BLANK.sub(partial(_mask_key_word, found.re), found[group])
    if "<id>" not in words:
        words = "<id>"
    return f"{found[0][:start]}{words}{found[0][end:]}"


def _mask_key_word(pattern: re.Pattern[str], word: re.Match[str]) -> str:
    own = _words_of(pattern.pattern)
    # Nearly every word is an id: no expression is built for it.
    if word[0].lower() not in own.lower():
        return "<id>"
    whole = rf"(?<!\w){re.escape(word[0])}(?!\w)"
    is_own = re.search(whole, own, pattern.flags & re.IGNORECASE)
    return word[0] if is_own else "<id>"


@lru_cache(maxsize=16)
def _words_of(pattern: str) -> str:
    r"""The text that a regular expression itself has.

    >>> _words_of(r"\bjob\.id [0-9]{2,10}").split()
    ['job.id']
    """
    return _NO_WORD.sub(lambda part: part["sign"] or " ", pattern)


def _without_padding(message: str) -> str:
    """The message without blanks that fill a column up.

    A template takes any number of them there (`wildcards.py`).

    >>> _without_padding("frame=  54 q=7   size=    9kB")
    'frame=54 q=7 size=9kB'
    """
    message = _BEFORE_NUMBER.sub("", message)
    if "  " in message:
        message = _BLANKS.sub(" ", message)
    return message


def _first_line(message: str) -> str:
    head, newline, rest = message.partition("\n")
    if len(head) > MAX_MESSAGE:
        kept, space, _ = head[:MAX_MESSAGE].rpartition(" ")
        if not space:
            kept = head[:MAX_MESSAGE]
        return f"{kept}{space}<*>"
    if newline and rest:
        return f"{head}\n<*>"
    return message


def _is_whole(request: re.Match[str]) -> bool:
    """Whether a line with a request says nothing behind it but who asked, and nothing before it
    names it, as in `request: "GET /orders/17 HTTP/1.1"`.
    """
    behind = request.string[request.end() :]
    return (not behind or behind.startswith(' "')) and not _NAMED.search(
        request.string[: request.start()]
    )


def _mask_quoted(found: re.Match[str]) -> str:
    """A quoted single word may be a state, and `msg="…"` is the message itself.

    Both stay for the clustering.
    """
    quote = found[0][0]
    inner = found[0][1:-1]
    is_route = inner.startswith(_SLASH)
    if (
        is_route
        or inner.replace("_", "").isalnum()
        or _SAID.search(found.string, max(0, found.start() - 16), found.start())
    ):
        return found[0]
    request = _REQUEST_LINE.fullmatch(inner)
    # Where a request is what the line is about, as in an access log, its route tells steps apart.
    before = found.string[: found.start()]
    is_subject = (
        not before
        or before.endswith("] ")
        or _STATUS.match(found.string, found.end()) is not None
        or (request is not None and request["rest"] is not None and _is_whole(found))
    )
    if request and is_subject and request["path"].startswith(("/", "http://", "https://")):
        return f"{quote}{_mask_request(request)}{quote}"
    # A message that begins with a quote is quoted as a whole, as klog and others do it.
    if found.start() == 0 and _LETTER.search(inner) and " " in inner.strip():
        return found[0]
    verb = _REQUEST.match(inner)
    if verb:
        return f"{quote}{verb[0]}<str>{quote}"
    return f"{quote}<str>{quote}"
