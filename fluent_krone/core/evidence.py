"""What differs between a session and the nearest normal one, in the tree's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from ..types import Evidence, Level, Seq
from .hierarchy import Hierarchy
from .matching import counted


class Patterns(Protocol):
    """Knows the nodes of normal training, and the nearest normal pattern of a Seq."""

    def is_known(self, level: Level, node: int) -> bool: ...
    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]: ...


def against_normal(
    here: Mapping[int, int],
    normal: tuple[int, ...],
    hierarchy: Hierarchy,
    patterns: Patterns,
    *,
    ended: bool,
) -> Evidence:
    """Evidence against the nearest normal session; `here` says how often each log key came.

    Of a session that has not `ended`, nothing is called missing.
    """
    words = hierarchy.leaf_words
    status_of = hierarchy.status_of
    extra, missing, repeated = _differing(here, counted(normal), words.__getitem__)
    if not ended:
        missing = {}
    unseen = [words[key] for key in here if not patterns.is_known("status", status_of[key])]
    nearest = tuple([words[key] for key in normal])
    return Evidence(extra, missing, repeated, tuple(dict.fromkeys(unseen)), nearest, normal)


def against_pattern(seq: Seq, hierarchy: Hierarchy, patterns: Patterns, *, ended: bool) -> Evidence:
    """The same of a Seq, against the nearest pattern of its level."""
    level = seq.level

    def words(node: int) -> str:
        return hierarchy.words(level, node)

    here = Counter(seq.pattern)
    want = patterns.score(seq)[1]
    extra, missing, repeated = _differing(here, Counter(want), words)
    if not ended:
        missing = {}
    unseen = [words(node) for node in here if not patterns.is_known(level, node)]
    return Evidence(extra, missing, repeated, tuple(dict.fromkeys(unseen)), tuple(map(words, want)))


def _differing(
    here: Mapping[int, int], there: Mapping[int, int], words: Callable[[int], str]
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """What `here` has and `there` has not, what it has less of, and what it has more of."""
    extra: dict[str, int] = {}
    missing: dict[str, int] = {}
    repeated: dict[str, int] = {}
    for node, times in here.items():
        usual = there.get(node, 0)
        if times > usual:
            _add(repeated if usual else extra, words(node), times - usual)
    for node, usual in there.items():
        times = here.get(node, 0)
        if times < usual:
            _add(missing, words(node), usual - times)
    return extra, missing, repeated


def _add(counts: dict[str, int], words: str, times: int) -> None:
    """Nodes that read alike count as one."""
    counts[words] = counts.get(words, 0) + times
