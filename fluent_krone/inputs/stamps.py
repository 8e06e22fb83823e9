"""Times of lines of plain text that begin with a stamp without a year."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

# `Jun  9 06:06:01`, klog's `I0609 06:06:01.5`, `06-09 06:06:01.5`, `[06.09 06:06:01]`, each perhaps
# behind `<34>`
_YEARLESS = re.compile(
    r"(?:<\d{1,3}>|\[)?(?:[IWEF](?=\d{4} ))?(?P<day>[A-Z][a-z]{2} [ \d]?\d|\d\d[-./]\d\d|\d{4})"
    r"(?P<clock> \d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?"
)
_NEVER = datetime.max.replace(tzinfo=UTC)


class Stamps:
    """Times of a file's lines: the latest such time that is not after the file's own date."""

    def __init__(self, path: Path) -> None:
        self._latest = _NEVER
        if path.exists():
            # A day later, since the file's own date is UTC and its stamps may be local time.
            self._latest = datetime.fromtimestamp(path.stat().st_mtime, UTC) + timedelta(days=1)
        # The last stamp and its time: stamps of one second come together.
        self._known: tuple[str, int | None] = ("", None)

    def time(self, line: str) -> int | None:
        """The line's time in ns; None where it does not begin with such a stamp."""
        found = _YEARLESS.match(line)
        if found is None:
            return None
        stamp = found["day"] + found["clock"]
        if stamp != self._known[0]:
            self._known = stamp, self._parse(re.sub(r"[^A-Za-z0-9:]+", " ", stamp).strip())
        seconds = self._known[1]
        if seconds is None:
            return None
        return seconds + int((found["fraction"] or "").ljust(9, "0")[:9])

    def _parse(self, stamp: str) -> int | None:
        day_format = "%m%d"
        if stamp[0].isalpha():
            day_format = "%b %d"
        elif stamp[2] == " ":
            day_format = "%m %d"
        # Eight years back there is a leap day for sure, which a 29 February needs.
        for year in range(self._latest.year, self._latest.year - 8, -1):
            try:
                moment = datetime.strptime(f"{year} {stamp}", f"%Y {day_format} %H:%M:%S")
            except ValueError:
                continue
            moment = moment.replace(tzinfo=UTC)
            if moment <= self._latest:
                return int(moment.timestamp()) * 1_000_000_000
        return None
