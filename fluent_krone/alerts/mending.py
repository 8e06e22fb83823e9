"""Whether new kinds of lines are all that is wrong with a session.

A line that training never had spoils more than itself: its Seqs are unseen, and the step that it
came in place of seems to be missing. So the session is judged once more, with each new line taken
for the known step that it differs from in few words, or left out where there is none. If it is
normal then, the new lines are what deviates, and nothing else is reported.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from ..detect.bundle import Bundle

# A line is taken for a known step if they differ in at most this share of its words.
_DIFFERS = 0.3
_WILDCARD = re.compile(r"\d*<[^>]*>")
# Lines whose step is remembered; of a hostile log, not all may be.
_MOST_REMEMBERED = 2_000
# Events of a session that is remembered: 2,000 longer ones would take megabytes.
_LONGEST = 200


class Mending:
    """Judges sessions of one bundle without their new lines."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._hierarchy = bundle.hierarchy
        # Words of each known template by their number: those of as many words are compared.
        self._known: dict[int, list[tuple[int, list[str]]]] = {}
        for log_key, (text, count) in enumerate(zip(bundle.templates, bundle.counts, strict=True)):
            if count:
                words = _words(text)
                self._known.setdefault(len(words), []).append((log_key, words))
        self._like = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._likest)
        self._is_known_normal = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._is_normal)

    def is_mended(self, steps: Sequence[tuple[int, str]], *, is_ended: bool) -> bool:
        """Whether a session is normal except for its new lines; `steps` are its log keys and texts.

        A session under way is normal so far if nothing is decided yet.
        """
        keys = []
        has_new = False
        for log_key, text in steps:
            found: int | None = log_key
            if log_key == self._hierarchy.unknown or not self._bundle.counts[log_key]:
                has_new = True
                found = self._like(text)
            if found is not None:
                keys.append(found)
        if not has_new or not keys:
            return False
        if len(keys) > _LONGEST:
            return self._is_normal(tuple(keys), is_ended)
        # Many sessions have the same new line, and run alike without it.
        return self._is_known_normal(tuple(keys), is_ended)

    def _is_normal(self, keys: tuple[int, ...], is_ended: bool) -> bool:
        nested = self._bundle.nested
        if nested is not None:
            density = nested.density(keys, ended=is_ended)
            score = density.score if is_ended else density.bound
            finds_abnormal = functools.partial(
                self._bundle.clearing.finds_abnormal,
                nested=lambda: nested.is_abnormal(score),
                new_counts=lambda: is_ended and not nested.has_counts(keys),
            )
            # What is abnormal without an unseen pattern is so with one, and this costs less.
            if finds_abnormal(False):
                return False
            return not (self._has_unseen(keys, is_ended) and finds_abnormal(True))
        return not self._has_unseen(keys, is_ended)

    def _has_unseen(self, keys: tuple[int, ...], is_ended: bool) -> bool:
        """Whether normal training lacks one of the patterns; the open Seqs may become normal."""
        return any(
            not self._bundle.patterns.is_normal(seq)
            for seq in self._hierarchy.decompose(keys)
            if is_ended or seq.end < len(keys)
        )

    def _likest(self, text: str) -> int | None:
        """The known step that a text differs from in the fewest words; None: in too many."""
        words = _words(text)
        best: tuple[int, int] | None = None
        for log_key, others in self._known.get(len(words), ()):
            differing = sum(word != other for word, other in zip(words, others, strict=True))
            if best is None or differing < best[0]:
                best = (differing, log_key)
        if best is None or best[0] > _DIFFERS * len(words):
            return None
        return best[1]


def _words(text: str) -> list[str]:
    """The words of a template or a shape; all wildcards are alike, also those of facets.

    >>> _words("visa paid <num> EUR, status 2<num>")
    ['visa', 'paid', '<>', 'EUR,', 'status', '<>']
    """
    return [_WILDCARD.sub("<>", word) for word in text.split()]
