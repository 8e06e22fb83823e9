"""What a wildcard of a template stands for, as regular expressions over bytes.

A template is literal text with wildcards. How a message is compared with it:

1. Wildcards are filled from left to right. A wildcard ends at the first place where the literal
   text after it stands and the next wildcard can begin. The last one ends where the rest of the
   template is the rest of the message.
2. What a wildcard stands for must be of its type, see `TYPES`. `<*>`, and a name that is no type,
   takes anything where it is *wide*, and one token (no blank) where it is not. Which ones are wide
   is told by training: those that stood for several tokens there.
3. Every wildcard is an atomic group: once it has ended it is not tried again. So the
   time is linear in the length of the message, and no message can make the matcher backtrack.
   Filling from left to right loses nothing where a wildcard takes anything, and otherwise only
   what nobody writes: a value that holds the literal text after it and then the begin of a value.

All digits are alike to every type: whether a message matches depends on its digits only where the
template's literal text has digits. The caches of `events.py` rely on that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

# Its group is the name, so splitting by it gives text and names in turn.
WILDCARD = re.compile(r"<(\*|[a-z]+)>")
# Every digit becomes "0". Length and everything else stay.
ZEROED = bytes.maketrans(b"123456789", b"000000000")

# A byte that is no UTF-8, as text shows it; in a message it is still that byte. So a template of a
# log in another encoding matches the log.
_UNREADABLE = "\ufffd"
_UNREADABLE_BYTES = _UNREADABLE.encode()
_ANY_BYTE = b"(?>" + _UNREADABLE_BYTES + rb"|[\x80-\xff])"
# Blanks as `re.escape` writes them, and text behind which a number may be filled up with some.
_ESCAPED_BLANKS = re.compile(rb"(?:\\ )+")
_BEFORE_PADDING = re.compile(rb"\w=\Z|[(\[]\Z")
# Such a byte in text that Python decoded with `surrogateescape`.
_HALF = re.compile("[\udc80-\udcff]")

# Letters, digits and what joins them in a number: 1,024 1.5e-3 12:30:05 10/Oct/2000 99% 31ms 1_000
# Letters of Chinese, Japanese and Korean stand right behind a number and are no part of it, as in
# `7不`; by their first bytes. Thai and its neighbours share these bytes with Hindi and Vietnamese:
# theirs are left out where the text behind the number begins with such a letter.
_IN_NUMBER = rb"[\w\x80-\xe2\xee-\xff.:/,%+-]"
_LIKE_THAI = (b"\xe0", b"\xe1")
_NUMBER_BEFORE_THAI = rb"[\w\x80-\xdf\xe2\xee-\xff.:/,%+-]"
# Where a word stands right behind a number, it has no letters itself, so that `job7notdone` is no
# `job<num>done`. Up to two letters are a unit, as in `<num>ms`.
_NUMBER_BEFORE_LETTERS = rb"[0-9_.:/,%+-]"
_LETTERS = re.compile(rb"[A-Za-z]{3}")
_ANYTHING = rb"."
_TOKEN = rb"[^\s]"
# What may stand behind a name, and is no part of it.
_NOT_IN_NAMES = (
    rb"(?!(?i:fail(?:ed|s|ure)?|errors?|abort(?:ed)?|cancell?ed|re(?:fused|jected|try|trying)|denied"
    rb"|tim(?:eout|ed)|expired|lost|invalid|missing|unknown|no|not|without|after|because|due|with|by"
    rb"|but|and|or|is|was|has|had|did|does|cannot|could|nicht|fehlgeschlagen|abgebrochen|abgelehnt"
    rb"|non|pas|refus\xc3\xa9e?|annul\xc3\xa9e?|fallid[ao]|rechazad[ao]|cancelad[ao]"
    rb"|\xd0\xbd\xd0\xb5)(?![\w\x80-\xff-]))"
)
_IN_NAME = rb"[\w\x80-\xff.'&/-]"
_NAME = _NOT_IN_NAMES + _IN_NAME + rb"+?(?: " + _NOT_IN_NAMES + _IN_NAME + rb"+?){0,4}?"


@dataclass(frozen=True, slots=True)
class _Type:
    """What a value looks like: `begin`, then any number of `then`; without `begin`, at least one.

    `whole` is the value where it has a fixed form, and `begin` is then only what it begins with.
    """

    begin: bytes = b""
    then: bytes = _TOKEN
    whole: bytes = b""


# What `export` masks, and each a little wider than there, so that a template always matches the
# messages that it was mined from. A name that is not listed is a `<*>`.
TYPES = {
    "num": _Type(rb"[<>~]?[-+]?[0-9]", _IN_NUMBER),
    "ip": _Type(
        rb"[0-9a-fA-F:]",
        whole=rb"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){2}\.[0-9]{1,3}?(?:[:/][0-9]+?)??"
        rb"|(?:[0-9a-fA-F]{0,4}:){2,7}?[0-9a-fA-F.]{0,15}?(?:[%/]\w+?)??)",
    ),
    # With a digit, or at least eight letters: "dead" and "added" are words.
    "hex": _Type(rb"(?:[a-fA-F]{8}|[a-fA-F]*[0-9])", rb"[0-9a-fA-FxX]"),
    "url": _Type(rb"[A-Za-z][\w+.-]*://"),
    "path": _Type(rb"[^\s/\\]*[/\\]"),
    "host": _Type(rb"[\w-]", rb"[\w.:-]"),
    "mail": _Type(rb"[^\s@]+@"),
    # With a digit, of several parts, longer than words are, or hexadecimal: "latest" and "expired"
    # are words. Of 2,500 ids of eight hexadecimal digits, one has letters only.
    "code": _Type(rb"(?=[^\s]*[0-9]|[^\s]+[._$/@:\\-]\w|[^\s]{16}|[a-f]{8}|[A-F]{8})[^\s]"),
    # Which counter or worker it is, and which site, in the name of a component.
    "nth": _Type(then=rb"[0-9]"),
    "where": _Type(then=rb"[A-Za-z\x80-\xff]"),
    # A session key may be any word, so an id is any token.
    "id": _Type(),
    # One to five words, none of which says how something went.
    "name": _Type(whole=_NAME),
    # What stood in quotes, blanks and all.
    "str": _Type(then=_ANYTHING),
}

# Wildcards in the name of a component that has several instances.
INSTANCE = ("nth", "where")


class Template:
    """A template, ready to be compared.

    `wide` are the positions of the wildcards that may take several tokens; None: all may.
    With `zeroed`, messages are compared whose digits are all "0".

    >>> template = Template("sent <num> bytes to <*>", wide=())
    >>> [bool(template.match(m)) for m in (b"sent 7 bytes to bob", b"sent NaN bytes to bob")]
    [True, False]
    >>> template.slots(b"sent 7 bytes to bob")
    (b'7', b'bob')
    """

    __slots__ = (
        "_kinds",
        "_match",
        "_pieces",
        "_slots",
        "_wide",
        "has_digits",
        "literals",
        "words",
    )

    def __init__(
        self, text: str, *, wide: Collection[int] | None = None, zeroed: bool = False
    ) -> None:
        parts = WILDCARD.split(text)
        pieces = [piece.encode() for piece in parts[::2]]
        if zeroed:
            pieces = [piece.translate(ZEROED) for piece in pieces]
        self._pieces = pieces
        self._kinds = parts[1::2]
        self._wide = wide
        # Both are compiled when they are first used: compiling takes a millisecond for three
        # templates, and most templates of a large bundle are never compared in a short run.
        self._match: Callable[[bytes], Any] | None = None
        self._slots: re.Pattern[bytes] | None = None
        self.literals = sum(map(len, pieces))
        self.has_digits = any(re.search(rb"[0-9]", piece) for piece in pieces)
        self.words = _words_of(pieces)

    @property
    def match(self) -> Callable[[bytes], Any]:
        """A function that takes a message and says, by a value that is true, that it matches."""
        if self._match is None:
            self._match = self._compile(slots=False).match
        return self._match

    @property
    def wildcards(self) -> int:
        return len(self._kinds)

    @property
    def kinds(self) -> Sequence[str]:
        """The name of each wildcard: `num`, or `*`."""
        return self._kinds

    @staticmethod
    def may_be_wide(kind: str) -> bool:
        """Whether a wildcard of that name can take several tokens, if it is wide."""
        return kind not in TYPES

    def slots(self, message: bytes) -> tuple[bytes, ...]:
        """What each wildcard stands for in a message that matches; empty where none does."""
        if self._slots is None:
            self._slots = self._compile(slots=True)
        found = self._slots.match(message)
        if found is None:
            return ()
        return found.groups()

    def spans(self, message: bytes) -> tuple[tuple[int, int], ...]:
        """Where each wildcard's value begins and ends in a message that matches."""
        if self._slots is None:
            self._slots = self._compile(slots=True)
        found = self._slots.match(message)
        if found is None:
            return ()
        return tuple(found.span(group) for group in range(1, self._slots.groups + 1))

    def is_free(self, message: bytes, start: int, end: int) -> bool:
        """Whether the word `[start, end)` of a message that matches may be any other word.

        That is so where it stands in a wildcard that takes any token, and which ends at a blank
        or with the message: another word cannot make it end elsewhere.
        """
        if self._slots is None:
            self._slots = self._compile(slots=True)
        found = self._slots.match(message)
        if found is None:
            return False
        for i, kind in enumerate(self._kinds):
            first, last = found.span(i + 1)
            if first <= start and end <= last:
                takes_any = kind == "id" or kind not in TYPES
                after = self._pieces[i + 1]
                is_last = i == len(self._kinds) - 1
                return takes_any and (after[:1].isspace() or (is_last and not after))
        return False

    def _compile(self, *, slots: bool) -> re.Pattern[bytes]:
        """The regular expression; with `slots`, it has a group for each wildcard."""
        last = len(self._kinds) - 1
        regex = self._literal(0)
        for i in range(len(self._kinds)):
            # What must stand behind the value.
            end = self._literal(i + 1)
            if i == last:
                end += rb"\Z"
            else:
                end += self._begin(i + 1)
            value = self._value(i, end)
            if slots:
                value = b"(" + value + b")"
            regex += b"(?>" + value + end + b")"
        if not self._kinds:
            regex += rb"\Z"
        return re.compile(regex, re.DOTALL)

    def _literal(self, i: int) -> bytes:
        """The text before wildcard `i`, with the blanks that may stand between it and a number."""
        piece = self._pieces[i]
        padding = b""
        if i < len(self._kinds) and self._kinds[i] == "num" and _BEFORE_PADDING.search(piece):
            padding = rb"\ *+"
        return _literal(piece) + padding

    def _type(self, i: int) -> _Type:
        kind = self._kinds[i]
        if kind == "str" and self._pieces[i][-1:] in (b'"', b"'"):
            # Text in quotes ends where they are closed.
            return _Type(then=b"[^" + self._pieces[i][-1:] + b"]")
        if kind == "num" and self._pieces[i + 1][:1] in _LIKE_THAI:
            return _Type(TYPES[kind].begin, _NUMBER_BEFORE_THAI)
        if kind == "num" and _LETTERS.match(self._pieces[i + 1]):
            return _Type(TYPES[kind].begin, _NUMBER_BEFORE_LETTERS)
        if kind in TYPES:
            return TYPES[kind]
        if self._wide is None or i in self._wide:
            return _Type(then=_ANYTHING)
        return _Type()

    def _begin(self, i: int) -> bytes:
        begin = self._type(i).begin
        if not begin:
            return b""
        return b"(?=" + begin + b")"

    def _value(self, i: int, end: bytes) -> bytes:
        """What wildcard `i` may be, where `end` is the first place that matches that.

        Looking for the end byte by byte (`+?`) is slow. Two cases can take many bytes at once:
        where the value cannot hold the byte after it, it ends there in any case; and where it can
        hold anything, only places with that byte are looked at.
        """
        kind = self._type(i)
        if kind.whole:
            return kind.whole
        many = b"+"
        if kind.begin:
            many = b"*"
        after = self._pieces[i + 1][:1]
        ends_anyway = end == rb"\Z"
        if after:
            ends_anyway = not re.match(kind.then, after, re.DOTALL)
        if ends_anyway:
            return kind.begin + kind.then + many + b"+"
        is_known = not self._pieces[i + 1].startswith(_UNREADABLE_BYTES)
        if after and kind.then == _ANYTHING and is_known:
            first = re.escape(after)
            other = b"[^" + first + b"]*+"
            return b"." + other + b"(?>(?:(?!" + end + b")" + first + other + b")*)"
        return kind.begin + kind.then + many + b"?"


