"""The template matcher's definition, written as plainly as can be: what the real one must equal."""

from __future__ import annotations

import random
import re
import uuid

from fluent_krone.reading.templates import UNMATCHED, WILDCARD

# What each type is, on its own: a value is of the type if the whole of it matches.
V4 = r"\d{1,3}(\.\d{1,3}){3}([:/]\d+)?"
V6 = r"([0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]{0,15}([%/]\w+)?"
# Without the first bytes of Chinese, Japanese and Korean letters.
IN_NUMBER = r"[\w\x80-\xe2\xee-\xff.:/,%+-]"
# Where a word of ours stands behind it; up to two letters are a unit.
NUMBER_BEFORE_LETTERS = r"[<>~]?[-+]?\d[0-9_.:/,%+-]*"
TYPES = {
    "num": rf"[<>~]?[-+]?\d{IN_NUMBER}*",
    "ip": rf"{V4}|{V6}",
    "hex": r"([a-fA-F]*\d|[a-fA-F]{8})[0-9a-fA-FxX]*",
    "url": r"[A-Za-z][\w+.-]*://\S*",
    "path": r"[^\s/\\]*[/\\]\S*",
    "host": r"[\w-][\w.:-]*",
    "nth": r"\d+",
    "where": r"[A-Za-z\x80-\xff]+",
    "id": r"\S+",
}
BEGINS = {
    "num": r"[<>~]?[-+]?\d",
    "ip": r"[0-9a-fA-F:]",
    "hex": r"[a-fA-F]*\d|[a-fA-F]{8}",
    "url": r"[A-Za-z][\w+.-]*://",
    "path": r"[^\s/\\]*[/\\]",
    "host": r"[\w-]",
}


class NaiveMatcher:
    """The definition: fill the wildcards from left to right, trying one end after the other."""

    def __init__(self, texts: list[str], wide: list[set[int] | None]) -> None:
        self.pieces = [[part.encode() for part in WILDCARD.split(text)[::2]] for text in texts]
        self.kinds = [WILDCARD.split(text)[1::2] for text in texts]
        self.wide = wide
        self.order = sorted(
            range(len(texts)), key=lambda i: (-sum(map(len, self.pieces[i])), len(self.kinds[i]), i)
        )

    def match(self, message: bytes) -> int:
        return next((i for i in self.order if self.slots(i, message) is not None), UNMATCHED)

    def slots(self, i: int, message: bytes) -> list[bytes] | None:
        if i == UNMATCHED:
            return None
        at = self.behind_literal(i, 0, message, 0)
        found = []
        for j in range(len(self.kinds[i])):
            if at is None:
                return None
            end = next(
                (e for e in range(at + 1, len(message) + 1) if self.ends(i, j, message, at, e)),
                None,
            )
            if end is None:
                return None
            found.append(message[at:end])
            at = self.behind_literal(i, j + 1, message, end)
        return found if at == len(message) else None

    def behind_literal(self, i: int, j: int, message: bytes, at: int) -> int | None:
        """Where text j of a template ends that begins at `at`; None where it does not stand there.

        A blank is any number of them, and where a number follows `=` or a bracket, none is needed.
        """
        piece = self.pieces[i][j]
        regex = re.sub(rb"(\\ )+", rb" ++", re.escape(piece))
        if self.kinds[i][j : j + 1] == ["num"] and re.search(rb"(\w=|[(\[])\Z", piece):
            regex += rb" *+"
        found = re.compile(regex).match(message, at)
        if found is None:
            return None
        return found.end()

    def ends(self, i: int, j: int, message: bytes, at: int, end: int) -> bool:
        """Whether wildcard j may be `message[at:end]`."""
        literal_end = self.behind_literal(i, j + 1, message, end)
        if literal_end is None or not self.is_of_type(i, j, message[at:end]):
            return False
        behind = message[literal_end:]
        if j == len(self.kinds[i]) - 1:
            return not behind
        begin = BEGINS.get(self.kinds[i][j + 1], "")
        return re.match(begin.encode(), behind, re.DOTALL) is not None

    def is_of_type(self, i: int, j: int, value: bytes) -> bool:
        kind = self.kinds[i][j]
        before = self.pieces[i][j][-1:]
        if kind == "str":
            return before not in (b'"', b"'") or before not in value
        is_before_thai = self.pieces[i][j + 1][:1] in (b"\xe0", b"\xe1")
        if kind == "num" and is_before_thai and re.search(rb"[\xe0\xe1]", value):
            return False
        if kind == "num" and re.match(rb"[A-Za-z]{3}", self.pieces[i][j + 1]):
            return re.fullmatch(NUMBER_BEFORE_LETTERS.encode(), value) is not None
        if kind in TYPES:
            return re.fullmatch(TYPES[kind].encode(), value, re.DOTALL) is not None
        wide = self.wide[i]
        return wide is None or j in wide or not re.search(rb"\s", value)


LITERALS = [
    "a",
    "b",
    "ab",
    "0",
    "1",
    " ",
    " to ",
    "a b",
    ":",
    "/",
    "=",
    '"',
    "x",
    "\u00e9",
    "\u6210",
    "\u0e2a",
    "\n",
    "-",
]
KINDS = ["*", "num", "ip", "hex", "url", "path", "host", "id", "str", "file"]
FIXED = ["1", "-3", "<5", "1.5", "12:30", "NaN", "10.0.0.1", "10.0.0.1:80", "::1", "dead", "0x1f"]
FIXED += ["deadbeef", "a/b", "/", "/a", "C:\\x", "http://a/b", "a.b:8", "a", "a b", " ", "b0", ""]
FIXED += ["7\u4e0d", "7\u0e44", "\u6210"]
ALPHABETS = ["0123456789abcdef-", "ABCXYZ234567_", "0123456789", "ab01 "]


def random_case(made: random.Random) -> tuple[list[str], list[set[int] | None], list[bytes]]:
    """Templates, their wide wildcards, and messages, many of which match one of them."""
    texts = [_template(made) for _ in range(made.randint(1, 8))]
    wide = [made.choice([None, set(), {0}, {0, 1}]) for _ in texts]
    messages = []
    for _ in range(20):
        text = WILDCARD.sub(lambda _: _value(made), made.choice(texts))
        messages.append(text.encode())
    return texts, wide, messages


def _template(made: random.Random) -> str:
    parts = [
        made.choice(LITERALS) if made.random() < 0.6 else f"<{made.choice(KINDS)}>"
        for _ in range(made.randint(1, 9))
    ]
    return "".join(parts)


def _value(made: random.Random) -> str:
    if made.random() < 0.2:
        return str(uuid.UUID(int=made.getrandbits(128)))
    if made.random() < 0.4:
        return "".join(made.choices(made.choice(ALPHABETS), k=made.randint(1, 10)))
    return made.choice(FIXED)
