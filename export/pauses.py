"""How long sessions pause, and which idle timeout follows from that."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from itertools import pairwise

from fluent_krone.reading.records import SessionKey

_NS = 1_000_000_000

# Timeouts in seconds that an operator would write.
_LADDER = tuple(
    int(n * unit)
    for unit, steps in ((60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12, 18)))
    for n in steps
) + tuple(86_400 * n for n in (1, 2, 3, 7, 14, 30))
# How many times the longest pause the timeout is at least, so that noise does not cut sessions.
_MARGIN = 1.1
# At least this share of the sessions has no longer pause than the suggested timeout …
_COVERED = 0.95
# … and hardly any (`_STRAYS`) has a pause of up to `_REUSED` times as long. A key that comes back
# after a still longer pause is a new session.
_REUSED = 8
_STRAYS = 0.005


# Bins of pauses in a power of ten.
_BINS = 20
# Empty bins between two groups of pauses: a factor of 2.5.
_GAP = 8
# The share of the pauses that a group has at least.
_GROUP = 0.01
# What a timeout may be where it lies between two groups: they may be seconds apart.
_SECONDS = (1, 2, 3, 5, 10, 15, 20, 30, 45, *_LADDER)


class Pauses:
    """The pauses between events of one session key, and how long keys live."""

    def __init__(self) -> None:
        self._first: dict[SessionKey, int] = {}
        self._last: dict[SessionKey, int] = {}
        self._longest: dict[SessionKey, int] = {}
        # Pauses by their size: each bin is a twentieth of a power of ten wide.
        self._bins: Counter[int] = Counter()

    def note(self, key: SessionKey, time_ns: int) -> None:
        last = self._last.get(key)
        if last is None:
            self._first[key] = self._last[key] = time_ns
            return
        pause = time_ns - last
        if pause > 0:
            self._last[key] = time_ns
            self._bins[math.floor(_BINS * math.log10(pause / _NS))] += 1
            if pause > self._longest.get(key, 0):
                self._longest[key] = pause

    def suggest(self) -> tuple[int, str] | None:
        """An idle timeout in seconds, and why.

        None where nothing was seen twice at different times.
        """
        if not self._longest:
            return None
        log_s = (max(self._last.values()) - min(self._first.values())) / _NS
        lives = sorted((self._last[key] - self._first[key]) / _NS for key in self._longest)
        if log_s > 2 * _LADDER[0] and lives[len(lives) // 2] > log_s / 2:
            return self._between_groups() or self._of_most()
        longest = sorted(pause / _NS for pause in self._longest.values())
        for rung in _LADDER:
            below = bisect(longest, rung / _MARGIN)
            above = bisect(longest, rung * _REUSED) - below
            if below >= _COVERED * len(longest) and above <= _STRAYS * len(longest):
                break
        return rung, f"{below / len(longest):.1%} of the sessions never pause longer"

    def _between_groups(self) -> tuple[int, str] | None:
        """A timeout in the gap between two groups of pauses: inside sessions, and between them.

        Keys that are used again and again, such as the names of workers, pause shortly while they
        are at work and for longer before the next job. The widest gap on a logarithmic scale
        parts them.
        """
        bins = sorted(self._bins)
        total = self._bins.total()
        below = 0
        best: tuple[int, int, int] | None = None
        for left, right in pairwise(bins):
            below += self._bins[left]
            above = total - below
            wide = right - left - 1
            both = below >= _GROUP * total and above >= max(_GROUP * total, 2)
            if both and wide >= _GAP and (best is None or wide > best[0]):
                best = (wide, left, right)
        if best is None:
            return None
        _, left, right = best
        shortest = 10 ** ((left + 1) / _BINS)
        longest = 10 ** (right / _BINS)
        middle = math.sqrt(shortest * longest)
        inside = [s for s in _SECONDS if shortest < s < longest]
        if not inside:
            return None
        timeout = min(inside, key=lambda s: abs(math.log(s / middle)))
        return timeout, (
            "session keys occur during the whole log, and pauses are either below "
            f"{shortest:.2g} s or above {longest:.2g} s"
        )

    def _of_most(self) -> tuple[int, str]:
        """The timeout that 99 % of the pauses stay below, at most an hour."""
        seen = 0
        most = 0.99 * self._bins.total()
        rung = _LADDER[-1]
        for size in sorted(self._bins):
            seen += self._bins[size]
            if seen >= most:
                rung = _rung(10 ** ((size + 1) / _BINS))
                break
        why = "session keys occur during the whole log, so a long pause ends a session"
        return min(rung, 3600), why


def _rung(seconds: float) -> int:
    return next((rung for rung in _LADDER if rung >= seconds), _LADDER[-1])


def duration(seconds: float) -> str:
    """As an operator writes it: 90 → `90s`, 3600 → `1h`."""
    for unit, n in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= n and seconds % n == 0:
            return f"{int(seconds // n)}{unit}"
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{seconds:g}"