def is_name(text: str) -> bool:
    """Whether `<name>` stands for a text.

    >>> [is_name(text) for text in ("Rio de Janeiro", "Mary Ann failed", "a: b")]
    [True, False, False]
    """
    return re.fullmatch(_NAME, text.encode(errors="replace")) is not None


# Bytes of words besides letters, digits and those above 127. With the point and the hyphen most
# addresses, decimal numbers and UUIDs are one word, and a message has fewer words to look up.
_JOINS = b"_.-"


def as_text(message: bytes) -> str:
    r"""A message as text, with one U+FFFD for each byte that is no UTF-8, as templates have it.

    >>> as_text(b"gr\xf6\xdfer")
    'gr��er'
    """
    try:
        return message.decode()
    except UnicodeDecodeError:
        return _HALF.sub(_UNREADABLE, message.decode("utf-8", "surrogateescape"))


def _literal(piece: bytes) -> bytes:
    """A regular expression for text of a template.

    In it U+FFFD stands for any byte, and a blank for any number of them: programs fill columns up.
    """
    return _ESCAPED_BLANKS.sub(rb"\\ ++", re.escape(piece)).replace(_UNREADABLE_BYTES, _ANY_BYTE)


def _separating() -> bytes:
    """A translation of bytes that leaves words and makes a blank of all else."""
    table = bytearray(b" " * 256)
    for byte in range(256):
        if byte >= 128 or chr(byte).isalnum() or byte in _JOINS:
            table[byte] = byte
    return bytes(table)


_SEPARATED = _separating()


def separated(message: bytes) -> bytes:
    """A message with a blank for all that is no part of a word, to be split into its words.

    A word is a row of letters, digits, `_`, `.`, `-` and bytes above 127.
    """
    return message.translate(_SEPARATED)


def _words_of(pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    """Words that every message of a template has, in this order, whatever its wildcards stand for.

    A word that touches a wildcard is none of them: `eth<num>` may be the word "eth0". Nor is one
    with a byte that is no UTF-8.
    """
    words: list[bytes] = []
    for i, piece in enumerate(pieces):
        text = separated(piece)
        if i > 0:
            # Cut off what touches the wildcard before.
            text = b" ".join(text.partition(b" ")[1:])
        if i < len(pieces) - 1:
            # Cut off what touches the wildcard behind.
            text = b" ".join(text.rpartition(b" ")[:2])
        words += (word for word in text.split() if _UNREADABLE_BYTES not in word)
    return tuple(words)
