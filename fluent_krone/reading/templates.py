"""Message → log key: a frozen template matcher.

A template is literal text with wildcards: `<*>`, or typed ones such as `<num>`. A wildcard stands
for one or more characters of anything. Where several templates match, the one with the most
literal characters wins, then the one with the fewest wildcards, then the first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .cache import Generation

WILDCARD = re.compile(r"<(?:\*|[a-z]+)>")
# The log key of a message that matches no template, where the caller names no other.
UNMATCHED = -1

# Every digit becomes "0". Length and everything else stay, so whether a template without literal
# digits matches depends on the zeroed message alone: that makes a cache keyed by it exact.
ZEROED = bytes.maketrans(b"123456789", b"000000000")
_HAS_DIGIT = re.compile(rb"\S*\d\S*")
# Bytes of a template's beginning that it is found by. A longer head leaves fewer candidates, and a
# template that begins with fewer literal bytes is found by a shorter one.
_HEAD_LENGTHS = (12, 6, 3)
# Bytes of a shape that is remembered. Longer messages are matched anew each time, since a cache of
# them would fill the memory.
LONGEST_SHAPE = 1000


def template_id(text: str) -> str:
    """16 hex digits of a hash of the text.

    So a template keeps its id when a bundle is exported again, and no id ever changes its meaning.
    """
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def novel_shape(message: bytes) -> bytes:
    """A coarse template for a message that matched none, at most 200 bytes long.

    Words with a digit become `<*>`.

    >>> novel_shape(b"lost block blk_17 after 3 tries")
    b'lost block <*> after <*> tries'
    """
    return _HAS_DIGIT.sub(b"<*>", message[:400])[:200]


class _Glob:
    """One template as literal pieces. It takes linear time: no message can make it backtrack."""

    __slots__ = ("_gaps", "_pieces", "has_digits", "head", "literals", "wildcards")

    def __init__(self, text: str, *, zeroed: bool) -> None:
        pieces = [piece.encode() for piece in WILDCARD.split(text)]
        self.literals = sum(map(len, pieces))
        self.wildcards = len(pieces) - 1
        self.has_digits = any(re.search(rb"\d", piece) for piece in pieces)
        if zeroed:
            pieces = [piece.translate(ZEROED) for piece in pieces]
        self.head = pieces[0]
        # Neighbouring wildcards are one gap of at least so many bytes.
        self._pieces: list[bytes] = [pieces[0]]
        self._gaps: list[int] = []
        gap = 0
        for index, piece in enumerate(pieces[1:], start=1):
            gap += 1
            if piece or index == self.wildcards:
                self._pieces.append(piece)
                self._gaps.append(gap)
                gap = 0

    def matches(self, message: bytes) -> bool:
        pieces = self._pieces
        if len(pieces) == 1:
            return message == pieces[0]
        if not message.startswith(pieces[0]) or not message.endswith(pieces[-1]):
            return False
        at = len(pieces[0])
        end = len(message) - len(pieces[-1])
        for piece, gap in zip(pieces[1:-1], self._gaps, strict=False):
            found = message.find(piece, at + gap, end)
            if found < 0:
                return False
            at = found + len(piece)
        return at + self._gaps[-1] <= end


class TemplateMatcher:
    """Finds the template of a message.

    >>> matcher = TemplateMatcher(["send <num> bytes", "send <num> bytes to <*>", "code 404"])
    >>> messages = (b"send 7 bytes to bob", b"send 7 bytes", b"code 404", b"code 405")
    >>> [matcher.match(message) for message in messages]
    [1, 0, 2, -1]
    """

    def __init__(
        self, templates: Sequence[str], cache_size: int = 100_000, unmatched: int = UNMATCHED
    ) -> None:
        self._unmatched = unmatched
        self._exact = [_Glob(text, zeroed=False) for text in templates]
        blind = [_Glob(text, zeroed=True) for text in templates]
        order = sorted(
            range(len(templates)), key=lambda i: (-blind[i].literals, blind[i].wildcards, i)
        )
        self._heads: dict[bytes, list[tuple[int, int, _Glob]]] = {}
        for rank, i in enumerate(order):
            length = next((n for n in _HEAD_LENGTHS if len(blind[i].head) >= n), 0)
            self._heads.setdefault(blind[i].head[:length], []).append((rank, i, blind[i]))
        # Zeroed message → its template, or the few templates between which its digits decide. What
        # is forgotten goes to the older of two generations, from which it can come back: most of
        # what is in use survives.
        self._shapes: dict[bytes, int | tuple[int, ...]] = {}
        self._older: dict[bytes, int | tuple[int, ...]] = {}
        self._generation = Generation(max(cache_size // 2, 1), self._age)

    def match(self, message: bytes) -> int:
        """Index of the template of `message`, or `unmatched`."""
        found = self._shapes.get(message.translate(ZEROED))
        # Not isinstance, which costs as much as the look-up.
        if found.__class__ is int:
            return found
        if found is None:
            found = self._remember(message.translate(ZEROED))
        if isinstance(found, int):
            return found
        return next((i for i in found if self._exact[i].matches(message)), self._unmatched)

    def is_sure(self, message: bytes) -> bool:
        """Whether all messages of this one's shape (the same but for digits) have its template."""
        shape = message.translate(ZEROED)
        found = self._shapes.get(shape)
        if found is None:
            found = self._remember(shape)
        return isinstance(found, int)

    def _remember(self, shape: bytes) -> int | tuple[int, ...]:
        found = self._older.get(shape)
        if found is None:
            found = self._candidates(shape)
        if len(shape) <= LONGEST_SHAPE:
            self._generation.take()
            self._shapes[shape] = found
        return found

    def _age(self) -> None:
        self._older = self._shapes
        self._shapes = {}

    def _candidates(self, shape: bytes) -> int | tuple[int, ...]:
        # By rank, so that the first one that matches is the template of the message; those before
        # it that match but for their digits have to be compared with the message itself.
        near = [entry for n in (*_HEAD_LENGTHS, 0) for entry in self._heads.get(shape[:n], ())]
        near.sort(key=lambda entry: entry[0])
        candidates = []
        for _, i, glob in near:
            if glob.matches(shape):
                candidates.append(i)
                if not glob.has_digits:
                    break
        if not candidates:
            return self._unmatched
        if len(candidates) == 1 and not self._exact[candidates[0]].has_digits:
            return candidates[0]
        return tuple(candidates)
