"""Days and months: which of them comes first in dates such as 03/04/2024, as a whole log tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from ..errors import RecordError
from .times import TimeReader

_NS = 10**9
# A log may go on this long after its file's date, since times may be local ones.
_DAY_NS = 86_400 * _NS
# Days of a month, and of half a year: a step back by more than that is a New Year.
_MONTH = 31
_HALF_A_YEAR = 6 * _MONTH
_AMBIGUOUS = re.compile(r"\s*(\d\d?)([-/.])(\d\d?)\2(?:\d{4}|\d\d)\b")


def is_ambiguous(text: str) -> bool:
    """Whether a text begins with a date that may be day and month, or month and day."""
    return _AMBIGUOUS.match(text) is not None


def nearness(time_ns: int, written_ns: int | None) -> tuple[int, int]:
    """How well the last time of a log goes with the date at which it was written, where that is
    known: within a day of it is best, after it cannot be, and the same year is better than another.

    >>> day = 86_400 * 10**9
    >>> [nearness(number * day, 20_000 * day)[0] for number in (20_000, 19_900, 20_100)]
    [2, 1, 0]
    """
    if written_ns is None:
        return 0, 0
    years = [datetime.fromtimestamp(ns / _NS, UTC).year for ns in (time_ns, written_ns)]
    ahead_ns = time_ns - written_ns
    return (ahead_ns <= _DAY_NS) + (abs(ahead_ns) <= _DAY_NS), -abs(years[0] - years[1])


def day_comes_first(texts: Iterable[str], written_ns: int | None = None) -> bool | None:
    """Whether dates such as 03/04/2024 are day and month, judged by all times of a log in order.

    A number above 12 decides. Otherwise it is the reading in which times go back less often, of two
    such readings the one in which the log is shorter, and then the one that goes with the date at
    which it was written, as `nearness` says; None where they are equal in all that.

    >>> day_comes_first(["01/02/2024 10:00:00", "02/02/2024 10:00:00", "03/02/2024 10:00:00"])
    True
    """
    readers = (TimeReader(day_first=True), TimeReader(day_first=False))
    back, span = [0, 0], [0, 0]
    last: list[int | None] = [None, None]
    for text in texts:
        found = _AMBIGUOUS.match(text)
        if found is None:
            continue
        if int(found[1]) > 12 or int(found[3]) > 12:
            return int(found[1]) > 12
        for i, reader in enumerate(readers):
            try:
                time_ns = reader.read(text)
            except RecordError:
                continue
            before = last[i]
            if before is not None:
                back[i] += time_ns < before
                span[i] += abs(time_ns - before)
            last[i] = time_ns
    far = [tuple(-part for part in nearness(ns or 0, written_ns)) for ns in last]
    by_day, by_month = zip(back, span, far, strict=True)
    if by_day == by_month:
        return None
    return by_day < by_month


def day_comes_before_month(dates: Iterable[tuple[int, int]]) -> bool:
    """Whether dates without a year, such as 03/04, are day and month, judged by all of them in
    order: where the first number of one is above 12, or where dates go back less often that way.

    Days that follow one another do not tell, unlike for dates with a year: Android's logs have the
    month first, and 03/05, 04/05, 05/05 may be three months in which little happened.

    >>> [day_comes_before_month(dates) for dates in ([(3, 4), (31, 12)], [(3, 4), (3, 31)])]
    [True, False]
    >>> day_comes_before_month([(5, 9), (3, 10)]), day_comes_before_month([(3, 5), (4, 5)])
    (True, False)
    """
    back_by_month = back_by_day = 0
    before: tuple[int, int] | None = None
    for date in dates:
        if not 1 <= min(date) <= 12 or max(date) > 31:
            # It is no date in either way.
            continue
        if max(date) > 12:
            return date[0] > 12
        if before is not None:
            back_by_month += _is_back(before, date)
            back_by_day += _is_back(before[::-1], date[::-1])
        before = date
    return back_by_day < back_by_month


def _is_back(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether the month and day `after` are earlier, other than by a New Year."""
    days = (before[0] - after[0]) * _MONTH + before[1] - after[1]
    return 0 < days < _HALF_A_YEAR
