"""Which format reads the times of a log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fluent_krone.errors import RecordError
from fluent_krone.reading.date_order import nearness
from fluent_krone.reading.times import TimeReader


def best_formats(
    formats: Sequence[str], times: Sequence[str], is_foreign: bool, written_ns: int | None
) -> tuple[str | None, str | None]:
    """The format that reads the times, if one does, and one that reads them as well with day and
    month the other way round.
    """
    read = {text: _fit(moments(times, text), written_ns) for text in formats}
    best = max(formats, key=lambda text: (read[text], is_foreign and _is_day_first(text)))
    if not read[best][0]:
        return None, None
    as_good = [text for text in formats if read[text] == read[best]]
    others = (text for text in as_good if _is_day_first(text) != _is_day_first(best))
    return best, next(others, None)


def _is_day_first(time_format: str) -> bool:
    return time_format.find("%d") < time_format.find("%m")


def _fit(found: Sequence[int], written_ns: int | None) -> tuple[int, int, int, tuple[int, int]]:
    """How well a format reads times: how many of them, how rarely they step back, how short the log
    is then, and how well it goes with the date at which it was written.

    So the order of a whole log tells days from months where each date alone could be read both
    ways: nine days in a row may as well be the same day of nine months. For a log of one day the
    date of its file does; else hardly any language but English has the month first.
    """
    steps = [later - earlier for earlier, later in pairwise(found)]
    near = nearness(found[-1] if found else 0, written_ns)
    return len(found), -sum(step < 0 for step in steps), -sum(map(abs, steps)), near


def moments(times: Sequence[str], time_format: str | None) -> list[int]:
    """The times that a format reads, in ns; without one, those of all usual forms."""
    reader = TimeReader(time_format)
    found = []
    for text in times:
        try:
            found.append(reader.read(text))
        except RecordError:
            continue
    return found
