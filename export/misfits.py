"""Training sessions that do not belong to the others: faults in a log that has some.

Nothing is learnt from them, and they set no threshold. Of some it is in doubt: their steps come in
such numbers, or after such steps, as are not to be expected. A fault has that, and so has a rare
way in which normal sessions run. Their steps set no threshold either, but they are learnt from: a
later fault differs in another place mostly, while later normal sessions run in the very same way.
Only where very many are in doubt, they are faults, and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .fit_witnesses import DENSITY
from .floors import density_floor

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Where more sessions than this share are beyond all likelihood, the training is mixed with
# abnormal sessions; they are left out, up to `_MOST_TRIMMED` of all.
_MIXED_SHARE, _MOST_TRIMMED = 0.005, 0.15
# Beyond all likelihood is a session that scores this many times the density's floor, or one with a
# number so far out that its likelihood is e to the power of −`_UNLIKELY` in as many sessions as
# there are. The order is not asked: where sessions vary much, normal ones have steps that training
# never had there, and many of them.
_UNLIKELY_RATIO, _UNLIKELY = 10, 8.0
_FAR_OUT = ("time", "time.wait", "time.seq", "values.range")
# Sessions stand apart from all others where all that their order says is so surprising, together,
# that for this many nats there are hardly any between. Where none does, the order in the session is
# asked alone: a rare way in which normal sessions run may be as odd by that as a fault is. With 10
# in place of 12, normal sessions of a simulated bank stand apart; with 4 in place of 5, normal ones
# of BPIC12 were left out, and ten in 1,000 were then flagged. In 27 simulated logs with 1,000
# sessions of which 2 % had a fault, the first finds 194 faults in 24 of the logs, and the second
# 120 in 13. For each session that stands apart, …
_APART = (
    (("order.session", "order.recent", "order.progress", "order.pair"), 12.0),
    (("order.session",), 5.0),
)
# … there is at most this share of a session between. A log whose normal sessions vary has some at
# every distance. Where many stand apart, as when one session in twelve is faulty, the share may be
# larger. With 1/3, 43 of 1,000 normal sessions of ThunderBird stand apart.
_BETWEEN, _BETWEEN_MANY = 1 / 8, 1 / 5
# So many are these sessions, or this share of the training where it is small.
_MANY_APART, _MANY_APART_SHARE = 40, 0.02
# They are no outliers when they are more than this many, and than this share of the training.
_FEWEST_APART, _APART_SHARE = 5, 0.002
# Where labels say of each session that it is normal, no fewer than this share are left out, by
# whatever sign: who labels errs in a few, and what is left out is flagged from then on. Without
# this, eleven of 4,855 labelled normals of HDFS were left out, and six of 1,000 later ones flagged
# for one that was asked for; nine of 1,350 calls of `lpr`, and seven.
_LABELLED_SHARE = 0.01
# Where sessions stand apart, some that fail in other ways are to be expected as well. They are left
# out with a number from this likelihood on, and with a value or a level that no other session has.
# With 2 instead of 4, as many normal sessions again were left out of eleven simulated logs that had
# 1 to 8 % of faults, and 13 more of 963 faults. The duration of a whole session is no sign of a
# fault there: none of the 963 was left out by it alone, and seven normal sessions were.
_UNLIKELY_IN_MIXED = 4.0
_FAR_OUT_IN_MIXED = ("time", "time.wait", "values.range")
# Where more than this share of all stand apart or have another of these signs, or more than
# `_MIXED_SHARE` have a number out of all likelihood, a session with a step that no other one has is
# left out as well: 61 of 62 in six simulated logs had a fault. Where fewer have a sign, normal
# sessions would be left out: in ThunderBird, one in a hundred has such a step. A session is in
# doubt then by the numbers and the order of its steps: without this, a fifth to two fifths of the
# faults set thresholds. Where fewer have a sign, four times as many normal sessions of HDFS and
# `lpr` would be in doubt. Where orders vary much, none stands apart, and numbers alone tell: of
# 1,000 sessions of which 40 had a fault, twelve were found otherwise, and the others hid nearly all
# later faults.
_CLEARLY_MIXED, _UNLIKELY_STEPS = 0.01, 2.0
# Where normal sessions vary, many of them have steps or numbers that no other session has. So how
# far out these lie is told by the others: by the scores that this share of the sessions exceeds, or
# twice as many as are unlike the others, and the score that this many times as many exceed.
_TAIL, _TAIL_TIMES, _TAIL_WIDTH = 0.05, 2.0, 3.0
_OWN_STEP = "unseen"
_NEWS = ("values", "levels")
# Where more than this share is in doubt, nearly all are faults, and are left out. When they were
# learnt from in a log with 8 % of faults, 7 of 20 later sessions that break off were found, and 11
# of 20 that run backwards; 20 and 12 when they are left out. Where half as many are in doubt, most
# of them are normal: 22 of 26 in two simulated logs with 2 % of faults.
_MOSTLY_FAULTS = 0.02
_ODD_STEPS = (
    *("counts", "needs", "order.session", "order.entity"),
    *("order.recent", "order.progress", "order.pair", "order.before"),
)
# What sets a threshold nevertheless: these scores are no part of the doubt. Sessions that run in a
# rare way often take long as well, and without them the limits would be those of quick sessions.
BEYOND_DOUBT = ("time", "time.seq", "values.range", "proportion")


class Misfits:
    """Finds them by the scores of held-out sessions, in one round after another: what is left out
    makes others stand apart. `labelled`: labels say of each session that it is normal."""

    def __init__(self, *, labelled: bool) -> None:
        self._fewest = 0.0
        if labelled:
            self._fewest = _LABELLED_SHARE
        # How sessions may stand apart.
        self._ways: Sequence[tuple[Sequence[str], float]] = _APART
        # Whether, in some round, enough stood apart that others fail in other ways.
        self._is_mixed = False
        # How many did not belong to the others, where these were too many to be left out.
        self.too_many = 0

    def among(self, normal: Mapping[str, Doubles]) -> tuple[Flags, Flags]:
        """The sessions that do not belong to the others, and those of which it is in doubt; none
        where all may stay. `normal` are the scores of the sessions that were not left out before.
        """
        size = len(normal.get(DENSITY, ()))
        none = np.zeros(size, np.bool_)
        if not size:
            return none, none
        apart = self._apart(normal)
        far_out = _far_out(normal, _FAR_OUT, _UNLIKELY)
        odd = apart | _far_out(normal, _FAR_OUT_IN_MIXED, _UNLIKELY_IN_MIXED)
        odd |= _has_any(normal, _NEWS)
        self._is_mixed = self._is_mixed or self._is_clearly_mixed(apart, odd, far_out)
        found = far_out | (normal[DENSITY] > _UNLIKELY_RATIO * density_floor(1))
        in_doubt = none
        if apart.any() or self._is_mixed:
            found |= odd
        elif not found.any() or float(found.mean()) <= max(_MIXED_SHARE, self._fewest):
            return none, none
        if self._is_mixed:
            found |= _has_any(normal, (_OWN_STEP,))
            share = max(_TAIL, _TAIL_TIMES * float(found.mean()))
            in_doubt = _beyond_tails(normal, _ODD_STEPS, share) & ~found
        if in_doubt.any() and float(in_doubt.mean()) > _MOSTLY_FAULTS:
            found |= in_doubt
            in_doubt = none
        many = int((found | in_doubt).sum())
        fewest = 1 if self._is_mixed else _FEWEST_APART
        if many > _MOST_TRIMMED * size:
            self.too_many = many
        if not fewest <= many <= _MOST_TRIMMED * size:
            return none, none
        return found, in_doubt

    def _is_clearly_mixed(self, apart: Flags, odd: Flags, far_out: Flags) -> bool:
        """Whether so many sessions are odd while some stand apart, or so many have a number out of
        all likelihood, that others fail in other ways."""
        if apart.any() and float(odd.mean()) > _CLEARLY_MIXED:
            return True
        return float(far_out.mean()) > max(_MIXED_SHARE, self._fewest)

    def _apart(self, normal: Mapping[str, Doubles]) -> Flags:
        """The sessions that stand apart from all others by their order, if more than a share do."""
        share = max(_APART_SHARE, self._fewest)
        found = np.zeros(len(normal[DENSITY]), np.bool_)
        for way in self._ways:
            names, distance = way
            surprise = np.sum([normal[name] for name in names if name in normal], axis=0)
            found = surprise > _gap_of(surprise, distance, share)
            if found.any():
                # What is left in later rounds is asked in the same way.
                self._ways = (way,)
                break
        return found


def _has_any(normal: Mapping[str, Doubles], names: Sequence[str]) -> Flags:
    """The sessions with one of these scores above 0."""
    found: Flags = np.any([normal[name] > 0 for name in names if name in normal], axis=0)
    return found


def _far_out(normal: Mapping[str, Doubles], names: Sequence[str], unlikely: float) -> Flags:
    """Sessions with a score whose likelihood is e^−`unlikely` in as many as there are."""
    size = len(normal.get(DENSITY, ()))
    found = np.zeros(size, np.bool_)
    for name in names:
        if name in normal:
            found |= normal[name] > math.log(size) + unlikely
    return found


def _beyond_tails(normal: Mapping[str, Doubles], names: Sequence[str], share: float) -> Flags:
    """Sessions with a score that lies far out, even beyond what the tail of all such scores shows.

    `share` of the sessions lie where that tail is measured, which is taken to be exponential.
    """
    size = len(normal.get(DENSITY, ()))
    found = np.zeros(size, np.bool_)
    for name in names:
        if name not in normal:
            continue
        ranked = np.sort(normal[name])[::-1]
        begin = float(ranked[min(int(share * size), size - 1)])
        inner = float(ranked[min(int(_TAIL_WIDTH * share * size), size - 1)])
        scale = (begin - inner) / math.log(_TAIL_WIDTH)
        limit = begin + scale * (math.log(share * size) + _UNLIKELY_STEPS)
        if begin <= 0:
            limit = 0.0
        found |= normal[name] > max(limit, math.log(size) + _UNLIKELY_STEPS)
    return found


def _gap_of(scores: Doubles, distance: float, share: float) -> float:
    """The score beyond which sessions stand apart from all others by a `distance`; infinite where
    none do, or fewer than this `share`."""
    ranked = np.sort(scores)[::-1]
    fewest = max(_FEWEST_APART, int(share * len(ranked)))
    most = int(_MOST_TRIMMED * len(ranked))
    many = min(_MANY_APART, _MANY_APART_SHARE * len(ranked))
    found = math.inf
    for beyond in range(fewest, most + 1):
        # This many lie beyond; those within the distance below the last of them lie between.
        last = ranked[beyond - 1]
        if last <= distance or (beyond < len(ranked) and ranked[beyond] == last):
            continue
        between = int(np.searchsorted(-ranked, -(last - distance), side="left")) - beyond
        if between <= (_BETWEEN_MANY if beyond >= many else _BETWEEN) * beyond:
            found = float(np.nextafter(last, 0.0))
    return found
