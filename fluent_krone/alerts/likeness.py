"""Steps that deviate alike although their templates differ in few words.

The same call to another host, provider or currency is another template, and so another signature.
It is the same incident all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# Steps, the latest ones, with which a step of a new signature is compared, word by word.
_MOST_COMPARED = 200
# Share of their words that two templates of as many words must have in common to be alike.
_LIKE = 0.7
# A session that has a new template deviates in this direction.
_NEW = "unseen"


def like_of(record: Mapping[str, Any], *, is_news: bool = False) -> list[str]:
    """The direction of the leading deviation and the words of its step; empty where it has none."""
    for deviation in record.get("deviations") or ():
        direction = deviation.get("direction")
        if is_news:
            direction = _NEW
        return [str(direction), *str(deviation.get("step") or "").split()]
    return []


def is_like(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two steps (`like_of`) deviate alike and differ in few words.

    >>> is_like("extra visa paid <num> EUR".split(), "extra amex paid <num> EUR".split())
    True
    """
    if len(one) < 2 or len(one) != len(other) or one[0] != other[0]:
        return False
    common = sum(left == right for left, right in zip(one[1:], other[1:], strict=True))
    return common >= _LIKE * (len(one) - 1)


class LikeSteps:
    """Which incident was last joined by which step. A look-up compares steps of as many words."""

    def __init__(self) -> None:
        # Direction and number of words → step → name, the latest one last.
        self._by_length: dict[tuple[str, int], dict[tuple[str, ...], str]] = {}

    def add(self, likes: Iterable[Sequence[str]], name: str) -> None:
        """Steps of the incident `name`."""
        for like in likes:
            steps = self._by_length.setdefault(_length_of(like), {})
            steps.pop(tuple(like), None)
            steps[tuple(like)] = name

    def drop(self, likes: Iterable[Sequence[str]], name: str) -> None:
        """The incident `name` has ended."""
        for like in likes:
            steps = self._by_length.get(_length_of(like), {})
            if steps.get(tuple(like)) == name:
                del steps[tuple(like)]

    def names(self, like: Sequence[str]) -> Iterator[str]:
        """Incidents with a step like this one, the latest first."""
        steps = self._by_length.get(_length_of(like), {})
        for other in list(reversed(steps))[:_MOST_COMPARED]:
            if is_like(like, other):
                yield steps.get(other, "")


def _length_of(like: Sequence[str]) -> tuple[str, int]:
    return "".join(like[:1]), len(like)
