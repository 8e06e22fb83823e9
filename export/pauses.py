"""How long sessions pause, and which idle timeout follows from that."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from fluent_krone.detect.measures import as_time
from fluent_krone.reading.records import SessionKey, key_text

_NS = 1_000_000_000

# Timeouts in seconds that an operator would write; of a process of persons, a case may rest for
# months.
_LADDER = tuple(
    int(n * unit)
    for unit, steps in ((60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12, 18)))
    for n in steps
) + tuple(86_400 * n for n in (1, 2, 3, 7, 14, 30, 60, 90, 180, 365, 730))
# How many times the longest pause the timeout is at least. A session that is cut in two makes two
# that look like no other, while one that ends late is merely judged late.
_MARGIN = 1.25
# Where the longest pauses differ much among themselves, still longer ones are to be expected. The
# margin is then e to the power of this, times the mean of ln(pause / shortest of them): a pause
# beyond it comes about a seventh as often as the longest one did.
_FURTHER = 2.0
# How many of the longest pauses are looked at, and the share of all sessions that they may be of.
_EXTREMES = 10
_EXTREME_SHARE = 0.1
# At least this share of the sessions has no longer pause than the timeout allows for …
_COVERED = 0.95
# … and hardly any has a longer one of up to this many times the timeout. A key that comes back
# after a still longer pause is a new session.
_REUSED = 8
# How many sessions "hardly any" are. The stricter share comes first: that many sessions cut in two
# are few beside one false alarm in 1,000. Keys such as the addresses of clients come back after
# pauses of every length: no timeout suits all of them, and the second share finds one that suits
# most.
_STRAYS = (0.0005, 0.005)
# A longer timeout, in seconds, is suggested only where the second share finds none that is shorter.
_A_DAY = 86_400


# Bins of pauses in a power of ten.
_BINS = 20
# Empty bins between two groups of pauses: a factor of 2.5.
_GAP = 8
# The share of the pauses that a group has at least.
_GROUP = 0.01
# Where groups of pauses run into each other: the share that each of them has at least, how many
# pauses its peak has, and what share of the lower peak there is between them at the most.
_LARGE_GROUP = 0.05
_PEAK = 20
_DEPTH = 0.1
# Keys that come back after most of the log are new sessions where at most this share of the keys
# does that began in its first half: later ones may not have come back yet. Where more do, such a
# pause is a part of the sessions.
_COME_BACK = 0.3
# A key that is in use during this share of the log, and that never pauses for more than the second
# share of it, is not one execution; and how many such keys are named.
_WHOLE_LOG, _NEVER_AWAY = 0.9, 0.1
_NAMED = 3
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
        # The unit of the clock, of which all pauses are multiples.
        self._unit_ns = 0

    def note(self, key: SessionKey, time_ns: int) -> None:
        last = self._last.get(key)
        if last is None:
            self._first[key] = self._last[key] = time_ns
            return
        pause = time_ns - last
        if pause > 0:
            self._last[key] = time_ns
            self._bins[math.floor(_BINS * math.log10(pause / _NS))] += 1
            self._unit_ns = math.gcd(self._unit_ns, pause)
            if pause > self._longest.get(key, 0):
                self._longest[key] = pause

    def suggest(self) -> tuple[int, str] | None:
        """An idle timeout in seconds, and why.

        None where nothing was seen twice at different times.
        """
        if not self._longest:
            return None
        log_s = self._log_s()
        if self._live_long():
            timeout, why = self._by_groups() or self._of_most()
            return timeout, f"session keys occur during the whole log, and {why}"
        ends = self._longest.keys() - self.endless()
        longest = sorted(self._longest[key] / _NS for key in ends)
        for strays in _STRAYS:
            rung = next((rung for rung in _LADDER if _suits(rung, longest, strays)), _LADDER[-1])
            if rung <= _A_DAY:
                break
        share = bisect(longest, rung) / len(longest)
        if rung > max(log_s, _A_DAY):
            return self._of_few_that_come_back() or (
                rung,
                "no session pauses longer; the log itself is shorter, so name another timeout "
                "with --idle-timeout where sessions end sooner",
            )
        if share == 1:
            return rung, "no session pauses longer"
        return rung, f"{share:.1%} of the sessions never pause longer"

    def endless(self) -> set[SessionKey]:
        """Keys that are in use during the whole log, as the name or the process id of a server is.

        None where pauses part the executions of each key, as those of a worker.
        """
        log_ns = self._log_s() * _NS
        if not self._longest or log_ns <= 2 * _LADDER[0] * _NS:
            return set()
        if self._live_long() and self._by_groups():
            return set()
        return {
            key
            for key, pause in self._longest.items()
            if self._last[key] - self._first[key] >= _WHOLE_LOG * log_ns
            and pause <= _NEVER_AWAY * log_ns
        }

    def endless_words(self) -> str | None:
        """What is to be said of keys that do not end; None where there are none."""
        keys = sorted(map(key_text, self.endless()))
        if not keys:
            return None
        named = ", ".join(map(repr, keys[:_NAMED]))
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        return (
            f"these values of the session key are in use during the whole log, as the names or "
            f"the process ids of servers are: {named}{more}; each makes one session that does not "
            "end; choose a session key that tells executions apart, or end such sessions with "
            "--max-age"
        )

    def _log_s(self) -> float:
        """How long the log is, in seconds."""
        if not self._last:
            return 0.0
        return (max(self._last.values()) - min(self._first.values())) / _NS

    def _live_long(self) -> bool:
        """Whether most keys occur during more than half of the log."""
        log_s = self._log_s()
        lives = sorted((self._last[key] - self._first[key]) / _NS for key in self._longest)
        return log_s > 2 * _LADDER[0] and lives[len(lives) // 2] > log_s / 2

    def _of_few_that_come_back(self) -> tuple[int, str] | None:
        """A timeout below the pauses of a few keys that came back; None where many did."""
        found = self._by_groups()
        half_ns = (min(self._first.values()) + max(self._last.values())) / 2
        early = [pause for key, pause in self._longest.items() if self._first[key] <= half_ns]
        if found is None or not early:
            return None
        came_back = sum(pause > found[0] * _NS for pause in early)
        return found if came_back <= _COME_BACK * len(early) else None

    def _by_groups(self) -> tuple[int, str] | None:
        """A timeout between two groups of pauses, and why; None where there are no such groups."""
        return self.between_groups() or self._in_valley()

    def between_groups(self) -> tuple[int, str] | None:
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
        return timeout, (f"pauses are either below {as_time(shortest)} or above {as_time(longest)}")

    def _in_valley(self) -> tuple[int, str] | None:
        """A timeout where pauses are rarest between two groups that run into each other.

        Both groups must be large, and far more frequent at their peaks than between them: what
        is cut there in the wrong place is next to nothing. Where the clock has no pauses between
        two of its units, their absence says nothing.
        """
        total = self._bins.total()
        low = min(self._bins)
        counts = [self._bins[low + n] for n in range(max(self._bins) - low + 1)]
        smooth = [sum(counts[max(0, n - 1) : n + 2]) for n in range(len(counts))]
        best: tuple[float, int] | None = None
        for n in range(1, len(smooth) - 1):
            if not self._may_pause(low + n - 1, low + n + 2):
                continue
            below = sum(counts[:n])
            if min(below, total - below) < _LARGE_GROUP * total:
                continue
            peak = min(max(smooth[:n]), max(smooth[n + 1 :]))
            depth = smooth[n] / max(peak, 1)
            if peak >= _PEAK and depth <= _DEPTH and (best is None or depth < best[0]):
                best = (depth, n)
        if best is None:
            return None
        middle = 10 ** ((low + best[1] + 0.5) / _BINS)
        timeout = min(_SECONDS, key=lambda s: abs(math.log(s / middle)))
        return timeout, (
            f"pauses of about {as_time(middle)} are the rarest between shorter and longer ones"
        )

    def _may_pause(self, first: int, end: int) -> bool:
        """Whether the clock has a pause of the size of any of the bins `[first, end)`."""
        shortest_ns = 10 ** (first / _BINS) * _NS
        longest_ns = 10 ** (end / _BINS) * _NS
        return (longest_ns - 1) // self._unit_ns * self._unit_ns >= shortest_ns

    def stretches(self, timeout_s: float) -> int:
        """How many stretches there are between pauses that are longer than a timeout."""
        shortest = math.floor(_BINS * math.log10(timeout_s))
        pauses = sum(count for size, count in self._bins.items() if size >= shortest)
        return pauses + len(self._first)

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
        return min(rung, 3600), "a long pause ends a session"


def _suits(rung: int, longest: Sequence[float], strays: float) -> bool:
    """Whether a timeout cuts hardly any session; `longest` are their longest pauses, sorted."""
    below = bisect(longest, rung)
    inside = bisect(longest, rung * _REUSED)
    left_out = int(strays * len(longest))
    if below < _COVERED * len(longest) or inside - below > left_out:
        return False
    return _with_margin(longest[: inside - left_out]) <= rung


def _with_margin(longest: Sequence[float]) -> float:
    """The longest pause that is to be expected, from those that were seen."""
    if not longest:
        return 0.0
    extremes = longest[-max(1, min(_EXTREMES, int(_EXTREME_SHARE * len(longest)))) :]
    spread = sum(math.log(pause / extremes[0]) for pause in extremes) / len(extremes)
    return extremes[-1] * max(_MARGIN, math.exp(_FURTHER * spread))


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
